"""What maps of rows say, and by how much they miss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TINY = 1e-12  # squared error of a series that is forecast exactly


def applied(x: Floats, maps: Floats) -> Floats:
    """Forecasts (n, H) of a map (H, L + 2) for what rows show (n, L + 1)."""
    found: Floats = x @ maps[:, :-1].T + maps[:, -1]
    return found


def misses(maps: Floats, x: Floats, target: Floats) -> Floats:
    """Mean absolute errors of maps (G, H, L + 2) over rows and steps ahead, (G,); zero without rows."""
    if not len(x):
        return np.zeros(len(maps))
    count, horizon, _ = maps.shape
    said = (x @ maps[:, :, :-1].reshape(count * horizon, -1).T).reshape(len(x), count, horizon)
    errors: Floats = np.nanmean(np.abs(said + maps[:, :, -1] - target[:, None, :]), axis=(0, 2))
    return errors


def log_squares(maps: Floats, x: Floats, target: Floats) -> Floats:
    """Mean over the steps ahead of the logarithm of the mean squared error of maps (G, H, L + 2), (G,).

    Every step counts alike, however large its errors are; steps that are known of no row do not count.
    """
    count, horizon, _ = maps.shape
    said = (x @ maps[:, :, :-1].reshape(count * horizon, -1).T).reshape(len(x), count, horizon) + maps[:, :, -1]
    there = np.isfinite(target)[:, None, :]
    squares = np.where(there, said - target[:, None, :], 0.0) ** 2
    found: Floats = np.log(squares.sum(0) / np.maximum(there.sum(0), 1) + TINY).mean(1)
    return found


def mean_of_best(maps: Floats, missed: Floats, count: int) -> Floats:
    """The mean of the `count` maps that missed least: of many that are nearly as good, none is the right one."""
    found: Floats = maps[np.argsort(missed, kind="stable")[:count]].mean(0)
    return found
