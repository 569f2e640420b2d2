"""The sizes of a forecasting problem."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """Steps seen before the present, steps ahead, steps of a season."""

    window: int
    horizon: int
    season: int
