"""What a search shows: the best settings and the spec as it stands, compared on rows that no choice had seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pellucid.assemble import Assembly, Problem
from pellucid.core.errors import DataError
from pellucid.core.random import derive
from pellucid.evidence.paired import Comparison, compare
from pellucid.runs.dividing import way
from pellucid.runs.progress import Reporter
from pellucid.runs.stages import interrupted
from pellucid.runs.trying import CONFIRM, Bench, Floats, Parts
from pellucid.search import Journal, Params, Trial, best_of
from pellucid.spec.searching import SearchSpec
from pellucid.train.loop import Hooks


def confirm(
    bench: Bench,
    journal: Journal,
    best: Trial,
    settings: Params,
    reporter: Reporter,
    stop: Callable[[], bool],
) -> dict[str, Any] | None:
    """The best and the spec as it stands, both fitted anew, on rows that no choice had seen; None without a choice.

    Args:
        settings: what the best trial comes to, put over the spec.
    """
    seed = bench.base.seed
    if not best.number:
        return None
    for line in journal.notes:
        if line.get("confirm", {}).get("trial") == best.number:
            return dict(line["confirm"])
    reporter.stage("confirm", 2)
    losses = []
    for done, params in enumerate(({}, settings), start=1):
        build = bench.build(params, bench.parts.both, derive(seed, "search/confirm"))
        assembly = build()
        try:
            assembly.trainer.run(assembly.config, _hooks(assembly, stop))
            program = assembly.finish()
        finally:
            assembly.close()
        if stop():
            raise interrupted("interrupted after the last trial")
        program.network.eval()
        losses.append(bench.losses(program, bench.parts.confirm, CONFIRM))
        reporter.advance(done)
    found = compare(losses[0], losses[1], block=_block(bench), seed=seed, name="search")
    confirmed = _compared(best.number, losses, found)
    journal.note({"confirm": confirmed})
    return confirmed


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The best. Raises DataError when none ended well."""
    best = best_of(list(trials))
    if best is None:
        failed = next((trial.why for trial in trials if trial.why), "no time was left")
        raise DataError(f"none of {len(trials)} trials ended well: {failed}.", where="search", mend="narrow the ranges")
    return best


def _hooks(assembly: Assembly, stop: Callable[[], bool]) -> Hooks:
    return Hooks(assembly.schedule, None, lambda update, metrics: not stop())


def _block(bench: Bench) -> int:
    rows = bench.prob.rows
    ordered = rows is not None and (rows.times is not None or way(bench.base) == "walk_forward")
    return bench.base.evidence.block if ordered else 1


def _compared(number: int, losses: list[Floats], found: Comparison) -> dict[str, Any]:
    return {
        "trial": number,
        "n": found.n,
        "base": float(losses[0].mean()),
        "chosen": float(losses[1].mean()),
        "change": found.change,
        "low": found.low if np.isfinite(found.low) else None,
        "high": found.high if np.isfinite(found.high) else None,
        "verdict": found.verdict,
        "method": found.method,
    }


def described(
    prob: Problem,
    asked: SearchSpec,
    task: str,
    trials: Sequence[Trial],
    parts: Parts,
    confirmed: dict[str, Any] | None,
    taken: bool,
) -> dict[str, Any]:
    """JSON of a search; no clock in it: the same search gives the same bytes."""
    best = best_trial(trials)
    held = parts.choose
    counts = {
        "train": len(parts.train) if parts.train is not None else 0,
        "choose": len(held) if held is not None else prob.spec.evidence.episodes,
        "confirm": len(parts.confirm) if parts.confirm is not None else prob.spec.evidence.episodes,
    }
    shown = [{k: v for k, v in t.to_json().items() if k not in ("seconds", "marks", "curve")} for t in trials]
    for raw, trial in zip(shown, trials, strict=True):
        raw["loss"] = trial.loss if np.isfinite(trial.loss) else None
        raw["rungs"] = len(trial.curve)
    return {
        "task": task,
        "sampler": asked.sampler,
        "pruner": asked.pruner,
        "space": {path: one.model_dump(mode="json") for path, one in sorted(asked.space.items())},
        "trials": shown,
        "best": best.number,
        "taken": best.number if taken else 0,
        "rows": counts,
        "confirm": confirmed,
        "sentence": said(task, len(trials), best, counts, confirmed),
    }


def said(task: str, tried: int, best: Trial, counts: dict[str, int], confirmed: dict[str, Any] | None) -> str:
    """What a search shows, in a sentence."""
    head = f"search for {task}: {tried} settings"
    if confirmed is None:
        return (
            f"{head}: nothing found: none did better than the spec as it stands on the {counts['choose']:,} held-out "
            "rows or episodes by which they were compared; it is kept."
        )
    low, high = confirmed["low"], confirmed["high"]
    interval = "no interval" if low is None or high is None else f"95 % interval {low:.3g} to {high:.3g}"
    figures = (
        f"mean loss {confirmed['chosen']:.4g} instead of {confirmed['base']:.4g}, difference "
        f"{confirmed['change']:.3g}, {interval}, n = {confirmed['n']:,} that no choice had seen"
    )
    if confirmed["verdict"] == "better":
        return f"{head}: trial {best.number} is better than the spec as it stands ({figures})."
    if confirmed["change"] < 0:
        return f"{head}: trial {best.number} is taken; that it is better is not shown ({figures})."
    return f"{head}: nothing found: trial {best.number} does not hold up ({figures}); the spec as it stands is kept."
