"""CSV and TSV, by Python's own reader: exact line numbers, and rows that do not fit are set aside."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import TextIO

import numpy as np
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.data.quarantine import BadRow
from pellucid.data.sources.located import Located
from pellucid.data.sources.opened import Chunk, Opened, rows_of
from pellucid.data.sources.text import not_in, open_text
from pellucid.spec.model import ReadSpec

SEPARATORS = (",", ";", "\t", "|")
RARE = 0.01  # share of rows in several lines up to which they are told
SAMPLE = 50  # lines that the separator is told by


def read_delimited(file: Located, read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    """Chunks of text cells.

    Raises:
        DataError: there is no header, a column has no name or two have the same, a quote is never closed.
    """
    with open_text(file, read.encoding, opened.notes) as text:
        try:
            yield from _chunks(file, text, read, opened)
        except UnicodeError as error:
            raise not_in(file, error, read.encoding) from None


def _chunks(file: Located, text: TextIO, read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    sample = list(islice(text, SAMPLE))
    if not sample or not sample[0].strip():
        what = "the first line, which names the columns, is empty." if any(sample) else "the file is empty."
        raise DataError(what, where=file.name, mend="give a header line and at least one row")
    separator = read.separator or _separator(sample, file.suffix)
    spent = [0]
    reader = csv.reader(_counted(chain(sample, text), spent), delimiter=separator, strict=True)
    try:
        names = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise _broken(file, 1, error) from None
    _check_names(names, file.name)
    rows: list[list[str]] = []
    places: list[int] = []
    size = rows_of(len(names))
    for place, row in _rows(reader, len(names), file.name, opened):
        rows.append(row)
        places.append(place)
        if len(rows) >= size:
            yield _chunk(rows, places, names, file, spent[0])
            rows, places = [], []
    yield _chunk(rows, places, names, file, spent[0])


def _rows(reader: Iterator[list[str]], width: int, name: str, opened: Opened) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every row that has as many cells as the header."""
    line, bad = _line(reader), opened.quarantine
    whole, long = 0, []  # rows in one line, and lines at which rows of several begin
    while True:
        start, line = line + 1, 0
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            line = _line(reader)
            if "unexpected end of data" in str(error):
                raise DataError(
                    f"the quote that opens in line {start} is never closed.",
                    where=f"{name}, line {start}",
                    mend='close it; a quote within a quoted cell is written twice: ""',
                ) from None
            bad.add(BadRow(name, start, str(error).replace("'", ""), ""), "quoting", line - start + 1)
            continue
        line = _line(reader)
        if not row:
            continue  # a blank line
        while len(row) > width and row[-1] == "":  # a separator at the end of the line
            row.pop()
        if len(row) == width:
            whole += 1
            if line > start:
                long.append((start, line - start + 1))
            yield start, row
            continue
        reason = f"{len(row)} cell{'s' * (len(row) != 1)}, the header names {width}"
        if line > start:
            reason += f", over {line - start + 1} lines (an open quote?)"
        bad.add(BadRow(name, start, reason, ",".join(row)), "cells", line - start + 1)
    if 0 < len(long) <= max(1, whole * RARE):  # where all rows are of one line, it may be a quote that was forgotten
        first, lines = long[0]
        opened.notes.append(f"{name}: the row of line {first} spans {lines} lines: look for a quote that is not closed")


def _line(reader: Iterator[list[str]]) -> int:
    return int(reader.line_num)  # type: ignore[attr-defined]  # of csv.reader


def _counted(lines: Iterator[str], spent: list[int]) -> Iterator[str]:
    for line in lines:
        spent[0] += len(line)
        yield line


def _chunk(rows: list[list[str]], places: list[int], names: list[str], file: Located, spent: int) -> Chunk:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    frame = pd.DataFrame({name: pd.array(list(cells), dtype="str") for name, cells in zip(names, columns, strict=True)})
    done = min(1.0, spent / file.size) if file.size else float("nan")
    return Chunk(frame, np.asarray(places, dtype=np.int64), file.name, done)


def _separator(sample: list[str], suffix: str) -> str:
    """The one that the header has, and that cuts the most lines into as many cells as it cuts the header."""
    if suffix == ".tsv" and "\t" in sample[0]:
        return "\t"

    def score(separator: str) -> tuple[bool, int, int]:
        rows = csv.reader(sample, delimiter=separator)
        try:
            counts = [len(row) for row in rows if row]
        except csv.Error:
            return False, 0, 0
        return counts[0] > 1, sum(count == counts[0] for count in counts), counts[0]

    return max(SEPARATORS, key=score)


def _check_names(names: list[str], where: str) -> None:
    unnamed = [i + 1 for i, name in enumerate(names) if not name]
    if unnamed:
        raise DataError(
            f"column {unnamed[0]} has no name.", where=f"{where}, line 1", mend="name every column in the first line"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"column names repeat: {', '.join(map(repr, twice[:12]))}.",
            where=f"{where}, line 1",
            mend="give every column its own name",
        )


def _broken(file: Located, line: int, error: Exception) -> DataError:
    return DataError(f"line {line} cannot be read: {error}.", where=f"{file.name}, line {line}", mend="mend its quotes")
