"""Autoregressions by least squares, their order by AIC (Akaike 1974), iterated over the steps ahead.

With x_k = (y_(t-k) - y_t) / s and m = (mean - y_t) / s a stationary autoregression of order p is

    (y_(t+1) - y_t) / s = a_1 x_1 + ... + a_(p-1) x_(p-1) + b m + c

and without m an autoregression of the differences: the series has no mean to which it returns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.supervised.starts.shape import Shape

Floats = npt.NDArray[np.float64]

RIDGE = 1e-6  # of the mean square of a column: for collinear lags


def autoregression(x: Floats, target: Floats, shape: Shape) -> Floats:
    """Of the values, which return to their mean."""
    return _best(x, target, shape, with_mean=True)


def differences(x: Floats, target: Floats, shape: Shape) -> Floats:
    """Of the differences, which drift."""
    return _best(x, target, shape, with_mean=False)


def _best(x: Floats, target: Floats, shape: Shape, *, with_mean: bool) -> Floats:
    """The order, and whether lags around one season enter, of the least AIC."""
    there = np.isfinite(target[:, 0])
    x, y = x[there], target[there, 0]
    n, lowest, best = len(y), np.inf, np.zeros(shape.window + 2)
    most = min(shape.window, max(1, n // 5))
    around: list[tuple[int, ...]] = [()]
    if 1 < shape.season <= shape.window:
        around.append(tuple(k for k in (shape.season - 1, shape.season, shape.season + 1) if k <= shape.window))
    for extra in around:
        for order in range(most + 1):
            lags = sorted({*range(1, order + 1), *extra})
            columns = [k - 1 for k in lags] + ([shape.window] if with_mean else [])
            if len(columns) + 1 >= n // 2:
                break
            weights, rss = _least_squares(x[:, columns], y)
            score = n * np.log(max(rss / n, 1e-12)) + 2 * (len(columns) + 2)
            if score < lowest:
                lowest, best = score, np.zeros(shape.window + 2)
                best[columns], best[-1] = weights[:-1], weights[-1]
    return iterated(best, shape)


def _least_squares(x: Floats, y: Floats) -> tuple[Floats, float]:
    """Weights and constant, and the residual sum of squares."""
    full = np.column_stack([x, np.ones(len(x))])
    gram = full.T @ full
    gram[np.diag_indices_from(gram)] += RIDGE * np.diag(gram) + 1e-12
    weights: Floats = np.linalg.solve(gram, full.T @ y)
    return weights, float(((y - full @ weights) ** 2).sum())


def iterated(one: Floats, shape: Shape) -> Floats:
    """The map of H steps (H, L + 2) of the map of one step (L + 2,): each forecast stands in for the value to come."""
    window = shape.window
    # Every value as weights of (lags 1..L, mean, constant), less the last value, whose weights are zero.
    values = [np.zeros(window + 2)]
    values += [np.eye(window + 2)[k] for k in range(window)]
    mean = np.eye(window + 2)[window]
    maps = np.empty((shape.horizon, window + 2))
    for h in range(shape.horizon):
        last = values[0]
        ahead = last + one[window] * (mean - last)
        ahead[-1] += one[-1]
        for k in np.flatnonzero(one[:window]):
            ahead = ahead + one[k] * (values[k + 1] - last)
        maps[h] = ahead
        values = [ahead, *values[:window]]
    return maps
