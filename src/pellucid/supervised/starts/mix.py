"""A mix of linear forecasters, weighed by how they did on later rows than they were fitted on.

Averages of forecasts are hard to beat (Bates & Granger 1969), equal ones often hardest (Timmermann 2006). The weights
are never negative, sum to one, and minimise the mean absolute error of the mix over three later parts of the training
rows, less what keeps them equal where these are few; by exponentiated gradient (Kivinen & Warmuth 1997) from equal
ones. Every series has forecasters of its own and, where there are several, those of all rows; what its residuals were
in the later parts gives the first quantiles.
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
STEPS, RATE = 300, 1.0  # of the exponentiated gradient; its second half is averaged
LEAST = 30  # rows without which a series begins like all others
SPREAD = 60  # rows of later parts from which on a series has quantiles of its own
LOCAL = 200  # series: of more, none has forecasters of its own
TINY = 1e-12
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
    names: Sequence[str],
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
    common = _tried(x, target, np.arange(len(x)), shape, names, gap=shape.horizon * max(1, groups))
    weights, left = common.weighed()
    maps = np.repeat(np.tensordot(weights, common.maps, 1)[None], groups + 1, 0)
    spread = np.repeat(_quantiles(left, quantiles)[None], groups + 1, 0)
    for g in range(groups if 1 < groups <= LOCAL else 0):
        mine = np.flatnonzero(codes == g)
        if len(mine) < LEAST:
            continue
        both = _tried(x[mine], target[mine], mine, shape, names, gap=shape.horizon).beside(common)
        own, left = both.weighed()
        maps[g] = np.tensordot(own, both.maps, 1)
        if len(left) >= SPREAD:
            spread[g] = _quantiles(left, quantiles)
    return Mix(maps, spread, dict(zip(names, weights.tolist(), strict=True)))


@dataclass(frozen=True)
class _Tried:
    """Forecasters fitted on some rows, and how far earlier fits of theirs missed later ones.

    Args:
        maps: (k, H, L + 2), of all the rows.
        rows: which rows are the later ones, (m,), ascending.
        errors: what was said less what came, (k, m, H).
    """

    maps: Floats
    rows: Codes
    errors: Floats

    def weighed(self) -> tuple[Floats, Floats]:
        """Weights (k,), and what came less what their mix said, (m, H)."""
        weights = simplex(self.errors)
        return weights, -np.tensordot(weights, self.errors, 1)

    def beside(self, others: _Tried) -> _Tried:
        """These and others, at the rows on which both were tried."""
        rows, here, there = np.intersect1d(self.rows, others.rows, assume_unique=True, return_indices=True)
        errors = np.concatenate([self.errors[:, here], others.errors[:, there]])
        return _Tried(np.concatenate([self.maps, others.maps]), rows, errors)


def _tried(x: Floats, target: Floats, rows: Codes, shape: Shape, names: Sequence[str], *, gap: int) -> _Tried:
    """Fit all rows, and three times those before some later ones.

    Args:
        rows: their places among all, (n,).
        gap: rows between those that are fitted on and the later ones, whose steps ahead would overlap.
    """
    n, errors = len(x), []
    for begin, end in itertools.pairwise(CUTS):
        first, last = round(begin * n), round(end * n)
        before, later = slice(0, max(3, first - gap + 1)), slice(first, last)
        if last > first:
            maps = (ALL[name](x[before], target[before], shape) for name in names)
            errors.append(np.stack([applied(x[later], one) - target[later] for one in maps]))
    whole = np.stack([ALL[name](x, target, shape) for name in names])
    return _Tried(whole, rows[round(CUTS[0] * n) :], np.concatenate(errors, axis=1))


def simplex(errors: Floats) -> Floats:
    """Weights w (k,) of the least |error| of a mix of errors (k, n, H), relative to its size, + H / n KL(w, equal).

    The n rows overlap in their steps ahead, so that they tell as much as n / H: few of them leave the weights equal.
    """
    errors = errors[:, np.isfinite(errors).all((0, 2))]
    k, rows, horizon = errors.shape
    weights, total = np.full(k, 1.0 / k), np.zeros(k)
    errors = errors.reshape(k, -1)
    size = float(np.abs(errors).mean()) if errors.size else 0.0
    if size <= 0 or k == 1:
        return weights
    for step in range(STEPS):
        gradient = errors @ np.sign(weights @ errors) / (errors.shape[1] * size)
        gradient = gradient + horizon / rows * np.log(np.maximum(k * weights, TINY))
        weights = weights * np.exp(-RATE * (gradient - gradient.min()) / np.sqrt(step + 1.0))
        weights /= weights.sum()
        if step >= STEPS // 2:
            total += weights
    mean: Floats = total / total.sum()
    return mean


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
