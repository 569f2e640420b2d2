"""Exponential smoothing with a damped trend and a season (Holt 1957; Winters 1960; Gardner & McKenzie 1985).

For given constants its forecasts are linear in the window, and so are the states before the window that fit it best:
those of the least squared errors of one step, held a little near a first guess, and the trend near none as if three
such errors said so. Of a grid of constants the ten are averaged whose forecasts of all steps ahead fit the training
rows best.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import numpy.typing as npt

from pellucid.supervised.starts.maps import log_squares, mean_of_best
from pellucid.supervised.starts.shape import Shape

Floats = npt.NDArray[np.float64]

LEVELS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
TRENDS = ((0.0, 1.0), *itertools.product((0.03, 0.1, 0.3), (0.8, 0.9, 0.98, 1.0)))  # share of the level's, damping
SEASONS = (0.03, 0.1, 0.3)
BEST = 10
MOST = 500  # rows that choose
NEAR, FLAT = 1e-3, 3.0  # what a distance of one from the first guess costs, in squared errors: of a state, of the trend
CELLS = 2_000_000  # of errors that are held at a time


def smoothing(x: Floats, target: Floats, shape: Shape) -> Floats:
    """The mean of the best of the grid by all steps ahead."""
    return best(x, target, shape, shape.horizon)


def best(x: Floats, target: Floats, shape: Shape, steps: int) -> Floats:
    """The mean of the ten of the grid that fit so many steps ahead best, with and without a trend and a season."""
    rows = slice(None, None, -(-len(x) // MOST))
    maps = grid(shape)
    return mean_of_best(maps, log_squares(maps[:, :steps], x[rows], target[rows, :steps]), BEST)


@cache
def grid(shape: Shape) -> Floats:
    """The maps of all constants, (G, H, L + 2)."""
    plain = [(a, b, d, 0.0) for a in LEVELS for b, d in TRENDS]
    maps = [smoothed(np.asarray(plain), shape, 1)]
    if shape.season > 1 and shape.window + 1 >= 2 * shape.season:
        full = [(a, b, d, c) for a in LEVELS for b, d in TRENDS for c in SEASONS]
        maps.append(smoothed(np.asarray(full), shape, shape.season))
    return np.concatenate(maps)


def smoothed(constants: Floats, shape: Shape, season: int) -> Floats:
    """Maps (G, H, L + 2) of constants (G, 4): of level, trend, damping, season."""
    values = shape.window + 1
    at_a_time = max(1, CELLS // (values * (values + 2 + season)))
    return np.concatenate(
        [_smoothed(constants[i : i + at_a_time], shape, season) for i in range(0, len(constants), at_a_time)]
    )


def _smoothed(constants: Floats, shape: Shape, season: int) -> Floats:
    """Every value is weights of the window's values, oldest first, and of the unknown states before them."""
    values, horizon = shape.window + 1, shape.horizon
    alpha, beta, damp, gamma = (column[:, None] for column in constants.T)
    basis = np.eye(values + 2 + (season if season > 1 else 0))
    trending = (beta > 0).astype(np.float64)
    guess = basis[:season].mean(0)
    level = np.repeat((guess + basis[values])[None], len(constants), 0)
    trend = trending * basis[values + 1]
    states = [basis[i] - guess + basis[values + 2 + i] for i in range(season)] if season > 1 else [0.0 * guess]
    errors = np.empty((len(constants), values, len(basis)))
    for i in range(values):
        expected, old = level + damp * trend, states[i % season]
        errors[:, i] = basis[i] - expected - old
        new = alpha * (basis[i] - old) + (1 - alpha) * expected
        trend = trending * (beta * (new - level) + (1 - beta) * damp * trend)
        states[i % season] = gamma * (basis[i] - new) + (1 - gamma) * old if season > 1 else old
        level = new
    of_values, of_states = errors[..., :values], errors[..., values:]
    turned = of_states.swapaxes(1, 2)
    held = np.diag([NEAR, FLAT, *[NEAR] * (of_states.shape[2] - 2)])
    before = -np.linalg.solve(turned @ of_states + held, turned @ of_values)
    maps = np.zeros((len(constants), horizon, values + 1))
    for h in range(horizon):
        trend = damp * trend
        level = level + trend
        whole = level + states[(values + h) % season]
        said = whole[:, :values] + np.einsum("gs,gsv->gv", whole[:, values:], before)
        maps[:, h, : values - 1] = said[:, : values - 1][:, ::-1]  # lag 1 first; the last value's is what is left
    return maps
