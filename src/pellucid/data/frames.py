"""A frame in memory as fields and their values, where every row must stay: a bad cell is an error.

Cells, kinds and notes are those of `data.tables`; columns of numbers are taken as they are, without a text a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.core.schema import Field
from pellucid.data.cells import Column, column
from pellucid.data.declared import codes, days_of, declared_fields, part_of
from pellucid.data.tidy import tidy
from pellucid.spec.model import FieldSpec

Values = dict[str, npt.NDArray[Any]]


def dtypes_say(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What the types of the columns say, as in a spec's `data.fields`: categories, their order, dates."""
    said: dict[str, dict[str, Any]] = {}
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype):
            words = [str(text) for text in column(str(name), pd.Series(dtype.categories), "dtype").texts]
            said[str(name)] = {"order": words} if dtype.ordered else {"kind": "category"}
        elif pd.api.types.is_datetime64_any_dtype(dtype):
            said[str(name)] = {"kind": "date"}
    return said


def learn_fields(
    frame: pd.DataFrame, said: Mapping[str, FieldSpec], where: str
) -> tuple[tuple[Field, ...], Values, list[str]]:
    """The inputs that a table offers, their values, and a note for every column that is left out.

    When no column varies, the first is kept: a program of it answers the same to every row.

    Args:
        frame: columns have different names, all text.
        said: what is known of single columns.
        where: what it is called in errors.
    Raises:
        DataError: a cell cannot be read or is infinite.
    """
    fields: list[Field] = []
    values: Values = {}
    notes: list[str] = []
    for name in frame.columns:
        read = _read(name, frame[name], where, notes)
        made, told = declared_fields(read, said.get(name), where)
        notes += told
        for found, cells in made:
            fields.append(found)
            values[found.name] = cells
    if not fields:
        first = _read(frame.columns[0], frame[frame.columns[0]], where, [])
        kinds = tuple(sorted({*first.texts[~first.missing]}))
        only = Field(first.name, "category", categories=kinds) if first.numbers is None else Field(first.name)
        fields, values = [only], {only.name: first.values(only.kind, where)}
    return tuple(fields), values, notes


def read_fields(frame: pd.DataFrame, fields: Sequence[Field], where: str) -> Values:
    """The values of known fields; unseen categories and empty cells are allowed.

    Raises:
        DataError: a cell of a numeric field is no number, or infinite.
    """
    return {f.name: _as_field(f, frame[f.column or f.name], where) for f in fields}


def _as_field(field: Field, series: pd.Series[Any], where: str) -> npt.NDArray[Any]:
    if field.part:
        tidied = tidy(field.column, series.reset_index(drop=True))
        return part_of(days_of(column(field.column, tidied.series, where), where), field.part)
    if field.kind == "category" or field.categories:
        texts = column(field.name, series, where).texts
        return texts if field.kind == "category" else codes(texts, field)
    plain = _floats(field.name, series) or column(field.name, series, where)
    if plain.numbers is None:
        tidied = tidy(field.name, series.reset_index(drop=True))
        if not tidied.bad and tidied.series is not series:
            plain = column(field.name, tidied.series, where)
    return plain.values(field.kind, where)


def _read(name: str, series: pd.Series[Any], where: str, notes: list[str]) -> Column:
    quick = _floats(name, series)
    if quick is not None:
        return quick
    tidied = tidy(name, series.reset_index(drop=True))
    if tidied.bad:
        row, reason = min(tidied.bad.items())
        raise DataError(
            f"column '{name}', row {row + 1}: {reason}.", where=where, mend="mend the cell, empty it or leave it out"
        )
    notes += tidied.notes
    return column(name, tidied.series, where)


def _floats(name: str, series: pd.Series[Any]) -> Column | None:
    """A column of numbers whose texts nobody asks for; None for any other, and for one that has to be told about."""
    if not (isinstance(series.dtype, np.dtype) and series.dtype.kind in "fiu"):
        return None
    numbers = series.to_numpy(dtype=np.float64)
    there = numbers[~np.isnan(numbers)]
    if not len(there) or not (there != there[0]).any():
        return None
    return Column(name, np.full(len(numbers), "", dtype=object), numbers)
