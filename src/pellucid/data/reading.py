"""A table read from its source: held in memory while it is small, else on disk by column, so that only one column of
cells is in memory at a time.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.feather

from pellucid.core.errors import DataError
from pellucid.data.quarantine import Quarantine
from pellucid.data.sources import Chunk, open_source
from pellucid.data.sources.memory import WHERE, in_memory
from pellucid.spec.model import SKLEARN_TABLES, FieldSpec, ReadSpec

LARGE = 5_000_000  # cells from which on a table waits on disk: as Python objects it would take half a gigabyte
TARGET = "target"  # what the target of scikit-learn's tables is called

Progress = Callable[[float, int], None]  # share of the source, rows so far


class Read:
    """A table as it was read, before anybody asked what its cells mean.

    Args:
        where: what to call it in errors.
        names: of the columns, each once.
        quarantine: rows that could not be read.
        notes: what was found out or changed.
    """

    def __init__(self, where: str, names: list[str], quarantine: Quarantine, notes: list[str]) -> None:
        self.where, self.names, self.quarantine, self.notes = where, names, quarantine, notes
        self.said: dict[str, FieldSpec] = {}  # what the source says of its columns
        self.large = False
        self._parts: list[pd.DataFrame | Path] = []
        self._numbers: list[npt.NDArray[np.int64]] = []
        self._files: list[str] = []

    def __len__(self) -> int:
        return sum(map(len, self._numbers))

    def series(self, name: str) -> pd.Series[Any]:
        """All cells of a column, as text or typed."""
        parts = [self._column(part, name, len(n)) for part, n in zip(self._parts, self._numbers, strict=True)]
        filled = [part for part in parts if len(part)] or parts[:1]
        if len(filled) == 1:
            return filled[0]
        return pd.concat(_alike(filled), ignore_index=True)

    def chunks(self) -> Iterator[pd.DataFrame]:
        """The rows, some at a time."""
        for part in self._parts:
            yield part if isinstance(part, pd.DataFrame) else pa.feather.read_feather(part, use_threads=False)

    def place(self, row: int) -> tuple[str, int]:
        """(file, line or record) of a row, counted from 0."""
        for file, numbers in zip(self._files, self._numbers, strict=True):
            if row < len(numbers):
                return file, int(numbers[row])
            row -= len(numbers)
        raise IndexError(row)

    def files(self) -> Iterator[tuple[str, int]]:
        """(file, rows) of each piece, in order."""
        yield from ((file, len(numbers)) for file, numbers in zip(self._files, self._numbers, strict=True))

    def cells(self, row: int) -> dict[str, str]:
        """A row's cells as they stood."""
        for part, numbers in zip(self._parts, self._numbers, strict=True):
            if row < len(numbers):
                frame = part if isinstance(part, pd.DataFrame) else pa.feather.read_feather(part, use_threads=False)
                return {str(name): str(cell) for name, cell in zip(frame.columns, frame.iloc[row], strict=True)}
            row -= len(numbers)
        raise IndexError(row)

    def add(self, chunk: Chunk) -> None:
        """Append rows."""
        self.names += [name for name in map(str, chunk.frame.columns) if name not in self.names]
        self._parts.append(chunk.frame)
        self._numbers.append(chunk.numbers)
        self._files.append(chunk.file)
        if self.large or (sum(map(len, self._numbers)) * len(self.names) > LARGE and len(self._parts) > 1):
            self._spill()

    def _spill(self) -> None:
        """Write what is in memory to disk."""
        if not self.large:
            self.large = True
            self._folder = Path(tempfile.mkdtemp(prefix="pellucid-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        for i, part in enumerate(self._parts):
            if isinstance(part, pd.DataFrame):
                path = self._folder / f"{i:06d}.arrow"
                part = part.assign(**{str(n): _storable(part[n]) for n in part if part[n].dtype == object})
                pa.feather.write_feather(part, path, compression="lz4")
                self._parts[i] = path

    def _column(self, part: pd.DataFrame | Path, name: str, n: int) -> pd.Series[Any]:
        if isinstance(part, Path):
            there = list(pa.ipc.open_file(part).schema.names)
            frame: pd.DataFrame = pa.feather.read_feather(part, columns=[n for n in there if n == name])
        else:
            frame = part
        found = [str(column) for column in frame.columns]
        if name not in found:
            return pd.Series([None] * n, dtype=object)  # a key that these records lack
        cells: pd.Series[Any] = frame[frame.columns[found.index(name)]]
        return cells.reset_index(drop=True)


def read_source(
    source: Any, read: ReadSpec | None = None, query: str | None = None, progress: Progress | None = None
) -> Read:
    """Read a source whole.

    Args:
        source, read, query: as of `open_source`; the name of a table of scikit-learn, too.
        progress: told the share that has been read (NaN when unknown), and the rows.
    Raises:
        DataError: it cannot be read, has no rows, or too many bad ones.
    """
    read = read or ReadSpec()
    if not in_memory(source) and str(source) in SKLEARN_TABLES:
        found = Read(str(source), [], Quarantine(), [])
        frame = _sklearn(str(source))
        found.add(Chunk(frame, np.arange(1, len(frame) + 1), str(source)))
        return found
    opened = open_source(source, read, query)
    found = Read(opened.where, [], opened.quarantine, opened.notes)
    found.said = opened.said
    rows = 0
    for chunk in opened.chunks:
        _unique([str(name) for name in chunk.frame.columns], chunk.file)
        if len(chunk.frame) or not found.names:
            found.add(chunk)
        rows += len(chunk.frame)
        if progress:
            progress(chunk.done, rows)
    if found.large:
        release()
    found.quarantine.check(rows, read.bad_rows, found.where)
    if not rows:
        mend = "give at least one row" + (" below the header" if found.where != WHERE else "")
        raise DataError("the table has no rows.", where=found.where, mend=mend)
    return found


MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc; when it is set, it does not grow any more


def release() -> None:
    """Give freed memory back to the system: after millions of small texts, the allocators keep hundreds of MB."""
    gc.collect()  # a training and its closures hold one another
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # not every C library has them
        library = ctypes.CDLL(None)
        library.mallopt(
            MMAP_THRESHOLD, 1 << 20
        )  # from now on arrays of a megabyte and more go back when they are freed
        library.malloc_trim(0)


def _unique(names: list[str], where: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        listed = ", ".join(map(repr, twice[:12]))
        raise DataError(f"column names repeat: {listed}.", where=where, mend="give every column its own name")


def _storable(series: pd.Series[Any]) -> pd.Series[Any]:
    """Cells that Arrow can hold: one type, or text."""
    kinds = {type(cell) for cell in series if cell is not None}
    if len(kinds) <= 1 and kinds != {str}:
        return series
    return pd.Series(["" if cell is None else str(cell) for cell in series], index=series.index, dtype="str")


def _alike(parts: list[pd.Series[Any]]) -> list[pd.Series[Any]]:
    """Chunks of one type; as objects where their types differ."""
    return parts if len({str(part.dtype) for part in parts}) == 1 else [part.astype(object) for part in parts]


def _sklearn(name: str) -> pd.DataFrame:
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    frame = pd.DataFrame(bunch.data, columns=[str(feature) for feature in bunch.feature_names])
    labels = getattr(bunch, "target_names", None)
    # Numbers as classes (digits) are words here, too: no digit is larger than another.
    frame[TARGET] = bunch.target if labels is None else np.asarray(labels)[bunch.target].astype(str)
    return frame
