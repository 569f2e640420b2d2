"""Linear forecasters as which a program of series may begin: each a map from what a row shows to its next steps.

A row shows its lags and its mean relative to the last value (see `data.windows`); a map is (H, L + 2): weights of the
lags 1..L, of the mean, and a constant. All are fitted on the training rows alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pellucid.supervised.starts.autoregression import autoregression
from pellucid.supervised.starts.maps import applied
from pellucid.supervised.starts.naive import naive
from pellucid.supervised.starts.shape import Shape
from pellucid.supervised.starts.smoothing import smoothing
from pellucid.supervised.starts.smoothing_next import smoothing_next

__all__ = ["ALL", "Shape", "applied"]

Floats = npt.NDArray[np.float64]
Fit = Callable[[Floats, Floats, Shape], Floats]

ALL: dict[str, Fit] = {
    "naive": naive,
    "autoregression": autoregression,
    "smoothing": smoothing,
    "smoothing_next": smoothing_next,
}
