"""A learning curve over rows: the same spec fitted on 1/8, 1/4, 1/2 and all of every fold's training rows.

The parts are nested and every fit is judged on its fold's own test rows, so that the last doubling is compared row by
row. Nothing is said of more rows than there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.assemble import Problem, assemble
from pellucid.core.program import Program
from pellucid.core.random import derive, stream
from pellucid.core.rows import Index, Rows
from pellucid.core.task import TABLE_KINDS
from pellucid.evidence.entry import number
from pellucid.evidence.intervals import mean_interval
from pellucid.evidence.paired import compare
from pellucid.runs.dividing import way
from pellucid.runs.judge import FoldResult, block_rows
from pellucid.runs.outputs import outputs_table
from pellucid.runs.stages import Run
from pellucid.spec.model import Spec

SHARES = (0.125, 0.25, 0.5, 1.0)
FEWEST = 8  # training rows of the smallest part
Floats = npt.NDArray[np.float64]


def learning_curves(prob: Problem, run: Run, whole: Sequence[FoldResult]) -> dict[str, Any]:
    """task -> {"learning_curve": JSON}: mean loss with interval at each share, and what the last doubling changed.

    Args:
        whole: the folds with their programs, fitted on all of their training rows, before calibration.
    """
    rows, spec = prob.rows, prob.spec
    assert rows is not None
    tasks = [name for name, task in whole[0].program.tasks.items() if task.kind in TABLE_KINDS]
    losses: dict[str, dict[float, list[Floats]]] = {name: {share: [] for share in SHARES} for name in tasks}
    sizes: dict[float, list[int]] = {share: [] for share in SHARES}
    for i, (fold, full) in enumerate((result.fold, result.program) for result in whole):
        test = rows.take(fold.test)
        for share in SHARES:
            train = nested(spec, rows, fold.train, share, i)
            sizes[share].append(len(train))
            program: Program = full
            if share < 1.0:
                build = partial(assemble, prob, train, seed=derive(spec.seed, "fold", i))
                program, _ = run.train(f"fold {i + 1}, {share:.3g} of its rows", build)
            for name in tasks:
                losses[name][share].append(outputs_table(program, program.tasks[name], test)["loss"].to_numpy(float))
    block = block_rows(prob)
    return {name: {"learning_curve": _curve(found, sizes, spec.seed, block, name)} for name, found in losses.items()}


def nested(spec: Spec, rows: Rows, train: Index, share: float, fold: int) -> Index:
    """A share of a fold's training rows, within every larger share: the latest, whole groups, or random ones.

    At least `FEWEST` rows, or all of them.
    """
    how, generator = way(spec), stream(spec.seed, "evidence/learning_curve", fold)
    if how == "walk_forward":
        order = np.argsort(-rows.extra["time"][train].astype(np.float64), kind="stable")
    elif "group" in rows.extra:
        names = rows.extra["group"][train].astype(str)
        ranks = {name: rank for rank, name in enumerate(generator.permutation(np.unique(names)))}
        order = np.argsort([ranks[name] for name in names], kind="stable")
    else:
        order = generator.permutation(len(train))
    count = min(len(train), max(FEWEST, round(share * len(train))))
    return np.sort(train[order[:count]])


def _curve(
    losses: dict[float, list[Floats]], sizes: dict[float, list[int]], seed: int, block: int, name: str
) -> dict[str, Any]:
    joined = {share: np.concatenate(parts) for share, parts in losses.items()}
    scored = np.isfinite(np.stack(list(joined.values()))).all(0)  # rows that every fit could be judged on
    points = []
    for share in SHARES:
        found = mean_interval(joined[share][scored], block=block, seed=seed, name=f"{name}/rows")
        points.append(
            {
                "share": share,
                "rows": round(float(np.mean(sizes[share]))),
                "value": found.value,
                "low": number(found.low),
                "high": number(found.high),
            }
        )
    last = compare(joined[0.5][scored], joined[1.0][scored], block=block, seed=seed, name=f"{name}/doubling")
    doubling = {"change": last.change, "low": number(last.low), "high": number(last.high), "verdict": last.verdict}
    return {"n": int(scored.sum()), "points": points, "doubling": doubling}
