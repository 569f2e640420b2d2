"""Further evidence of a table's tasks: calibration, coverage, the worst slices, curves, likely label errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.evidence import calibration, curves
from pellucid.evidence.conformal import lac_sets
from pellucid.evidence.label_errors import likely_errors
from pellucid.evidence.metrics import class_codes, probabilities
from pellucid.evidence.slices import worst_slices

LEVEL = 0.9  # of sets and intervals, in the evidence
MOST = 50_000  # rows that are looked at
DRAWN = 120  # points of a curve
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
    found: Json = {"slices": _slices({n: v for n, v in fields.items() if v.ndim == 1}, losses, seed)}
    if task.kind == "regress":
        y = table["y"].to_numpy(dtype=float)
        return found | _regressed(y, outputs[:, 0], limits, seed)
    codes = class_codes(table["y"].to_numpy().astype(str), task)
    return found | _classified(task, codes, outputs, limits, table["key"].astype(str).tolist(), seed)


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


def _classified(task: Task, codes: Any, outputs: Floats, limits: Floats, keys: list[str], seed: int) -> Json:
    chance = probabilities(outputs, task)
    predicted, came = calibration.event(codes, chance)
    null, null_high = calibration.null_error(predicted, seed=seed)
    parts = calibration.brier(predicted, came)
    classes = [str(name) for name in task.options["classes"]]
    found: Json = {
        "calibration": {
            "error": calibration.calibration_error(predicted, came),
            "null_mean": null,
            "null_high": null_high,
            "temperature": task.options.get("temperature"),
            "brier": {
                "score": parts.score,
                "reliability": parts.reliability,
                "resolution": parts.resolution,
                "uncertainty": parts.uncertainty,
                "within": parts.within,
            },
        },
        "reliability": [p.__dict__ for p in calibration.reliability_curve(predicted, came)],
    }
    known = np.isfinite(limits)
    if known.any():
        inside = np.zeros(chance.shape, dtype=bool)
        for limit in np.unique(limits[known]):
            inside[limits == limit] = lac_sets(chance[limits == limit], float(limit))
        held = inside[np.arange(len(codes)), codes][known]
        found["conformal"] = _coverage(held, float(inside[known].sum(axis=1).mean()), "classes")
    if len(classes) <= MOST_CLASSES:
        counts = curves.confusion(codes, chance.argmax(axis=1), len(classes))
        found["confusion"] = {"classes": classes, "counts": counts.tolist()}
    if len(classes) == 2 and 0 < (codes == 1).sum() < len(codes):
        for name, curve in (("roc", curves.roc), ("precision_recall", curves.precision_recall)):
            found[name] = _drawn(curve(codes == 1, chance[:, 1])) | {"event": classes[1]}
    if len(np.unique(codes)) == len(classes):
        found["label_errors"] = _labels(codes, chance, classes, keys)
    return found


def _regressed(y: Floats, predicted: Floats, limits: Floats, seed: int) -> Json:
    left = curves.residuals(y, predicted)
    names = ("predicted", "observed", "low", "high", "n")
    found: Json = {
        "residuals": {
            "mean": left.mean,
            "sd": left.sd,
            "r2": left.r2 if np.isfinite(left.r2) else None,
            "bins": [{k: v if np.isfinite(v) else None for k, v in zip(names, row, strict=True)} for row in left.bins],
        }
    }
    known = np.isfinite(limits)
    if known.any():
        held = np.abs(y - predicted)[known] <= limits[known]
        found["conformal"] = _coverage(held, float(2 * limits[known].mean()), "target units")
    return found


def _coverage(held: npt.NDArray[np.bool_], size: float, unit: str) -> Json:
    low, high = calibration.wilson(float(held.sum()), len(held))
    return {"level": LEVEL, "coverage": float(held.mean()), "low": low, "high": high, "size": size, "unit": unit}


def _drawn(curve: curves.Curve) -> Json:
    """About 120 points draw the same picture as thousands."""
    keep = np.unique(np.linspace(0, len(curve.x) - 1, min(DRAWN, len(curve.x))).round().astype(int))
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
