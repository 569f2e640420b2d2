"""Parts of wide fields: patches of a picture, segments of a series. Their players' columns, and where they lie."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Patch(NamedTuple):
    """A rectangle of pixels: rows `top` to `bottom` and columns `left` to `right`, ends left out."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def label(self) -> str:
        """Rows and columns of pixels, from 0."""
        return f"rows {_range(self.top, self.bottom)}, columns {_range(self.left, self.right)}"

    def columns(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Its values in a picture (height, width, channels) that lies row by row, channels last."""
        places = np.arange(int(np.prod(shape))).reshape(shape)[self.top : self.bottom, self.left : self.right]
        return tuple(places.ravel().tolist())


def patches(shape: tuple[int, ...], parts: int) -> list[Patch]:
    """About `parts` patches as square as can be, row by row; all of them differ by at most a pixel a side."""
    (height, width), parts = shape[:2], max(1, parts)
    down = min(height, max(1, round((parts * height / width) ** 0.5)))
    across = min(width, max(1, round(parts / down)))
    rows, columns = _edges(height, down), _edges(width, across)
    return [Patch(a, c, b, d) for a, b in itertools.pairwise(rows) for c, d in itertools.pairwise(columns)]


def segments(length: int, parts: int) -> list[tuple[int, int]]:
    """`parts` runs of equal length, to a step, [start, stop); every step by itself when there are fewer steps."""
    return list(itertools.pairwise(_edges(length, min(length, max(1, parts)))))


def lags(first: int, start: int, stop: int) -> str:
    """The name of lags, the newest being `first` steps ahead of the present: "t", "t-3", "t-2..4", "t+2..t-1"."""
    newest, oldest = first - start, first - stop + 1
    if newest == oldest:
        return _moment(newest)
    return f"{_moment(newest)}..{-oldest}" if newest < 0 else f"{_moment(newest)}..{_moment(oldest)}"


def newest_of(groups: Sequence[tuple[str, int, int]]) -> int | None:
    """Steps ahead of the present of the newest lag, as named groups say it: a group "t-1..4" that starts at 0: -1.

    None where no group bears the name of a moment: the values are no lags.
    """
    for label, start, _ in groups:
        found = re.match(r"t([+-]\d+)?(?!\w)", label)
        if found:
            return int(found[1] or 0) + start
    return None


def _moment(ahead: int) -> str:
    return f"t{ahead:+d}" if ahead else "t"


def _edges(length: int, parts: int) -> list[int]:
    return [round(i * length / parts) for i in range(parts + 1)]


def _range(start: int, stop: int) -> str:
    return f"{start}" if stop == start + 1 else f"{start}-{stop - 1}"
