"""`pellucid explain --episode` and `--outcome`: a policy over a whole episode, and what its return rests on."""

from __future__ import annotations

import argparse
from typing import Any

from pellucid.cli.common import dump, open_store, reporting, write_page


def explain_policy(args: argparse.Namespace) -> int:
    """Both answers, apart from each other; whichever was asked for."""
    from pellucid.core.errors import SpecError
    from pellucid.core.task import output_named
    from pellucid.explain.margins import margin_names
    from pellucid.report.html import policy_page
    from pellucid.runs.episodes import actor_of, explain_episode
    from pellucid.runs.outcomes import explain_outcome

    store = open_store(args)
    unchecked = args.checks and args.episode is None
    if unchecked or len(args.task) > 1 or len(args.at) > 1:
        asked = "--checks" if unchecked else "--task" if len(args.task) > 1 else "--at"
        raise SpecError(
            f"{asked} does not go with {'an outcome' if unchecked else 'an episode'} so.",
            where=asked,
            mend="an outcome is an experiment, without checks: give --episode as well"
            if unchecked
            else "of one policy and one first day: give --task and --at once",
        )
    if args.grain == "superpixel":
        raise SpecError(
            "superpixels are of single pictures, not of an episode.",
            where="--grain superpixel",
            mend="use --grain part: patches stay where they are from step to step",
        )
    actor = actor_of(store, args.version, next(iter(args.task), None), args.data)
    task = actor.task
    if args.output:  # refused before anything is computed
        output_named(args.output, (*task.outputs, *margin_names(task)), task.name, where="--output")
    draws = actor.seed if args.seed is None else args.seed
    together = dict(args.together)
    episode: Any = None
    outcome: Any = None
    with reporting(args.quiet) as reporter:
        if args.episode is not None:
            options = {name: getattr(args, name) for name in ("method", "value", "seconds", "error", "checks")}
            more = ("grain", "parts", "evaluations")
            options |= {name: getattr(args, name) for name in more if getattr(args, name)}
            episode = explain_episode(
                actor,
                seed=args.episode,
                at=next(iter(args.at), None),
                draws=draws,
                together=together,
                reporter=reporter,
                **options,
            )
        if args.outcome is not None:
            grain: Any = args.grain or "field"
            outcome = explain_outcome(
                actor, episodes=args.outcome, grain=grain, together=together, seed=draws, reporter=reporter
            )
    found = {name: one.to_json() for name, one in (("episode", episode), ("outcome", outcome)) if one is not None}
    if args.json:
        dump(found)
    else:
        told = [] if episode is None else [episode.text(output=args.output)]
        print("\n\n".join([*told, *([] if outcome is None else [outcome.text()])]))
    if args.html:
        drawn = None if episode is None else {**found["episode"], **({"main": args.output} if args.output else {})}
        ref = store.resolve(args.version).ref
        address = write_page(args.html, policy_page(drawn, found.get("outcome"), program=ref))
        if not args.json:
            print(f"picture: {address}")
    stopped = episode is not None and any(text.startswith("interrupted") for text in episode.outputs.warnings)
    return 130 if stopped else 0
