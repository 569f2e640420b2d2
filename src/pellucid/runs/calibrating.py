"""What a table program learns from its own folds: a temperature for its logits, and how strange a row may look.

Every training row is answered for once by a fit that had not seen it. A fold's own evidence uses what the *other* folds
say, so that no row is judged by numbers that were chosen on it; the final program uses all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.assemble import Problem
from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Index, Rows
from pellucid.core.task import TABLE_KINDS, Task
from pellucid.evidence.calibration import fit_rank_temperature, fit_scale, fit_temperature
from pellucid.evidence.conformal import threshold
from pellucid.evidence.metrics import coded, density_of
from pellucid.nn.program import NetworkProgram
from pellucid.runs.judge import FoldResult
from pellucid.runs.outputs import answers
from pellucid.runs.promises import bounds, sets, strangeness
from pellucid.runs.widening import widened
from pellucid.spec.series import SeriesData

MOST = 50_000  # rows of a fold: more would not move one number
SCALED = ("classify", "multilabel", "ordinal", "distribution")
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
Floats = npt.NDArray[np.float64]
Options = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class _Said:
    """What one fold's fit said of its test rows: outputs at temperature 1, and targets (as of `metrics.coded`)."""

    outputs: Floats
    y: npt.NDArray[Any]


def calibrated(prob: Problem, results: Sequence[FoldResult]) -> tuple[list[FoldResult], Options]:
    """The folds, each with what the others found, and what the final program is to be given, by task."""
    found: Options = {}
    each: list[Options] = [{} for _ in results]
    if prob.rows is not None and isinstance(prob.spec.data, SeriesData):
        each, found = widened(prob, results)
        return [replace(r, program=with_options(r.program, o)) for r, o in zip(results, each, strict=True)], found
    if prob.rows is None or prob.rows.times is not None or len(results) < 2:
        return list(results), found
    for name, task in results[0].program.tasks.items():
        if task.kind not in TABLE_KINDS:
            continue
        declared = prob.spec.tasks[name]
        scaled = bool(getattr(declared, "calibrate", False)) and task.form in SCALED
        said = [_said(r.program, r.program.task(name), prob.rows, r.fold.test) for r in results]
        for k, options in enumerate(each):
            options[name] = _options(task, [s for i, s in enumerate(said) if i != k], scaled)
        found[name] = _options(task, said, scaled)
    judged = [replace(r, program=with_options(r.program, options)) for r, options in zip(results, each, strict=True)]
    return judged, found


def with_options(program: NetworkProgram, options: Mapping[str, Mapping[str, Any]]) -> NetworkProgram:
    """The program with more options of its tasks."""
    tasks = {
        name: replace(task, options={**task.options, **options.get(name, {})}) for name, task in program.tasks.items()
    }
    return NetworkProgram(program.network, program.schema, tasks, program.encoding, program.deltas)


def _said(program: Program, task: Task, rows: Rows, test: Index) -> _Said:
    part = rows.take(test if len(test) <= MOST else np.sort(stream(0, "calibrating").permutation(test)[:MOST]))
    outputs = answers(program, task, part)
    y = coded(np.asarray(part.targets[task.options["target"]]), task)
    if task.kind != "regress":
        return _Said(outputs, y)
    known = np.isfinite(y)
    return _Said(outputs[known], y[known])


def _options(task: Task, said: Sequence[_Said], scaled: bool) -> dict[str, Any]:
    outputs, y = np.concatenate([s.outputs for s in said]), np.concatenate([s.y for s in said])
    found: dict[str, Any] = {}
    if scaled:
        found["temperature"] = round(_temperature(task, outputs, y), 6)
        outputs = _rescaled(task, outputs, found["temperature"])
    limits = {f"{level:g}": threshold(strangeness(task, outputs, y, level), level) for level in LEVELS}
    # What too few rows cannot promise is left out.
    return {**found, "conformal": {level: float(limit) for level, limit in limits.items() if np.isfinite(limit)}}


def _temperature(task: Task, outputs: Floats, y: npt.NDArray[Any]) -> float:
    if task.form == "distribution":
        family = density_of(task)
        return fit_scale(lambda factor: float(family.nll(y, _rescaled(task, outputs, factor)).sum()), len(y))
    if task.kind == "ordinal":
        return fit_rank_temperature(outputs, y)
    if task.kind == "multilabel":  # one for all labels
        return fit_temperature(outputs.reshape(-1, 1), y.reshape(-1).astype(np.int64))
    return fit_temperature(outputs, y)


def _rescaled(task: Task, outputs: Floats, temperature: float) -> Floats:
    """Outputs as of a task with this temperature: a distribution has another scale, logits are divided."""
    if task.form != "distribution":
        return outputs / temperature
    return np.concatenate([outputs[:, :1], temperature * outputs[:, 1:2], outputs[:, 2:]], axis=1)


def promised(task: Task, level: float) -> float:
    """The score that a row's truth stays below with probability `level`.

    Raises:
        DataError: the program has not kept this level.
    """
    kept: Mapping[str, float] = task.options.get("conformal") or {}
    if f"{level:g}" not in kept:
        raise DataError(
            f"task '{task.name}' keeps no intervals of {level:g}; there are {', '.join(kept) or 'none'}.",
            where="predict(interval=...)",
            mend="tables of enough rows keep 0.5, 0.8, 0.9, 0.95 and 0.99; fit again, or use one of these",
        )
    return float(kept[f"{level:g}"])


def with_interval(task: Task, outputs: Floats, level: float) -> dict[str, Any]:
    """Columns that hold the truth with probability `level`: `low` and `high`, or `set` (`a|b`)."""
    limit = promised(task, level)
    if task.kind == "regress":
        low, high = bounds(task, outputs, limit, level)
        return {"low": low, "high": high}
    inside = sets(task, outputs, limit)
    classes = np.asarray(task.options["classes"], dtype=object)
    return {"set": ["|".join(classes[row]) for row in inside]}
