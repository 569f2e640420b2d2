"""One column of a table: its cells as text and as numbers, and what kind of field it is.

A cell has one canonical text whatever type the column had where it came from ("1" is the integer 1, the float 1.0 and
the CSV cell 1.00), so that a row keeps its key when an appended row turns integers into floats or a column into text.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.core.schema import Field

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]

MISSING_NUMBERS = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})  # among numbers; among words only ""
MOST_CATEGORIES = 500
MANY_CATEGORIES = 100  # from here on, each must have LEAST_ROWS on average
LEAST_ROWS = 5
_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
LISTS = (list, tuple, set, np.ndarray)
FREE_WORDS = 4  # words of a median cell from which on a column is free text
FREE_ROWS = 20  # different texts without which nothing could be learned from them
MOSTLY = 0.9  # a column with this share of numbers was meant to be numeric


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        texts: canonical text of each cell, "" where it is empty, shape (n,).
        numbers: the cells as numbers, NaN where missing, shape (n,); None when some cell is no number.
        boolean: the cells are truth values (numbers holds 0 and 1).
    """

    name: str
    texts: Texts
    numbers: Floats | None
    boolean: bool = False

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        return self.texts == "" if self.numbers is None else np.isnan(self.numbers)

    def values(self, kind: str, where: str) -> npt.NDArray[Any]:
        """The cells as `Rows` holds them: float64 for numbers and truth values, text for categories.

        Raises:
            DataError: a cell that must be a number is a word, or infinite.
        """
        if kind in ("category", "text"):
            return self.texts
        if self.numbers is None:
            row, cell = first_word(self)
            raise DataError(
                f"column '{self.name}' holds {cell!r} in row {row}, which is no number.",
                where=where,
                mend="give a number or leave the cell empty",
            )
        if np.isinf(self.numbers).any():
            row = int(np.flatnonzero(np.isinf(self.numbers))[0]) + 1
            raise DataError(
                f"column '{self.name}' is infinite in row {row}.",
                where=where,
                mend="leave the cell empty if it is not known",
            )
        return self.numbers

    def take(self, keep: npt.NDArray[Any]) -> Column:
        return Column(self.name, self.texts[keep], None if self.numbers is None else self.numbers[keep], self.boolean)


def column(name: str, series: pd.Series[Any], where: str, *, verbatim: bool = False) -> Column:
    """Read one column; cells that are lists or the like are refused by name and row.

    Args:
        verbatim: words and digits are kept as they are written: the id 007 is not 7.
    """
    dtype = series.dtype
    if verbatim and not pd.api.types.is_numeric_dtype(dtype):
        cells = series.astype(object).tolist()
        written = [_cell_text(cell, name, i, where).strip() for i, cell in enumerate(cells)]
        return Column(name, np.asarray(written, dtype=object), None)
    numbers: Floats
    if pd.api.types.is_bool_dtype(dtype):
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        read = Column(name, _texts_of(numbers, ("False", "True")), numbers, boolean=True)
    elif pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"column '{name}' holds complex numbers.", where=where, mend=f"leave '{name}' out, or split it")
    elif pd.api.types.is_integer_dtype(dtype):
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        texts = np.asarray(["" if pd.isna(v) else str(v) for v in series.tolist()], dtype=object)
        read = Column(name, texts, numbers)
    elif pd.api.types.is_float_dtype(dtype):
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        read = Column(name, np.asarray([number_text(v) for v in numbers.tolist()], dtype=object), numbers)
    else:
        read = _from_objects(name, series.astype(object).tolist(), where)
    return read


def lists_as_text(series: pd.Series[Any]) -> pd.Series[Any]:
    """A column whose cells that are lists are arrays of JSON; other cells, and the caller's column, as they are."""
    if not pd.api.types.is_object_dtype(series.dtype):
        return series
    cells = [_list_text(cell) if isinstance(cell, LISTS) else cell for cell in series.tolist()]
    return pd.Series(cells, index=series.index, dtype=object)


def _list_text(cell: Any) -> str:
    entries = sorted(cell, key=str) if isinstance(cell, set) else list(cell)
    return json.dumps([str(entry) for entry in entries], ensure_ascii=False)


def number_text(value: float) -> str:
    """ "" for NaN, no point for whole numbers, else the shortest text that gives the number back."""
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 2**63 else str(value)


def first_word(column: Column) -> tuple[int, str]:
    """Row, counted from 1, and text of the first cell that is no number."""
    for row, text in enumerate(column.texts, start=1):
        if math.isnan(_number(text)) and text.lower() not in MISSING_NUMBERS:
            return row, str(text)
    raise AssertionError("every cell is a number")


def is_category(kinds: int, present: int) -> bool:
    """So many different words in so many cells are categories, not free text."""
    rows = 2 if kinds <= MANY_CATEGORIES else LEAST_ROWS
    return kinds <= 20 or (kinds <= MOST_CATEGORIES and kinds * rows <= present)


def is_free_text(kinds: list[str]) -> bool:
    """So many different cells are texts that a person wrote, not names or codes."""
    words = sorted(len(text.split()) for text in kinds)
    return len(kinds) >= FREE_ROWS and words[len(words) // 2] >= FREE_WORDS


def infer(column: Column, where: str) -> tuple[Field | None, str]:
    """The field of a column, or None and a note why it is left out.

    Raises:
        DataError: nearly all cells are numbers, so that the others must be mistakes.
    """
    if column.numbers is not None and not column.boolean and _varies(column.numbers):
        return Field(column.name, "numeric"), ""
    present = column.texts[~column.missing]
    kinds = sorted(set(present))
    if not kinds:
        return None, f"'{column.name}' was left out: it is empty"
    if len(kinds) == 1 and len(present) == len(column):
        return None, f"'{column.name}' was left out: it is {kinds[0]!r} in every row"
    if column.numbers is not None:
        kind: Literal["boolean", "numeric"] = "boolean" if column.boolean else "numeric"
        return Field(column.name, kind), ""
    wrong = sum(math.isnan(_number(text)) for text in present)
    mistakes = wrong <= (1 - MOSTLY) * len(present)
    if is_category(len(kinds), len(present)) and not (mistakes and len(kinds) > MANY_CATEGORIES):
        return Field(column.name, "category", categories=tuple(kinds)), ""
    if mistakes:
        row, cell = first_word(column)
        raise DataError(
            f"column '{column.name}' holds numbers but for {wrong} of its cells, the first {cell!r} in row {row}.",
            where=where,
            mend=f"mend or empty these cells, or leave '{column.name}' out",
        )
    if is_free_text(kinds):
        return Field(column.name, "text"), ""
    unique = "; if it names the rows, give it as the id" if len(kinds) == len(column) else ""
    return None, f"'{column.name}' was left out: text with {len(kinds)} different values{unique}"


def _varies(numbers: Floats) -> bool:
    there = numbers[~np.isnan(numbers)]
    return len(there) > 0 and bool((there != there[0]).any())


def _from_objects(name: str, cells: list[Any], where: str) -> Column:
    texts = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells):
        texts[i] = _cell_text(cell, name, i, where)
    lower = {text.lower() for text in set(texts)}
    if lower and lower <= {"true", "false", ""} and lower != {""}:
        flags = np.asarray([math.nan if t == "" else float(t.lower() == "true") for t in texts], dtype=np.float64)
        return Column(name, _texts_of(flags, ("False", "True")), flags, boolean=True)
    numbers = np.asarray([_number(text) for text in texts], dtype=np.float64)
    unread = {text.lower() for text in set(texts[np.isnan(numbers)])}
    canonical = np.asarray([_canonical(t, v) for t, v in zip(texts, numbers.tolist(), strict=True)], dtype=object)
    return Column(name, canonical, numbers if unread <= MISSING_NUMBERS else None)


def _canonical(text: str, number: float) -> str:
    if not math.isfinite(number):
        return "" if text.lower() == "nan" else text.strip()
    whole = _WHOLE.fullmatch(text)
    return str(int(text)) if whole else number_text(number)  # int: a float would merge long numbers


def _number(text: str) -> float:
    """The number that a text spells, else NaN. Python's `1_000` is text."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _cell_text(cell: Any, name: str, row: int, where: str) -> str:
    if type(cell) is str:
        return cell
    if isinstance(cell, (*LISTS, dict, bytes)):
        raise DataError(
            f"column '{name}' holds a {type(cell).__name__} in row {row + 1}.",
            where=where,
            mend=f"leave '{name}' out, or split it into columns of numbers or words",
        )
    if cell is None or pd.isna(cell):
        return ""
    if isinstance(cell, float | np.floating):
        return number_text(float(cell))
    return str(cell)


def _texts_of(flags: Floats, words: tuple[str, str]) -> Texts:
    return np.asarray(["" if math.isnan(v) else words[int(v)] for v in flags.tolist()], dtype=object)
