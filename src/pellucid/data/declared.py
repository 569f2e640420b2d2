"""What a spec says of a column: its kind, order, parts, rare words, unit; applied alike in training and at predict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.core.schema import DAYS, Field, FieldKind
from pellucid.data.cells import Column, infer
from pellucid.spec.model import FieldSpec

PARTS = {
    "year": "calendar year",
    "month": "month, 1 to 12",
    "weekday": "day of the week, Monday 0 to Sunday 6",
    "days": DAYS,
}

Array = npt.NDArray[Any]


def declared_fields(column: Column, said: FieldSpec | None, where: str) -> tuple[list[tuple[Field, Array]], list[str]]:
    """The inputs that a column makes, with their cells, and notes.

    Args:
        said: what the spec says of it; None: all is inferred.
    Raises:
        DataError: its cells are not what the spec says.
    """
    if said is None or not (said.kind or said.order):
        field, note = infer(column, where)
        if field is None:
            return [], [note]
        return _finished([(field, column.values(field.kind, where))], column, said)
    if said.order:
        return _finished([_ordinal(column, said.order, where)], column, said)
    if said.kind == "date":
        return _finished(_parts(column, where), column, said)
    if said.kind == "image":
        raise DataError(
            f"column '{column.name}' holds pictures, which are not read here.",
            where=where,
            mend="fit a table or a folder of pictures: pellucid.fit(...), or pellucid fit",
        )
    if said.kind == "category":
        words = tuple(sorted(set(column.texts[~column.missing].tolist())))
        return _finished([(Field(column.name, "category", categories=words), column.texts)], column, said)
    if said.kind == "text":
        return _finished([(Field(column.name, "text"), column.texts)], column, said)
    kind: FieldKind = "boolean" if said.kind == "boolean" else "numeric"
    return _finished([(Field(column.name, kind), column.values(kind, where))], column, said)


def _finished(
    made: list[tuple[Field, Array]], column: Column, said: FieldSpec | None
) -> tuple[list[tuple[Field, Array]], list[str]]:
    """With unit, description, scale, and rare words joined."""
    notes: list[str] = []
    out = []
    for field, cells in made:
        same = len(set(cells.tolist())) < 2 if field.kind in ("category", "text") else not _varies(cells)
        if same:
            notes.append(f"'{field.name}' was left out: it is the same in every row")
            continue
        if said is not None:
            field = replace(field, unit=said.unit or field.unit, description=said.description or field.description)
            if field.kind == "numeric" and not field.categories and said.scale != "standard":
                field = replace(field, scale=said.scale)
            if field.kind == "category" and said.rare:
                counts = Counter(cells.tolist())
                kept = tuple(word for word in field.categories if counts[word] >= said.rare)
                if len(kept) < len(field.categories):
                    rows = sum(counts[word] for word in field.categories if word not in kept)
                    few = len(field.categories) - len(kept)
                    notes.append(
                        f"'{field.name}': {few} values in fewer than {said.rare} rows each ({rows} rows) are one"
                    )
                    field = replace(field, categories=kept)
        out.append((field, cells))
    return out, notes


def _varies(cells: Array) -> bool:
    there = cells[np.isfinite(cells)]
    return len(there) > 0 and bool((there != there[0]).any() or len(there) < len(cells))


def _ordinal(column: Column, order: list[str], where: str) -> tuple[Field, Array]:
    strange = sorted(set(column.texts[~column.missing].tolist()) - {"", *order})
    if strange:
        listed = ", ".join(map(repr, strange[:5]))
        raise DataError(
            f"column '{column.name}' holds {listed}, which its order does not name.",
            where=where,
            mend=f"name them in data.fields.{column.name}.order, lowest first",
        )
    steps = ", ".join(f"{i} {word}" for i, word in enumerate(order))
    field = Field(column.name, "numeric", description=steps, categories=tuple(order))
    return field, codes(column.texts, field)


def codes(texts: Array, field: Field) -> npt.NDArray[np.float64]:
    """The places of words in an order, NaN for others and empty ones, shape (n,)."""
    place = {word: float(i) for i, word in enumerate(field.categories)}
    return np.asarray([place.get(str(text), np.nan) for text in texts], dtype=np.float64)


def _parts(column: Column, where: str) -> list[tuple[Field, Array]]:
    moments = days_of(column, where)
    made = []
    for part, told in PARTS.items():
        field = Field(f"{column.name}.{part}", "numeric", description=told, column=column.name, part=part)
        made.append((field, part_of(moments, part)))
    return made


def days_of(column: Column, where: str) -> npt.NDArray[np.datetime64]:
    """Dates of a column of ISO texts, NaT where empty.

    Raises:
        DataError: a cell is no date.
    """
    out = np.full(len(column), np.datetime64("NaT"), dtype="datetime64[D]")
    for i in np.flatnonzero(~column.missing):
        try:
            out[i] = np.datetime64(str(column.texts[i])[:10], "D")
        except ValueError as error:
            raise DataError(
                f"column '{column.name}' holds {str(column.texts[i])[:40]!r} in row {i + 1}, which is no date.",
                where=where,
                mend="give dates as YYYY-MM-DD, or leave the cell empty",
            ) from error
    return out


def part_of(days: npt.NDArray[np.datetime64], part: str) -> npt.NDArray[np.float64]:
    """One part of each date, NaN where there is none."""
    months = days.astype("datetime64[M]")
    count = days.astype(np.int64)
    value = {
        "year": days.astype("datetime64[Y]").astype(np.int64) + 1970,
        "month": months.astype(np.int64) % 12 + 1,
        "weekday": (count + 3) % 7,
        "days": count,
    }[part]
    return np.where(np.isnat(days), np.nan, value.astype(np.float64))


def unseen(rows: Rows, fields: Sequence[Field]) -> dict[str, int]:
    """How many rows hold a word that training did not know, by field; none where there are none."""
    counts = {}
    for field in fields:
        if field.kind == "category" and field.name in rows.fields:
            words = np.asarray(rows.fields[field.name]).astype(str)
            counts[field.name] = int((~np.isin(words, ["", *field.categories])).sum())
    return {name: count for name, count in counts.items() if count}
