"""Fairness of a table's task over the fields that the spec declares sensitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pellucid.assemble import Problem
from pellucid.core.errors import SpecError, nearest
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.evidence.fairness import Group, gaps, group_metrics
from pellucid.evidence.metrics import class_codes, probabilities
from pellucid.evidence.slices import groups_of
from pellucid.explain import effect_of_do

MOST = 2000  # rows on which an effect is measured


def fairness_extra(
    program: Program, task: Task, rows: Rows, table: pd.DataFrame, fields: Sequence[str], *, seed: int
) -> list[dict[str, Any]]:
    """An entry per sensitive field: groups and gaps (two classes), and the effect of do(field).

    Args:
        rows, table: raw rows and the outputs of fits that had not seen them, row by row.
        fields: names of inputs. The effect is that of one fold's program on these rows: it needs no labels.
    """
    found: list[dict[str, Any]] = []
    few = rows.take(np.arange(len(rows))[:MOST])
    for field in fields:
        effect = effect_of_do(program, few, task.name, field, donors=few, seed=seed)
        moved = effect.relative
        entry: dict[str, Any] = {"field": field, "effect": float(moved.mean()) if np.isfinite(moved).all() else None}
        if task.kind == "classify" and len(task.options["classes"]) == 2:
            outputs = table[[c for c in table if str(c).startswith("out:")]].to_numpy(dtype=float)
            predicted = probabilities(outputs, task)[:, 1]
            came = class_codes(table["y"].to_numpy().astype(str), task).astype(np.float64)
            groups = groups_of(field, np.asarray(rows.fields[field]).reshape(len(rows), -1)[:, 0])
            entry["groups"] = [_group(one) for one in group_metrics(groups, came, predicted)]
            entry["gaps"] = [gap.__dict__ for gap in gaps(groups, came, predicted, seed=seed)]
        found.append(entry)
    return found


def require_sensitive(prob: Problem) -> None:
    """The sensitive fields are inputs: told before anything is fitted."""
    known = [field.name for field in prob.fields]
    for name in getattr(prob.spec.data, "sensitive", []):
        if name not in known:
            raise SpecError(
                f"the sensitive field '{name}' is no input.",
                where="data.sensitive",
                mend=nearest(name, known) or f"use some of {', '.join(known[:8])}",
            )


def _group(one: Group) -> dict[str, Any]:
    shares = {name: getattr(one, name) for name in ("selected", "found", "alarms", "calibration")}
    told = {
        name: {key: value if np.isfinite(value) else None for key, value in share.__dict__.items()}
        for name, share in shares.items()
    }
    return {"name": one.name, "n": one.n, **told}
