"""Calibration of class probabilities: do events that were given 80 % come in 80 of 100 cases?

One event a row is looked at: with two classes, that the second one comes; with more, that the likeliest one does. All
figures rest on bins of equally many rows, so that no bin is nearly empty. The calibration error of a sample is above
zero even for a perfectly calibrated program: `null_error` says how far, and no error below it means anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, ndtri

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence.intervals import Floats

__all__ = [
    "Brier",
    "Point",
    "brier",
    "calibration_error",
    "event",
    "fit_rank_temperature",
    "fit_scale",
    "fit_temperature",
    "null_error",
    "reliability_curve",
    "wilson",
]

Codes = npt.NDArray[np.int64]
PRIOR = 0.5  # deviation of log temperature
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are looked among


def event(codes: Codes, chance: Floats) -> tuple[Floats, Floats]:
    """The event of each row: its probability and whether it came (0 or 1), each (n,).

    Args:
        codes: true classes, shape (n,).
        chance: class probabilities, shape (n, k).
    """
    if len(codes) != len(chance) or not len(codes):
        raise DataError(f"{len(codes)} classes do not go with {len(chance)} rows of probabilities.", where="event(...)")
    if chance.shape[1] == 2:
        return chance[:, 1], (codes == 1).astype(np.float64)
    return chance.max(axis=1), (chance.argmax(axis=1) == codes).astype(np.float64)


def _edges(n: int, bins: int) -> npt.NDArray[np.int64]:
    """Where the bins of n sorted rows begin, and n."""
    return np.unique(np.linspace(0, n, min(bins, n) + 1).round().astype(np.int64))


def calibration_error(predicted: npt.ArrayLike, came: npt.ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: |mean prediction - frequency|, mean over bins of equally many rows.

    Args:
        predicted: probabilities, shape (n,).
        came: 0 or 1, shape (n,).
    Source: Naeini et al. 2015; equal-mass bins as in Nixon et al. 2019.
    """
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(came, dtype=np.float64)
    order, edges = np.argsort(p, kind="stable"), _edges(len(p), bins)
    gaps = np.add.reduceat((y - p)[order], edges[:-1])
    return float(np.abs(gaps).sum() / len(p))


def null_error(predicted: npt.ArrayLike, bins: int = 15, *, draws: int = 200, seed: int = 0) -> tuple[float, float]:
    """Mean and 95 % quantile of the calibration error if every event came with exactly its probability.

    Source: Bröcker & Smith 2007 (consistency resampling).
    """
    p = np.sort(np.asarray(predicted, dtype=np.float64))
    generator, edges = stream(seed, "calibration/null"), _edges(len(p), bins)
    found = np.empty(draws)
    for i in range(draws):
        gaps = np.add.reduceat((generator.random(len(p)) < p) - p, edges[:-1])
        found[i] = np.abs(gaps).sum() / len(p)
    return float(found.mean()), float(np.quantile(found, 0.95))


@dataclass(frozen=True)
class Brier:
    """Brier score and its parts: score = reliability - resolution + uncertainty + within (Stephenson et al. 2008).

    Args:
        score: mean squared error of the probability.
        reliability: how far the frequencies of the bins lie from their predictions; 0 is best.
        resolution: how far they lie from the overall frequency; large is good.
        uncertainty: of the event itself, p (1 - p).
        within: what the bins hide, as their predictions differ; 0 when each holds one probability.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier(predicted: npt.ArrayLike, came: npt.ArrayLike, bins: int = 15) -> Brier:
    """Brier score with Murphy's (1973) decomposition over bins of equally many rows.

    Args:
        predicted, came: as for `calibration_error`.
    """
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(came, dtype=np.float64)
    order, edges = np.argsort(p, kind="stable"), _edges(len(p), bins)
    size = np.diff(edges)
    mean_p = np.add.reduceat(p[order], edges[:-1]) / size
    mean_y = np.add.reduceat(y[order], edges[:-1]) / size
    share, base, score = size / len(p), float(y.mean()), float(((p - y) ** 2).mean())
    reliability = float(share @ (mean_p - mean_y) ** 2)
    resolution = float(share @ (mean_y - base) ** 2)
    uncertainty = base * (1 - base)
    return Brier(score, reliability, resolution, uncertainty, score - reliability + resolution - uncertainty)


@dataclass(frozen=True)
class Point:
    """Rows of similar prediction: mean prediction, frequency with its interval, number of rows."""

    predicted: float
    observed: float
    low: float
    high: float
    n: int


def wilson(hits: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share of n independent rows (Wilson 1927); (0, 1) without rows."""
    if n <= 0:
        return 0.0, 1.0
    z = float(ndtri((1 + level) / 2))
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def reliability_curve(predicted: npt.ArrayLike, came: npt.ArrayLike, bins: int = 10) -> list[Point]:
    """A point per bin of equally many rows, with Wilson's 95 % interval of its frequency."""
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(came, dtype=np.float64)
    order, edges = np.argsort(p, kind="stable"), _edges(len(p), bins)
    points = []
    for a, b in itertools.pairwise(edges):
        rows = order[a:b]
        low, high = wilson(float(y[rows].sum()), len(rows))
        points.append(Point(float(p[rows].mean()), float(y[rows].mean()), low, high, len(rows)))
    return points


def fit_temperature(logits: npt.ArrayLike, codes: Codes) -> float:
    """The number by which logits are to be divided: the one of least log loss on these rows (Guo et al. 2017).

    Looked for from 0.05 to 20, beside a weak prior: log temperature ~ normal(0, 0.5). It matters only where there are
    few rows, and keeps a program that made no mistake on them from being believed without bounds. No decision changes.

    Args:
        logits: of rows that were held out of training: (n, k), or (n, 1) log-odds of the second of two classes.
        codes: true classes, shape (n,).
    """
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or len(z) != len(codes) or not len(codes):
        raise DataError(f"{len(codes)} classes do not go with logits of shape {z.shape}.", where="fit_temperature(...)")
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)

    rows = np.arange(len(codes))
    return _temperature(lambda cooled: float(log_softmax(cooled, axis=1)[rows, codes].sum()), z, len(codes))


def fit_rank_temperature(logits: npt.ArrayLike, codes: Codes) -> float:
    """The same for log-odds of more than each class of an order, shape (n, k - 1)."""
    z, rows = np.asarray(logits, dtype=np.float64), np.arange(len(codes))
    ends = np.ones((len(z), 1))

    def likelihood(cooled: Floats) -> float:
        shares = -np.diff(np.concatenate([ends, expit(cooled), 0 * ends], axis=1), axis=1)
        return float(np.log(np.clip(shares[rows, codes], 1e-12, 1.0)).sum())

    return _temperature(likelihood, z, len(codes))


def _temperature(likelihood: Callable[[Floats], float], z: Floats, n: int) -> float:
    return _least(lambda log_t: -likelihood(z * np.exp(-log_t)), n)


def fit_scale(nll: Callable[[float], float], n: int) -> float:
    """The factor of least loss, looked for and held back as in `fit_temperature`.

    Args:
        nll: factor -> sum of the losses of n rows.
    """
    return _least(lambda log_t: nll(float(np.exp(log_t))), n)


def _least(nll: Callable[[float], float], n: int) -> float:
    def loss(log_t: float) -> float:
        return float(log_t**2 / (2 * PRIOR**2) + nll(log_t)) / n

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))
