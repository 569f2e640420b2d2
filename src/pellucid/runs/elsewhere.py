"""Evidence on rows that a person gives: the same figures of a table as at the fit, with or without its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.assemble import Problem, problem
from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.evidence.baselines import Answer
from pellucid.evidence.entry import measured
from pellucid.evidence.intervals import finite
from pellucid.runs.fair import fairness_extra
from pellucid.runs.form_evidence import also_judged
from pellucid.runs.table_evidence import LEVEL, MOST, table_extra
from pellucid.spec.model import Spec

Floats = npt.NDArray[np.float64]


def own_problem(spec: Spec) -> tuple[Problem | None, str]:
    """The data that a version was fitted on, or None and why they are not at hand."""
    try:
        return problem(spec), ""
    except DataError as error:
        return None, error.what.rstrip(".")


def given_extra(
    program: Program,
    task: Task,
    rows: Rows,
    table: pd.DataFrame,
    answers: list[Answer],
    *,
    sensitive: Sequence[str] = (),
    seed: int,
) -> dict[str, Any]:
    """What stands beside the metric: calibration, slices, curves, coverage of the program's own sets, groups.

    Args:
        rows, table: raw rows and what the program said of them, row by row; only rows that have a loss.
        answers: of baselines on the same rows.
    """
    outputs = table[[c for c in table if str(c).startswith("out:")]].to_numpy(dtype=float)
    also = also_judged(task, table["y"].to_numpy(), outputs, answers)
    if len(table) > MOST:
        drawn = np.sort(stream(seed, "evidence/table").permutation(len(table))[:MOST])
        rows, table = rows.take(drawn), table.iloc[drawn]
    # New rows are as exchangeable with those that set the threshold as any: the coverage is a check of that.
    limit = float((task.options.get("conformal") or {}).get(f"{LEVEL:g}", np.nan))
    found = table_extra(task, rows, table, np.full(len(table), limit), seed=seed) | also
    if sensitive:
        found["fairness"] = fairness_extra(program, task, rows, table, sensitive, seed=seed)
    return found


def entry_alone(task: Task, losses: npt.ArrayLike, why: str, *, block: float, seed: int, extra: Any) -> dict[str, Any]:
    """An evidence entry without baselines: a figure with its interval, and no verdict."""
    own = finite(losses, where=f"losses of task '{task.name}'")
    return {
        **measured(task, own, block=block, seed=seed),
        "baselines": [],
        "best_baseline": None,
        "verdict": "undecided",
        "skill": False,
        "sentence": f"{task.name}: without baselines nothing is said of skill: {why}.",
        "folds": [],
        "extra": extra,
    }
