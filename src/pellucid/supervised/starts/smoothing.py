"""Exponential smoothing with a damped trend and a season (Holt 1957; Winters 1960; Gardner & McKenzie 1985).

Run over the window from a first guess, its forecasts are linear in the window for given constants; of a grid of
constants the ten are averaged whose forecasts of all steps ahead miss the training rows least.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import numpy.typing as npt

from pellucid.supervised.starts.maps import mean_of_best, misses
from pellucid.supervised.starts.shape import Shape

Floats = npt.NDArray[np.float64]

LEVELS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
TRENDS = ((0.0, 1.0), *itertools.product((0.03, 0.1, 0.3), (0.8, 0.9, 0.98, 1.0)))  # share of the level's, damping
SEASONS = (0.03, 0.1, 0.3)
BEST = 10
MOST = 500  # rows that choose


def smoothing(x: Floats, target: Floats, shape: Shape) -> Floats:
    """The mean of the best of the grid, with and without a season."""
    rows = slice(None, None, -(-len(x) // MOST))
    maps = grid(shape)
    return mean_of_best(maps, misses(maps, x[rows], target[rows]), BEST)


@cache
def grid(shape: Shape) -> Floats:
    """The maps of all constants, (G, H, L + 2)."""
    plain = [(a, b, d, 0.0) for a in LEVELS for b, d in TRENDS]
    maps = [_maps(np.asarray(plain), shape, 1)]
    if shape.season > 1 and shape.window + 1 >= 2 * shape.season:
        full = [(a, b, d, c) for a in LEVELS for b, d in TRENDS for c in SEASONS]
        maps.append(_maps(np.asarray(full), shape, shape.season))
    return np.concatenate(maps)


def _maps(constants: Floats, shape: Shape, season: int) -> Floats:
    """Run every choice of constants (G, 4) over the window, each value being weights of the window's values."""
    window, horizon = shape.window, shape.horizon
    alpha, beta, damp, gamma = (column[:, None] for column in constants.T)
    basis = np.eye(window + 1)  # oldest value first
    first, second = basis[:season].mean(0), basis[season : 2 * season].mean(0)
    slope = (second - first) / season if season > 1 else (basis[min(3, window)] - basis[0]) / min(3, window)
    trending = (beta > 0).astype(np.float64)
    trend = trending * slope
    # The level before the first value, so that the first season is met in its middle.
    level = first - 0.5 * (season + 1) * trend
    states = [basis[i] - first - (i - 0.5 * (season - 1)) * trend for i in range(season)] if season > 1 else []
    for i in range(window + 1):
        expected = level + damp * trend
        old = states[i % season] if season > 1 else 0.0
        new = alpha * (basis[i] - old) + (1 - alpha) * expected
        trend = trending * (beta * (new - level) + (1 - beta) * damp * trend)
        if season > 1:
            states[i % season] = gamma * (basis[i] - new) + (1 - gamma) * old
        level = new
    maps = np.zeros((len(constants), horizon, window + 2))
    ahead = level
    for h in range(horizon):
        trend = damp * trend
        ahead = ahead + trend
        whole = ahead + states[(window + 1 + h) % season] if season > 1 else ahead
        maps[:, h, :window] = whole[:, :window][:, ::-1]  # lag 1 first; the last value's own weight is what is left
    return maps
