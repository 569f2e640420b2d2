"""Large tables: columns of numbers without a Python object a cell, keys chunk by chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pellucid.data.cells import Column, column, lists_as_text
from pellucid.data.quick import number_texts, numbers_of, strings
from pellucid.data.reading import Read

WORDS = np.dtypes.StringDType()
TRUTHS = frozenset({"true", "false", ""})


def quick_column(name: str, series: pd.Series[Any], where: str) -> Column:
    """A column as of `cells.column`; one of numbers keeps its texts in 16 bytes each."""
    array = strings(series)
    numbers = None if array is None else numbers_of(array)
    if array is None or numbers is None:
        return column(name, series, where)
    texts: Any = np.asarray(number_texts(numbers, array).to_pylist(), dtype=WORDS)
    return Column(name, texts, numbers)


def table_content_keys(found: Read) -> npt.NDArray[np.str_]:
    """The keys of `core.rows.content_keys`, shape (n,); of a large table with a piece in memory at a time."""
    names = sorted(found.names)
    truths = {name for name in names if _truths(found.series(name))}
    digests = np.empty(len(found), dtype=np.uint64)
    start = 0
    for columns, n in _pieces(found):
        parts = []
        for name in names:
            texts = _texts(name, columns[name], name in truths, found.where) if name in columns else pa.array([""] * n)
            parts.append(pc.binary_join_element_wise(f"{name}=", texts, ""))
        joined = pc.binary_join_element_wise(*parts, "\x1f") if len(parts) > 1 else parts[0]
        for i, text in enumerate(joined.to_pylist()):
            digests[start + i] = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        start += n
    return _numbered(digests)


def _pieces(found: Read) -> Iterator[tuple[dict[str, pd.Series[Any]], int]]:
    """(columns, rows): all at once in memory, where the type of a piece need not be that of the column."""
    if not found.large:
        yield {name: found.series(name) for name in found.names}, len(found)
        return
    for frame in found.chunks():
        yield {str(name): frame[name] for name in frame.columns}, len(frame)


def _numbered(digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.str_]:
    """Sixteen hexadecimal digits; the k-th repetition of an equal row gets `#k`."""
    order = np.argsort(digests, kind="stable")
    ranked = digests[order]
    first = np.r_[True, ranked[1:] != ranked[:-1]] if len(ranked) else np.zeros(0, dtype=bool)
    begins = np.maximum.accumulate(np.where(first, np.arange(len(ranked)), 0))
    repeats = np.empty(len(digests), dtype=np.int64)
    repeats[order] = np.arange(len(ranked)) - begins
    width = 16 if not repeats.any() else 17 + len(str(repeats.max()))
    keys = np.empty(len(digests), dtype=f"<U{width}")
    for i, (digest, repeat) in enumerate(zip(digests.tolist(), repeats.tolist(), strict=True)):
        keys[i] = f"{digest:016x}" if repeat == 0 else f"{digest:016x}#{repeat}"
    return keys


def _truths(series: pd.Series[Any]) -> bool:
    array = strings(series)
    if array is None:
        return False
    found = {str(text).lower() for text in pc.unique(array).slice(0, 10).to_pylist()}
    return found <= TRUTHS and found != {""}


def _texts(name: str, series: pd.Series[Any], truth: bool, where: str) -> pa.Array:
    """Canonical texts of a piece of a column: as of the whole column, of which only `truth` need be known."""
    array = strings(series)
    if array is None:
        return pa.array(column(name, lists_as_text(series), where).texts.tolist(), pa.string())
    numbers = numbers_of(array)
    if numbers is not None:
        return number_texts(numbers, array)
    # Each different cell once; the two words that are no truths here keep the column from being one of truths.
    coded = pc.dictionary_encode(pc.fill_null(array, ""))
    cells = coded.dictionary.to_pylist()
    given = pd.Series(cells if truth else [*cells, "x", "y"], dtype="str")
    words = column(name, given, where).texts.tolist()[: len(cells)]
    return pa.array(words, pa.string()).take(coded.indices)
