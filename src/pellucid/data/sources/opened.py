"""What every source gives: chunks of cells, the place of each row, notes and a quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.data.quarantine import Quarantine
from pellucid.spec.model import FieldSpec

CELLS = 500_000  # cells of a chunk, about: a few ten MB as Python text


class Chunk(NamedTuple):
    """Some rows.

    Args:
        frame: cells as text, or typed where the source has types.
        numbers: place of each row in its file, counted from 1, shape (n,).
        file: the file's name.
        done: share of the source that has been read, 0 to 1; NaN when nobody knows its length.
    """

    frame: pd.DataFrame
    numbers: npt.NDArray[np.int64]
    file: str
    done: float = float("nan")


@dataclass
class Opened:
    """A source that is being read: `chunks` is run through once, `notes` and `quarantine` are whole after that.

    Args:
        where: what to call it in errors; secrets are masked.
        said: what the source itself says of its columns: those of a folder of pictures.
    """

    where: str
    chunks: Iterator[Chunk]
    quarantine: Quarantine = field(default_factory=Quarantine)
    notes: list[str] = field(default_factory=list)
    said: dict[str, FieldSpec] = field(default_factory=dict)


def rows_of(columns: int) -> int:
    """How many rows a chunk of so many columns has."""
    return max(100, CELLS // max(columns, 1))
