"""What a classifier gets wrong and at what price, and what a regression leaves over: numbers for the pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtri
from scipy.stats import rankdata

from pellucid.core.errors import DataError
from pellucid.evidence.intervals import Floats

__all__ = ["Curve", "Residuals", "confusion", "precision_recall", "residuals", "roc"]

Codes = npt.NDArray[np.int64]
Z = float(ndtri(0.975))


def confusion(codes: Codes, predicted: Codes, k: int) -> npt.NDArray[np.int64]:
    """Counts of (true class, predicted class), shape (k, k)."""
    return np.bincount(codes * k + predicted, minlength=k * k).reshape(k, k)


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve with the area under it and its 95 % interval."""

    x: Floats
    y: Floats
    area: float
    low: float
    high: float


def _counts(positive: npt.ArrayLike, score: npt.ArrayLike, where: str) -> tuple[Floats, Floats]:
    """Hits and false alarms at every threshold that occurs, the strictest first."""
    label, value = np.asarray(positive, dtype=bool), np.asarray(score, dtype=np.float64)
    if label.all() or not label.any():
        raise DataError("there must be rows of both classes.", where=where)
    order = np.argsort(-value, kind="stable")
    last = np.flatnonzero(np.append(np.diff(value[order]) != 0, True))
    hits = np.cumsum(label[order])[last].astype(np.float64)
    return hits, last + 1 - hits


def roc(positive: npt.ArrayLike, score: npt.ArrayLike) -> Curve:
    """Share of false alarms against share of hits; the area is that of `metrics.auc`.

    The interval is DeLong's (1988), on the scale of log-odds so that it stays within 0 and 1.

    Args:
        positive: whether the event came, shape (n,).
        score: large where it is expected, shape (n,).
    """
    hits, alarms = _counts(positive, score, "roc(...)")
    x, y = np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])
    area = float(np.trapezoid(y, x))
    error = np.sqrt(_delong(np.asarray(positive, dtype=bool), np.asarray(score, dtype=np.float64)))
    return Curve(x, y, area, *_on_odds(area, error))


def _delong(positive: npt.NDArray[np.bool_], score: Floats) -> float:
    """Variance of the area under the ROC curve."""
    m, n = int(positive.sum()), int((~positive).sum())
    if m < 2 or n < 2:
        return float("inf")
    ranks = rankdata(score)
    above = (ranks[positive] - rankdata(score[positive])) / n  # each hit's share of false alarms below it
    below = 1.0 - (ranks[~positive] - rankdata(score[~positive])) / m
    return float(above.var(ddof=1) / m + below.var(ddof=1) / n)


def _on_odds(area: float, error: float) -> tuple[float, float]:
    if not 0 < area < 1 or not np.isfinite(error):
        return (area, area) if area in (0.0, 1.0) and np.isfinite(error) else (0.0, 1.0)
    half = Z * error / (area * (1 - area))
    return float(expit(logit(area) - half)), float(expit(logit(area) + half))


def precision_recall(positive: npt.ArrayLike, score: npt.ArrayLike) -> Curve:
    """Share of hits found against share of alarms that are right; the area is the average precision.

    The interval is the logit interval of Boyd, Eng & Page (2013).

    Args:
        positive, score: as for `roc`.
    """
    hits, alarms = _counts(positive, score, "precision_recall(...)")
    precision, recall = hits / (hits + alarms), hits / hits[-1]
    area = float((np.diff(recall, prepend=0.0) * precision).sum())
    error = float(np.sqrt(area * (1 - area) / hits[-1]))
    return Curve(np.append(0.0, recall), np.append(precision[0], precision), area, *_on_odds(area, error))


@dataclass(frozen=True, eq=False)
class Residuals:
    """Observed less predicted.

    Args:
        mean, sd: of all of them. r2: share of the variance that is explained.
        bins: rows of similar prediction: [mean prediction, mean residual, its 95 % interval, n].
    """

    mean: float
    sd: float
    r2: float
    bins: list[tuple[float, float, float, float, int]]


def residuals(y: npt.ArrayLike, predicted: npt.ArrayLike, bins: int = 10) -> Residuals:
    """Residuals and their means over equally many rows of similar prediction (Student-like, normal quantile).

    Args:
        y, predicted: shape (n,).
    """
    truth, said = np.asarray(y, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    left = truth - said
    parts = np.array_split(np.argsort(said, kind="stable"), max(1, min(bins, len(said) // 5)))
    table = []
    for rows in parts:
        mean = float(left[rows].mean())
        half = Z * float(left[rows].std(ddof=1)) / np.sqrt(len(rows)) if len(rows) > 1 else np.inf
        table.append((float(said[rows].mean()), mean, mean - half, mean + half, len(rows)))
    spread = float(((truth - truth.mean()) ** 2).mean())
    r2 = 1.0 - float((left**2).mean()) / spread if spread else float("nan")
    return Residuals(float(left.mean()), float(left.std()), r2, table)
