"""Further evidence by the form of a table's task: of labels, of an order, of quantiles, of a distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.evidence import calibration, curves
from pellucid.evidence.baselines import spoken
from pellucid.evidence.baselines.context import Answer
from pellucid.evidence.densities import pit_error
from pellucid.evidence.metrics import density_of, exceedance, median_rank, probabilities, quantile_levels
from pellucid.evidence.metrics import resolve as metric_named

MOST_EVENTS = 50_000
MOST_LABELS = 100
MOST_CLASSES = 20
DRAWS = 200
PIT_LEVELS = np.arange(1, 20) / 20
ALSO = {"multilabel": ("hamming",), "ordinal": ("rank_error", "log_loss"), "distribution": ("crps",)}
Floats = npt.NDArray[np.float64]
Json = dict[str, Any]


def also_judged(task: Task, y: Any, outputs: Floats, answers: list[Answer]) -> Json:
    """Other metrics of the program beside those of the baselines: metric -> who -> mean."""
    found: Json = {}
    for name in ALSO.get(task.form, ()):
        loss = metric_named(name).loss
        said: Mapping[str, Any] = {spoken(answer.name): answer.outputs for answer in answers}
        means = {who: float(loss(y, each, task).mean()) for who, each in said.items() if each is not None}
        found[name] = {"this program": float(loss(y, outputs, task).mean()), **means}
    return found


def reliability(task: Task, predicted: Floats, came: Floats, seed: int) -> Json:
    """Of events, each with its probability: calibration error beside its null, Brier's parts, the curve."""
    null, null_high = calibration.null_error(predicted, seed=seed)
    parts = calibration.brier(predicted, came)
    return {
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


def _events(chance: Floats, came: npt.NDArray[np.bool_], seed: int) -> tuple[Floats, Floats]:
    """All events of all rows, or as many as are enough."""
    p, y = chance.reshape(-1), came.reshape(-1).astype(np.float64)
    if len(p) > MOST_EVENTS:
        drawn = np.sort(stream(seed, "evidence/events").permutation(len(p))[:MOST_EVENTS])
        p, y = p[drawn], y[drawn]
    return p, y


def labelled(task: Task, on: npt.NDArray[np.bool_], outputs: Floats, seed: int) -> Json:
    """Every label's ranking and decisions; calibration of all labels together.

    Args:
        on: the labels that rows have, shape (n, k).
    """
    chance, names = probabilities(outputs, task), [str(name) for name in task.options["classes"]]
    said = chance > 0.5
    hits, alarms, missed = ((a & b).sum(axis=0).astype(float) for a, b in ((said, on), (said, ~on), (~said, on)))
    labels = []
    for j in np.argsort(-on.sum(axis=0), kind="stable")[:MOST_LABELS]:
        row: Json = {"name": names[j], "n": int(on[:, j].sum()), "auc": None, "low": None, "high": None}
        if 0 < row["n"] < len(on):
            curve = curves.roc(on[:, j], chance[:, j])
            row |= {"auc": curve.area, "low": curve.low, "high": curve.high}
        labels.append({**row, "f1": _f1(hits[j], alarms[j], missed[j])})
    areas, scores = ([row[key] for row in labels if row[key] is not None] for key in ("auc", "f1"))
    return {
        **reliability(task, *_events(chance, on, seed), seed),
        "labels": labels,
        "macro_auc": float(np.mean(areas)) if areas else None,
        "macro_f1": float(np.mean(scores)) if scores else None,
        "micro_f1": _f1(hits.sum(), alarms.sum(), missed.sum()),
        "all_labels_right": float((said == on).all(axis=1).mean()),
    }


def _f1(hits: float, alarms: float, missed: float) -> float | None:
    whole = 2 * hits + alarms + missed
    return float(2 * hits / whole) if whole else None


def ranked(task: Task, codes: npt.NDArray[np.int64], outputs: Floats, seed: int) -> Json:
    """The median class against the true one; calibration of "more than k", for all k together."""
    classes = [str(name) for name in task.options["classes"]]
    said = median_rank(outputs)
    came = codes[:, None] > np.arange(outputs.shape[1])
    counts = curves.confusion(codes, said, len(classes))
    found = reliability(task, *_events(exceedance(outputs), came, seed), seed)
    if len(classes) <= MOST_CLASSES:
        found["confusion"] = {"classes": classes, "counts": counts.tolist()}
    return found | {"kappa": weighted_kappa(counts), "accuracy": float((said == codes).mean())}


def weighted_kappa(counts: npt.NDArray[np.int64]) -> float | None:
    """Agreement beyond chance, weighed by squared distance in ranks (Cohen 1968); None when there is one class.

    Args:
        counts: rows by (true class, said class), shape (k, k).
    """
    k = len(counts)
    distance = (np.arange(k)[:, None] - np.arange(k)) ** 2
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    chance = float((distance * expected).sum())
    return 1.0 - float((distance * counts).sum()) / chance if chance else None


def spread(task: Task, y: Floats, outputs: Floats, seed: int) -> Json:
    """How often what came lay below each quantile; of a distribution, at twenty levels by F(y)."""
    if task.form == "quantiles":
        levels = quantile_levels(task)
        below = (y[:, None] <= outputs).mean(axis=0)
        error = float(np.abs(below - levels).mean())
    elif task.form == "distribution":
        u = density_of(task).cdf(y, outputs)
        levels, error = PIT_LEVELS, pit_error(u, PIT_LEVELS)
        below = np.searchsorted(np.sort(u), levels, side="right") / len(u)
    else:
        return {}
    null = uniform_errors(len(y), levels, seed)
    points = []
    for level, share in zip(levels.tolist(), below.tolist(), strict=True):
        low, high = calibration.wilson(share * len(y), len(y))
        points.append({"predicted": level, "observed": share, "low": low, "high": high, "n": len(y)})
    told = {
        "error": error,
        "temperature": task.options.get("temperature"),
        "null_mean": float(null.mean()),
        "null_high": float(np.quantile(null, 0.95)),
    }
    return {"calibration": told, "reliability": points}


def uniform_errors(n: int, levels: Floats, seed: int) -> Floats:
    """`pit_error` of samples that are uniform: what a perfectly calibrated program gets by chance."""
    generator = stream(seed, "calibration/uniform")
    # Only how many lie between levels matters: no need to draw and sort the numbers themselves.
    gaps = np.diff(np.concatenate([[0.0], levels, [1.0]]))
    counts = generator.multinomial(n, gaps, size=DRAWS)[:, :-1]
    found: Floats = np.abs(np.cumsum(counts, axis=1) / n - levels).mean(axis=1)
    return found
