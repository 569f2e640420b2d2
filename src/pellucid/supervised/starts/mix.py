"""A mix of linear forecasters, weighed by how they did on later rows than they were fitted on.

Averages of forecasts are hard to beat (Bates & Granger 1969). The weights are never negative, sum to one, and minimise
the mean absolute error of the mix over three later parts of the training rows, by exponentiated gradient (Kivinen &
Warmuth 1997) from equal ones. Every series has forecasters of its own and, where there are several, those of all rows;
what its residuals were in the later parts gives the first quantiles.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.supervised.starts import ALL, applied
from pellucid.supervised.starts.shape import Shape

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

CUTS = (0.5, 0.65, 0.8, 1.0)  # of the training rows: fitted on what is before, weighed on what is between
STEPS, RATE = 100, 1.0  # of the exponentiated gradient
LEAST = 30  # rows without which a series begins like all others
SPREAD = 60  # rows of later parts from which on a series has quantiles of its own
LOCAL = 200  # series: of more, none has forecasters of its own
NARROW = 1e-3  # least distance of two quantiles, scales


@dataclass(frozen=True)
class Mix:
    """What rows are told at first, by series; the last entry is that of unknown series.

    Args:
        maps: (G + 1, H, L + 2).
        spread: quantiles of what is left, (G + 1, H, Q), zero at the median.
        weights: of each forecaster in the mix of all series, by name.
    """

    maps: Floats
    spread: Floats
    weights: dict[str, float]


def mixed(
    x: Floats,
    target: Floats,
    codes: Codes,
    groups: int,
    shape: Shape,
    quantiles: Sequence[float],
    names: Sequence[str] = tuple(ALL),
) -> Mix:
    """Fit and weigh.

    Args:
        x: lags and mean, (n, L + 1), in order of time.
        target: steps ahead, (n, H), NaN where they are not known.
        codes: the series of each row, (n,), of `groups` in all.
        names: the forecasters.
    """
    there = np.isfinite(target).all(1)
    if there.sum() >= LEAST:  # a few unknown steps are not worth their trouble
        x, target, codes = x[there], target[there], codes[there]
    common, weights, left = _entry(x, target, shape, names, [], gap=shape.horizon * max(1, groups))
    maps = np.repeat(common[None], groups + 1, 0)
    spread = np.repeat(_quantiles(left, quantiles)[None], groups + 1, 0)
    for g in range(groups if 1 < groups <= LOCAL else 0):
        mine = codes == g
        if mine.sum() < LEAST:
            continue
        maps[g], _, left = _entry(x[mine], target[mine], shape, names, [common], gap=shape.horizon)
        if len(left) >= SPREAD:
            spread[g] = _quantiles(left, quantiles)
    return Mix(maps, spread, dict(zip(names, weights.tolist(), strict=True)))


def _entry(
    x: Floats, target: Floats, shape: Shape, names: Sequence[str], given: Sequence[Floats], *, gap: int
) -> tuple[Floats, Floats, Floats]:
    """(map, weights, errors of the mix in the later parts) of one set of rows.

    Args:
        given: maps that are not fitted here.
        gap: rows between those that are fitted on and those that weigh, whose steps ahead would overlap.
    """
    n, errors = len(x), []
    for begin, end in itertools.pairwise(CUTS):
        first, last = round(begin * n), round(end * n)
        before, later = slice(0, max(3, first - gap + 1)), slice(first, last)
        if last <= first:
            continue
        fitted = [ALL[name](x[before], target[before], shape) for name in names]
        errors.append(np.stack([applied(x[later], one) - target[later] for one in (*fitted, *given)]))
    joined = np.concatenate(errors, axis=1)
    weights = simplex(joined) if joined.shape[0] > 1 else np.ones(1)
    whole = np.stack([*(ALL[name](x, target, shape) for name in names), *given])
    return np.tensordot(weights, whole, 1), weights, -np.tensordot(weights, joined, 1)


def simplex(errors: Floats) -> Floats:
    """Weights (k,) of the least mean absolute error of a mix of errors (k, n, H)."""
    errors = errors[:, np.isfinite(errors).all((0, 2))]
    k = len(errors)
    weights, total = np.full(k, 1.0 / k), np.zeros(k)
    size = float(np.abs(errors).mean()) if errors.size else 0.0
    if size <= 0:
        return weights
    for step in range(STEPS):
        sign = np.sign(np.tensordot(weights, errors, 1))
        gradient = (errors * sign).mean((1, 2)) / size
        weights = weights * np.exp(-RATE * (gradient - gradient.min()) / np.sqrt(step + 1.0))
        weights /= weights.sum()
        total += weights
    return total / STEPS


def _quantiles(left: Floats, quantiles: Sequence[float]) -> Floats:
    """Quantiles of what came less what was said, by step ahead, (H, Q); the median stays where it is."""
    levels = np.asarray(quantiles)
    found = np.nanquantile(left, levels, axis=0).T
    found[:, levels == 0.5] = 0.0
    middle = int(np.flatnonzero(levels == 0.5)[0])
    for j in range(middle + 1, len(levels)):
        found[:, j] = np.maximum(found[:, j], found[:, j - 1] + NARROW)
    for j in range(middle - 1, -1, -1):
        found[:, j] = np.minimum(found[:, j], found[:, j + 1] - NARROW)
    return np.asarray(found)
