"""Further evidence of a table's tasks: calibration, coverage, the worst slices, curves, likely label errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.evidence import calibration, curves
from pellucid.evidence.label_errors import likely_errors
from pellucid.evidence.metrics import coded, density_of, probabilities, quantile_levels
from pellucid.evidence.slices import worst_slices
from pellucid.runs.form_evidence import labelled, ranked, reliability, spread
from pellucid.runs.promises import bounds, sets, strangeness

LEVEL = 0.9  # of sets and intervals, in the evidence
MOST = 50_000  # rows that are looked at
DRAWN = 120  # points of a curve
SEVERAL = 40  # points of one of several curves
NAMED = 10  # likely label errors
MOST_CLASSES = 20
Floats = npt.NDArray[np.float64]
Json = dict[str, Any]


def table_extra(task: Task, rows: Rows, table: pd.DataFrame, limits: Floats, *, seed: int) -> Json:
    """What stands in an evidence entry beside the metric.

    Args:
        rows: raw rows of all folds, one after the other.
        table: their outputs table, by fits that had not seen them.
        limits: the conformal threshold of each row, from rows of other folds; NaN where there is none. Shape (n,).
    Returns:
        JSON values; `extra` of the evidence entry.
    """
    outputs = table[[c for c in table if str(c).startswith("out:")]].to_numpy(dtype=float)
    losses = table["loss"].to_numpy(dtype=float)
    fields = {name: rows.fields[name] for name in task.inputs if name in rows.fields}
    y = coded(table["y"].to_numpy(), task)
    found: Json = {"slices": _slices({n: v for n, v in fields.items() if v.ndim == 1}, losses, seed)}
    if task.kind == "classify":
        found |= _classified(task, y, outputs, table["key"].astype(str).tolist(), seed)
    elif task.kind == "multilabel":
        found |= labelled(task, y, outputs, seed)
    elif task.kind == "ordinal":
        found |= ranked(task, y, outputs, seed)
    else:
        found |= {"residuals": _residuals(y, _middle(task, outputs)), **spread(task, y, outputs, seed)}
    return found | _covered(task, y, outputs, limits)


def _slices(fields: dict[str, Any], losses: Floats, seed: int) -> Json:
    found = worst_slices(fields, losses, seed=seed)
    return {
        "looked_at": found.looked_at,
        "level": 0.05,
        "found": [
            {"name": s.name, "n": s.n, "value": s.value, "rest": s.rest, "difference_low": s.low, "q": s.q}
            for s in found.slices
        ],
    }


def _classified(task: Task, codes: Any, outputs: Floats, keys: list[str], seed: int) -> Json:
    chance = probabilities(outputs, task)
    classes = [str(name) for name in task.options["classes"]]
    found = reliability(task, *calibration.event(codes, chance), seed)
    if len(classes) <= MOST_CLASSES:
        counts = curves.confusion(codes, chance.argmax(axis=1), len(classes))
        found["confusion"] = {"classes": classes, "counts": counts.tolist()}
    if len(classes) == 2 and 0 < (codes == 1).sum() < len(codes):
        for name, curve in (("roc", curves.roc), ("precision_recall", curves.precision_recall)):
            found[name] = _drawn(curve(codes == 1, chance[:, 1])) | {"event": classes[1]}
    elif 2 < len(classes) <= MOST_CLASSES:
        found["each_class"] = _each_class(codes, chance, classes)
    if len(np.unique(codes)) == len(classes):
        found["label_errors"] = _labels(codes, chance, classes, keys)
    return found


def _middle(task: Task, outputs: Floats) -> Floats:
    """The point that stands for a number's quantiles or distribution, shape (n,)."""
    if task.form == "distribution":
        return density_of(task).quantile(0.5, outputs)
    if task.form == "quantiles":
        return outputs[:, int(np.abs(quantile_levels(task) - 0.5).argmin())]
    return outputs[:, 0]


def _residuals(y: Floats, predicted: Floats) -> Json:
    left = curves.residuals(y, predicted)
    names = ("predicted", "observed", "low", "high", "n")
    return {
        "mean": left.mean,
        "sd": left.sd,
        "r2": left.r2 if np.isfinite(left.r2) else None,
        "bins": [{k: v if np.isfinite(v) else None for k, v in zip(names, row, strict=True)} for row in left.bins],
    }


def _covered(task: Task, y: Any, outputs: Floats, limits: Floats) -> Json:
    """How often the sets or intervals held the truth; empty where none are promised."""
    known = np.isfinite(limits)
    if not known.any():
        return {}
    held = strangeness(task, outputs, y, LEVEL)[known] <= limits[known]
    size = np.zeros(len(outputs))
    for limit in np.unique(limits[known]):
        mine = limits == limit
        if task.kind == "regress":
            low, high = bounds(task, outputs[mine], float(limit), LEVEL)
            size[mine] = high - low
        else:
            size[mine] = sets(task, outputs[mine], float(limit)).sum(axis=1)
    unit = {"regress": "target units", "multilabel": "labels"}.get(task.kind, "classes")
    low_share, high_share = calibration.wilson(float(held.sum()), len(held))
    told = {"level": LEVEL, "coverage": float(held.mean()), "low": low_share, "high": high_share}
    return {"conformal": {**told, "size": float(size[known].mean()), "unit": unit}}


def _each_class(codes: Any, chance: Floats, classes: list[str]) -> list[Json]:
    """Each class against all others: its curves, where there are rows of both; the class of least area first."""
    found = [
        {
            "event": name,
            "n": int((codes == i).sum()),
            "roc": _drawn(curves.roc(codes == i, chance[:, i]), SEVERAL),
            "precision_recall": _drawn(curves.precision_recall(codes == i, chance[:, i]), SEVERAL),
        }
        for i, name in enumerate(classes)
        if 0 < (codes == i).sum() < len(codes)
    ]
    return sorted(found, key=lambda one: float(one["roc"]["area"]))


def _drawn(curve: curves.Curve, most: int = DRAWN) -> Json:
    """About 120 points draw the same picture as thousands."""
    keep = np.unique(np.linspace(0, len(curve.x) - 1, min(most, len(curve.x))).round().astype(int))
    return {
        "x": curve.x[keep].tolist(),
        "y": curve.y[keep].tolist(),
        "area": curve.area,
        "low": curve.low,
        "high": curve.high,
    }


def _labels(codes: Any, chance: Floats, classes: list[str], keys: list[str]) -> Json:
    found = likely_errors(codes, chance)
    shown = range(min(NAMED, found.expected))
    return {
        "expected": found.expected,
        "rows": [
            {
                "key": keys[int(found.rows[i])],
                "label": classes[int(codes[found.rows[i]])],
                "suggested": classes[int(found.suggested[i])],
                "quality": float(found.quality[i]),
            }
            for i in shown
        ],
    }
