"""One task's entry of the evidence: plain JSON, drawn by `pellucid.report` and read by a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.rows import Index
from pellucid.core.task import Task
from pellucid.evidence.baselines import about, spoken
from pellucid.evidence.baselines.context import Answer
from pellucid.evidence.intervals import finite, mean_interval
from pellucid.evidence.metrics import label_and_unit
from pellucid.evidence.verdict import Margin, judge

__all__ = ["FoldRows", "joined", "measured", "task_entry"]


@dataclass(frozen=True)
class FoldRows:
    """Which of the judged rows a fold tested, and how to name its parts ("1999-01-04..2008-12-31")."""

    train: str
    test: str
    rows: Index


def joined(parts: Sequence[Answer]) -> Answer:
    """One baseline's answers over several folds as one, in fold order; a note in one fold notes the whole."""
    notes = [part.note for part in parts if part.losses is None]
    outputs = [part.outputs for part in parts if part.outputs is not None]
    losses = [part.losses for part in parts if part.losses is not None]
    if notes or not losses:
        return Answer(parts[0].name, parts[0].role, None, None, notes[0] if notes else "no rows")
    whole = np.concatenate(outputs) if len(outputs) == len(parts) else None
    return Answer(parts[0].name, parts[0].role, whole, np.concatenate(losses))


def task_entry(
    task: Task,
    losses: npt.ArrayLike,
    answers: Sequence[Answer],
    *,
    block: float = 1,
    margin: float | Margin = 0.01,
    seed: int = 0,
    constant: bool = False,
    folds: Sequence[FoldRows] = (),
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A task's entry of the evidence JSON.

    Args:
        losses: the program's, shape (n,); the rows of all folds, one after the other.
        answers: baselines on the same rows, see `baselines.answer` and `joined`.
        block, margin, seed, constant: as for `judge`.
        folds: where each fold's rows lie within `losses`.
    Returns:
        JSON values only; bounds that are infinite or missing are None. Differences are program - baseline, so that
        negative is better. A baseline that could not be computed keeps its row, with a note and no numbers.
    """
    own = finite(losses, where=f"losses of task '{task.name}'")
    there = {answer.name: answer.losses for answer in answers if answer.losses is not None}
    roles = {answer.name: answer.role for answer in answers}
    verdict = judge(own, there, roles, task=task, block=block, margin=margin, seed=seed, constant=constant)
    rows = []
    for answer in answers:
        row: dict[str, Any] = {"name": answer.name, "role": answer.role, "note": answer.note}
        row |= {"label": spoken(answer.name), "about": about(task.form, answer.name)}
        row |= dict.fromkeys(("value", "low", "high", "difference", "difference_low", "difference_high"))
        if answer.losses is not None:
            own_interval = mean_interval(answer.losses, block=block, seed=seed, name=f"{task.name}/{answer.name}")
            pair = verdict.against[answer.name]
            row |= {"value": own_interval.value, "low": number(own_interval.low), "high": number(own_interval.high)}
            row |= {
                "difference": pair.change,
                "difference_low": number(pair.low),
                "difference_high": number(pair.high),
            }
        rows.append(row)
    return {
        **measured(task, own, block=block, seed=seed),
        "baselines": rows,
        "best_baseline": verdict.best,
        "verdict": verdict.verdict,
        "skill": verdict.skill,
        "sentence": verdict.sentence,
        "folds": [
            {
                "train": fold.train,
                "test": fold.test,
                "n": len(fold.rows),
                "value": float(own[fold.rows].mean()),
                "baselines": {name: float(values[fold.rows].mean()) for name, values in there.items()},
            }
            for fold in folds
        ],
        "extra": dict(extra or {}),
    }


def measured(task: Task, own: npt.NDArray[np.float64], *, block: float, seed: int) -> dict[str, Any]:
    """What an entry says of the program alone: its metric over the rows (n,), with an interval."""
    interval = mean_interval(own, block=block, seed=seed, name=task.name)
    label, unit = label_and_unit(task)
    return {
        "task": task.name,
        "kind": task.kind,
        "metric": task.metric,
        "label": label,
        "unit": unit,
        "better": "lower",
        "n": len(own),
        "value": interval.value,
        "low": number(interval.low),
        "high": number(interval.high),
        "method": interval.method,
    }


def number(value: float) -> float | None:
    """A float that JSON can hold, or None."""
    return float(value) if np.isfinite(value) else None
