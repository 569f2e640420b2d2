"""How far the outer quantiles of series are moved out, by what earlier folds missed: conformal prediction in time.

Nothing is exchangeable in time, so that coverage is not promised, only mended by what was seen (Romano, Patterson &
Candes 2019, one side at a time). A fold's evidence uses earlier folds only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.assemble import Problem
from pellucid.core.rows import Index, Rows
from pellucid.core.task import Task
from pellucid.evidence.conformal import threshold
from pellucid.runs.judge import FoldResult
from pellucid.runs.outputs import answers
from pellucid.spec.series import FUTURE, HorizonsTask

Floats = npt.NDArray[np.float64]
Json = dict[str, Any]


def widened(prob: Problem, results: Sequence[FoldResult]) -> tuple[list[Json], Json]:
    """Options of each fold's task, from the folds before it, and of the final program's, from all of them."""
    assert prob.rows is not None
    (name,) = results[0].program.tasks
    declared = prob.spec.tasks[name]
    if not (isinstance(declared, HorizonsTask) and declared.widen):
        return [{} for _ in results], {}
    missed = [_missed(result, name, prob.rows, result.fold.test) for result in results]
    task = results[0].program.tasks[name]
    each = [_widening(task, missed[:k]) for k in range(len(results))]
    return [{name: options} for options in each], {name: _widening(task, missed)}


def _missed(result: FoldResult, name: str, rows: Rows, test: Index) -> Floats:
    """How far what came lay above each quantile, over the scale, (n, H, Q)."""
    task, part = result.program.task(name), rows.take(test)
    said = answers(result.program, task, part)
    y = part.targets[FUTURE]
    if task.options["transform"] == "log":
        said, y = np.log(said), np.log(y)
    scale = np.asarray(part.fields[task.options["scale"]], dtype=np.float64)
    found: Floats = (y[:, :, None] - said.reshape(*y.shape, -1)) / scale[:, :, None]
    return found


def _widening(task: Task, missed: Sequence[Floats]) -> Json:
    """By step and quantile, away from the median; what too few rows cannot promise stays where it is."""
    if not missed:
        return {}
    joined, levels = np.concatenate(missed), task.options["quantiles"]
    horizon, middle = joined.shape[1], levels.index(0.5)
    move = np.zeros((horizon, len(levels)))
    for h in range(horizon):
        above = joined[np.isfinite(joined[:, h, middle]), h]
        for j, level in enumerate(levels):
            if j != middle and len(above):
                sign = 1.0 if j > middle else -1.0
                limit = threshold(sign * above[:, j], level if j > middle else 1.0 - level)
                move[h, j] = sign * max(0.0, limit) if np.isfinite(limit) else 0.0
    # An outer quantile moves at least as far as an inner one, so that none cross.
    move[:, middle:] = np.maximum.accumulate(move[:, middle:], axis=1)
    move[:, : middle + 1] = np.minimum.accumulate(move[:, middle::-1], axis=1)[:, ::-1]
    return {"widening": np.round(move, 6).tolist()} if move.any() else {}
