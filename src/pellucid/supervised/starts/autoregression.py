"""An autoregression that is shrunk towards the last value, iterated over the steps ahead.

With x_k = (y_(t-k) - y_t) / s, x_0 = 0 and m = (mean - y_t) / s, the next difference is

    (y_(t+1) - y_t) / s = sum_k a_k (x_(k-1) - x_k) + b m + c

Without b the series drifts, with it it returns to its mean. Least squares that add to the squared errors
strength * k^2 * a_k^2 for lags k and another strength for b, over the mean squares of their columns: old differences
say little, and of no data the last value is left (Litterman 1986). Lags around one season count as near ones. Of a
grid of strengths the five are averaged that erred least, all steps ahead, in later rows than they were fitted on.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from pellucid.supervised.starts.maps import mean_of_best, misses
from pellucid.supervised.starts.shape import Shape

Floats = npt.NDArray[np.float64]

LAGS = tuple(0.03 * 10.0**k for k in range(6))  # strengths, in rows
MEANS = (1.0, 30.0, 1e3, 1e7)
NEAR = 1.5  # as what lags around one season count
BEST = 5
PARTS = (0.4, 0.6, 0.8, 1.0)  # of the training rows: fitted on what is before, tried on what is between
LEAST = 8  # rows that are fitted on in a part
FEWEST = 3  # rows: of fewer the last value is left


def autoregression(x: Floats, target: Floats, shape: Shape) -> Floats:
    """The mean of the best of the grid."""
    there = np.isfinite(target).all(1)
    x, target = x[there], target[there]
    if len(x) < FEWEST:
        return np.zeros((shape.horizon, shape.window + 2))
    maps, n = grid(x, target, shape), len(x)
    missed = np.zeros(len(maps))
    for begin, end in itertools.pairwise(PARTS):
        first, last = int(begin * n), int(end * n)
        before = slice(0, max(LEAST, first - shape.horizon + 1))
        missed += misses(grid(x[before], target[before], shape), x[first:last], target[first:last]) * (last - first)
    return mean_of_best(maps, missed, BEST)


def grid(x: Floats, target: Floats, shape: Shape) -> Floats:
    """The maps of all strengths, with and without a drift, (G, H, L + 2)."""
    lags, season = np.arange(1, shape.window + 1), shape.season
    distance = np.where((np.abs(lags - season) <= 1) & (season > 1), np.minimum(lags, NEAR), lags)
    values = np.column_stack([np.zeros(len(x)), x[:, :-1]])
    columns = np.column_stack([values[:, :-1] - values[:, 1:], x[:, -1]])
    centre, aim = columns.mean(0), float(target[:, 0].mean())
    near = columns - centre
    gram, onto = near.T @ near, near.T @ (target[:, 0] - aim)
    size = (near**2).mean(0) + 1e-12
    ones = []
    for strength, returning in itertools.product(LAGS, MEANS):
        weights = np.linalg.solve(gram + np.diag(size * np.r_[strength * distance**2, returning]), onto)
        for constant in (0.0, aim - centre @ weights):
            ones.append(np.r_[np.diff(weights[:-1], append=0.0), weights[-1], constant])  # x_k has a_(k+1) - a_k
    return iterated(np.stack(ones), shape)


def iterated(one: Floats, shape: Shape) -> Floats:
    """Maps of H steps (..., H, L + 2) of maps of one step (..., L + 2): each forecast stands in for what is to come."""
    window = shape.window
    basis = np.eye(window + 2)
    # Every value as weights of (lags 1..L, mean, constant), less the last value, whose weights are zero.
    values = np.broadcast_to(
        np.vstack([np.zeros(window + 2), basis[:window]]), (*one.shape[:-1], window + 1, window + 2)
    )
    maps = np.empty((*one.shape[:-1], shape.horizon, window + 2))
    for h in range(shape.horizon):
        last = values[..., 0, :]
        ahead = last + one[..., window, None] * (basis[window] - last)
        ahead[..., -1] += one[..., -1]
        ahead = ahead + np.einsum("...k,...kc->...c", one[..., :window], values[..., 1:, :] - last[..., None, :])
        maps[..., h, :] = ahead
        values = np.concatenate([ahead[..., None, :], values[..., :-1, :]], axis=-2)
    return maps
