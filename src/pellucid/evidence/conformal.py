"""Split conformal prediction: sets and intervals that hold the truth as often as promised, whatever the program.

From scores of n rows that the program was not trained on, the threshold is the ceil((n + 1) level)-th smallest; a new
exchangeable row lies below it with a probability of at least `level`, and below level + 1 / (n + 1) without ties
(Vovk et al. 2005; Lei et al. 2018). The promise is on average over rows, not for every group of rows.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.evidence.intervals import Floats

__all__ = ["aps_scores", "aps_sets", "interval", "lac_scores", "lac_sets", "quantile_scores", "threshold"]

Codes = npt.NDArray[np.int64]
Sets = npt.NDArray[np.bool_]


def threshold(scores: npt.ArrayLike, level: float) -> float:
    """The ceil((n + 1) level)-th smallest score: inf when n is too small to promise anything.

    Args:
        scores: of rows held out of training, shape (n,); large is strange.
        level: the wanted coverage, within (0, 1).
    """
    if not 0 < level < 1:
        raise DataError(f"a coverage of {level:g} cannot be promised.", where="threshold(level=...)", mend="0.9")
    s = np.asarray(scores, dtype=np.float64)
    place = math.ceil((len(s) + 1) * level - 1e-9)  # 1e-9: (99 + 1) * .9 is 90, whatever floats say
    return float(np.partition(s, place - 1)[place - 1]) if place <= len(s) else math.inf


def lac_scores(codes: Codes, chance: Floats) -> Floats:
    """1 - probability of the true class, shape (n,): the smallest sets on average (Sadinle et al. 2019).

    Args:
        codes: true classes, shape (n,).
        chance: class probabilities, shape (n, k).
    """
    return 1.0 - chance[np.arange(len(codes)), codes]


def lac_sets(chance: Floats, most: float) -> Sets:
    """Which classes are in each row's set, shape (n, k); a set may be empty: no class is like what was seen."""
    return np.asarray(1.0 - chance <= most, dtype=np.bool_)


def aps_scores(codes: Codes, chance: Floats, u: Floats) -> Floats:
    """Probability of the classes likelier than the true one, and a share `u` of its own (Romano et al. 2020).

    Sets by these scores grow where the program is less sure, so that hard rows are covered better than by `lac_scores`.

    Args:
        u: uniform numbers, one a row, shape (n,): without them coverage is above what was asked for.
    """
    whole = _mass(chance)
    rows = np.arange(len(codes))
    found: Floats = whole[rows, codes] - u * chance[rows, codes]
    return found


def aps_sets(chance: Floats, most: float, u: Floats) -> Sets:
    """Which classes are in each row's set, shape (n, k)."""
    return np.asarray(_mass(chance) - u[:, None] * chance <= most, dtype=np.bool_)


def _mass(chance: Floats) -> Floats:
    """Probability of each class and all likelier ones, shape (n, k)."""
    order = np.argsort(-chance, axis=1, kind="stable")
    found = np.empty_like(chance)
    np.put_along_axis(found, order, np.cumsum(np.take_along_axis(chance, order, axis=1), axis=1), axis=1)
    return found


def quantile_scores(y: Floats, low: Floats, high: Floats) -> Floats:
    """How far y lies outside [low, high], negative inside (Romano et al. 2019).

    With low = high = prediction it is the absolute residual (Lei et al. 2018).

    Args:
        y, low, high: shape (n,).
    """
    return np.maximum(low - y, y - high)


def interval(low: Floats, high: Floats, most: float) -> tuple[Floats, Floats]:
    """Bounds that hold y when its score is at most `most`, each (n,)."""
    return low - most, high + most
