"""A policy explained: what its outputs rest on over an episode, and, apart from that, what its return rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pellucid.report.blocks import card, details, facts, figure, paragraph, section, table
from pellucid.report.charts import Estimate, interval_chart, timeline_chart
from pellucid.report.explained import at, measures, names
from pellucid.report.markup import Markup
from pellucid.report.numbers import count, finite, number, typeset
from pellucid.report.parts.explanations import VALUES, short_keys
from pellucid.report.svg import responsive
from pellucid.report.words import Json, text

_LANES = 16  # features drawn
_OTHERS = 8  # outputs drawn beside the first; all are in the table
ENDS = {"terminated": "it ended by itself", "truncated": "it was cut off by the environment", "cut": "it went on"}


def episode_section(episodes: Sequence[Json], *, whole: bool = True) -> Markup:
    """A card per policy: the margin first, then the other outputs; a line where there is no episode.

    Args:
        episodes: JSON of `explain.EpisodeExplanation`, in which `main` may name the output to show first; or
            {"task", "note"}.
        whole: draw all outputs, not the first alone.
    """
    intro = (
        "What the policy's outputs rest on at every step: a prediction, not what it earns. The margin is the score of "
        "the action taken less that of the best other one. Blue, above the line, raises the output; orange, below it, "
        "lowers it; the average of the background is the point from which is counted."
    )
    return section("episode", "An episode explained", intro, *(_card(one, whole) for one in episodes))


def _card(episode: Json, whole: bool) -> Markup:
    if "outputs" not in episode:
        return paragraph(f"{text(episode, 'task', 'policy')}: none. {text(episode, 'note')}", classes="soft")
    own = episode["outputs"]
    every = [*names(episode, "margins"), *names(own, "outputs")]
    main = text(episode, "main") or every[0]
    rewards = episode.get("rewards") or []
    told = (
        f"{text(episode, 'env')}, seed {text(episode, 'seed')}: a return of {typeset(number(sum(rewards)))} in "
        f"{count(len(rewards), 'step')}; {ENDS.get(text(episode, 'end'), '')}."
    )
    rest = [name for name in every if name != main and whole][:_OTHERS]
    body = [
        paragraph(told),
        _timeline(episode, main),
        *(details(f"The same of {name}", _timeline(episode, name)) for name in rest),
        _numbers(episode, every),
    ]
    return card(text(own, "task", "policy"), (), *body)


def values_of(episode: Json, output: str) -> list[list[Any]]:
    """Values (steps, players) of an output or a margin."""
    own, margins = episode["outputs"], names(episode, "margins")
    inside = output in margins and output not in names(own, "outputs")
    k = margins.index(output) if inside else names(own, "outputs").index(output)
    raw = episode.get("margin_values") if inside else own.get("values")
    steps, players = len(episode.get("rewards") or []), len(names(own, "players"))
    return [[at(raw, t, j, k) for j in range(players)] for t in range(steps)]


def _timeline(episode: Json, output: str) -> Markup:
    own = episode["outputs"]
    outputs, players, unit = names(own, "outputs"), names(own, "players"), text(own, "unit")
    values = values_of(episode, output)
    sizes = [sum(abs(float(row[j])) for row in values if finite(row[j])) for j in range(len(players))]
    shown = sorted(range(len(players)), key=lambda j: -sizes[j])[:_LANES]
    curves = [("reward", episode.get("rewards") or [])]
    if "value" in outputs:
        k = outputs.index("value")
        curves.append(("value", [at(row, k) for row in own.get("prediction") or []]))
    if not names(episode, "margins"):  # continuous actions are curves themselves
        named = [k for k, name in enumerate(outputs) if name != "value"][:3]
        curves = [(outputs[k], [at(row, k) for row in own.get("prediction") or []]) for k in named] + curves
    keys = names(own, "keys")
    days = [] if any("/step=" in key for key in keys) else short_keys(keys)
    title = f"{text(own, 'task', 'policy')}, {output}: {text(episode, 'env')}, seed {text(episode, 'seed')}"
    picture = responsive(
        lambda width: timeline_chart(
            title,
            [players[j] for j in shown],
            [[row[j] for j in shown] for row in values],
            actions=names(episode, "chosen") if names(episode, "margins") else (),
            order=outputs,
            curves=curves,
            steps=days,
            unit=unit,
            width=width,
        ),
        960,
    )
    left_out = len(players) - len(shown)
    hidden = f" {count(left_out, 'feature')} with smaller values are left out." if left_out else ""
    line = f"Features by steps, the largest on top; where steps are too narrow, neighbours are averaged.{hidden}"
    return figure(picture, f"What {'the margin' if output == 'margin' else output} rests on.", line)


def _numbers(episode: Json, every: Sequence[str]) -> Markup:
    """Mean absolute values as a table, and how they were computed."""
    own = episode["outputs"]
    players, columns = names(own, "players"), {name: values_of(episode, name) for name in every}

    def mean(name: str, j: int) -> str:
        line = [abs(float(row[j])) for row in columns[name] if finite(row[j])]
        return typeset(number(sum(line) / len(line) if line else None))

    rows = [(player, *(mean(name, j) for name in every)) for j, player in enumerate(players)]
    caption = f"Mean absolute values over the steps, in {text(own, 'unit', 'the unit of the output')}"
    shown = table(caption, ("Feature", *every), rows, numeric=tuple(range(1, len(every) + 1)))
    method = [
        ("Background", text(episode, "background")),
        ("Method", text(own, "method", "not recorded")),
        ("Evaluations of the program", count(own.get("evaluations"))),
        ("Seed of the estimate", text(own, "seed", "not recorded")),
        ("Value function", VALUES.get(text(own, "value", "interventional"), text(own, "value"))),
        *measures(own),
        *(("Note", warning) for warning in names(own, "warnings")),
    ]
    return details("Numbers and method", shown, facts(method))


def outcome_section(outcome: Json) -> Markup:
    """What the return rests on.

    Args:
        outcome: JSON of `explain.Outcome`.
    """
    hidden = [one for one in outcome.get("hidden") or [] if isinstance(one, Mapping)]
    unit = text(outcome, "unit")
    intro = (
        "What the policy earns without a feature: an experiment in its environment, not an attribution. A feature that "
        "moves the outputs need not be needed, and features that can stand in for each other each show little."
    )
    rows = [Estimate(text(one, "feature"), one.get("change"), one.get("low"), one.get("high")) for one in hidden]
    title = f"{text(outcome, 'task', 'policy')}: change of the {unit} when a feature is hidden"
    picture = responsive(lambda width: interval_chart(title, rows, unit=unit, zero=True, better="higher", width=width))
    seen = typeset(
        f"With everything seen: {number(outcome.get('seen'))} "
        f"({number(outcome.get('low'))} to {number(outcome.get('high'))})."
    )
    method = [
        ("Hiding", text(outcome, "hiding")),
        ("Pairs", f"{count(outcome.get('n'))}: {text(outcome, 'pairs')}"),
        ("Intervals", f"{text(outcome, 'method')}; each by itself"),
        ("Seed", text(outcome, "seed")),
        *(("Note", warning) for warning in names(outcome, "warnings")),
    ]
    body = (
        paragraph(seen),
        figure(picture, "Hidden, less seen.", "Pair by pair; whiskers are 95 % intervals."),
        facts(method),
    )
    return section("outcome", "What the return rests on", intro, card(text(outcome, "task", "policy"), (), *body))
