"""The last value, and the value of one season ago."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.supervised.starts.shape import Shape

Floats = npt.NDArray[np.float64]


def naive(x: Floats, target: Floats, shape: Shape) -> Floats:
    """Every step ahead is like the last value."""
    return np.zeros((shape.horizon, shape.window + 2))


def seasonal(x: Floats, target: Floats, shape: Shape) -> Floats:
    """Every step ahead is like the last one in the same place of the season; of no season, the last value."""
    found = naive(x, target, shape)
    if shape.season - 1 <= shape.window:
        for h in range(1, shape.horizon + 1):
            lag = shape.season * -(-h // shape.season) - h  # steps before the present
            if lag > shape.window:
                lag = (shape.season - h) % shape.season
            if lag > 0:
                found[h - 1, lag - 1] = 1.0
    return found
