"""Tables: a file, a data frame or one of scikit-learn's own, read and checked, with an inferred schema.

What is left out or changed on the way is told in `notes`; nothing is repaired in silence.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, SchemaError, nearest
from pellucid.core.labels import BETWEEN
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.data.cells import Column, column, lists_as_text
from pellucid.data.declared import codes, days_of, declared_fields, part_of
from pellucid.data.images import (
    Pictures,
    folder_of,
    image_field,
    joined,
    joined_columns,
    path_texts,
    required_pictures,
    table_pictures,
)
from pellucid.data.large import quick_column, table_content_keys
from pellucid.data.quarantine import KEPT, BadRow, Quarantine
from pellucid.data.reading import TARGET, Progress, Read, read_source, release
from pellucid.data.targets import Asked, labels_of, read_target, texts_of
from pellucid.data.tidy import tidy
from pellucid.spec.model import FieldSpec, ReadSpec

WORDS = ("classify", "ordinal")  # kinds whose targets are words
Source = Any  # whatever `data.sources.open_source` opens


@dataclass(frozen=True)
class Table:
    """A table ready to be learned.

    Args:
        rows: raw values; `targets` holds "target": class names, labels with bars between them, or float64.
        fields: the inferred inputs, in the order of the columns.
        target: name of the target's column, or their names.
        kind: of the task that it asks for (see `data.targets.Target`), or "" without a target.
        classes: names of the classes in code order.
        notes: what was left out or changed, one sentence each.
        quarantine: rows that could not be read.
        good: how many could, before those without a target were left out.
    """

    rows: Rows
    fields: tuple[Field, ...]
    target: str | None = None
    kind: str = ""
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    quarantine: Quarantine = field(default_factory=Quarantine)
    good: int = 0


def read_table(
    source: Source,
    target: str | Sequence[str] | None = None,
    id: str | None = None,
    drop: Sequence[str] = (),
    *,
    asked: Asked | None = None,
    query: str | None = None,
    read: ReadSpec | None = None,
    progress: Progress | None = None,
    aside: Mapping[str, str] | None = None,
    declared: Mapping[str, FieldSpec] | None = None,
) -> Table:
    """Read a table.

    A row's key is its id, else a hash of all its cells, the target's among them: a row whose target was corrected is
    another row unless it has an id.

    Args:
        source: a file, pattern or URL (see `data.sources`), a database, a table in memory, or one of scikit-learn's.
        target: the column to predict, or several columns of labels; rows that lack one are left out.
        id: the column that identifies a row: present and different in every row.
        drop: columns that are no inputs.
        asked: how the target is to be read; by default as its values suggest.
        query: a table's name or a SELECT, for a database.
        read: how files are read.
        progress: told the share of the source that has been read, and the rows.
        aside: role ("group", "time", "split") -> the column that has it: no input, kept in `rows.extra` by its role.
        declared: what the spec says of single columns.
    Raises:
        DataError: the table cannot be read or used; names the column and the row (counted from 1).
    """
    read, aside, declared, asked = read or ReadSpec(), aside or {}, declared or {}, asked or Asked()
    wanted = [] if target is None else [target] if isinstance(target, str) else list(target)
    found = source if isinstance(source, Read) else read_source(source, read, query, progress)
    options = {option: [name] for option, name in {"id": id, **aside}.items() if name is not None}
    declared = {**found.said, **declared}
    joins = {name: said for name, said in declared.items() if said.kind == "image" and said.image.columns}
    listed: dict[str, Sequence[str]] = {"target": wanted, **options, "drop": drop}
    listed["fields"] = [name for name in declared if name not in joins]
    for option, names in listed.items():
        known_columns(names, found.names, option, found.where)
    drop = [*drop, *(name for name, said in declared.items() if said.drop)]
    used = [name for name in found.names if name not in {id, *drop}]
    notes = list(found.notes)
    lists = len(wanted) == 1 and asked.kind == "multilabel"  # one column, whose cells may be empty
    pictures = {
        name: table_pictures(found, name, said, progress)
        for name, said in declared.items()
        if said.kind == "image" and name in used and name not in joins
    }
    keep = np.flatnonzero(_tidied(found, used, read, notes, pictures))
    keys, good = _keys(found, id)[keep], len(keep)
    if wanted and not lists:
        here = _with_target(found, wanted, read, keep, notes)
        keep, keys = keep[here], keys[here]
    kept = {role: _kept(_column(found, name, read).take(keep), role, found.where) for role, name in aside.items()}
    kept_names = [name for name in used if name not in {*wanted, *aside.values()}]
    parts = {name: joined_columns(name, said.image, kept_names, found.where) for name, said in joins.items()}
    taken = {column for columns in parts.values() for column in columns} | set(pictures)
    plain = [name for name in kept_names if name not in taken]
    inputs, values = _inputs(plain, found, keep, read, notes, declared)
    for name, read_pixels in pictures.items():
        inputs, values[name] = (*inputs, image_field(name, declared[name])), read_pixels.pixels[keep]
    for name, columns in parts.items():
        made = image_field(name, joins[name], columns)
        pixels = [_column(found, column, read).take(keep) for column in columns]
        inputs, values[name] = (*inputs, made), joined(made, pixels, found.where)
    if not inputs:
        left = "; ".join(notes) or "all are target, id or dropped"
        mend = "give a table with at least one input that varies"
        raise DataError(f"no column is left to learn from: {left}.", where=found.where, mend=mend)
    if found.large:
        release()
    done = None
    if wanted:
        told = [_column(found, name, read, lists=lists).take(keep) for name in wanted]
        done = read_target(told, asked, found.where)
        notes += done.notes
    return Table(
        Rows(keys, values, {} if done is None else {TARGET: done.y}, extra=kept),
        inputs,
        ", ".join(wanted) or None,
        "" if done is None else done.kind,
        () if done is None else done.classes,
        tuple(notes),
        found.quarantine,
        good,
    )


def _with_target(
    found: Read, wanted: Sequence[str], read: ReadSpec, keep: npt.NDArray[Any], notes: list[str]
) -> npt.NDArray[np.bool_]:
    """Which of the kept rows have a target."""
    here = np.ones(len(keep), dtype=bool)
    for name in wanted:
        mine = ~_column(found, name, read).take(keep).missing
        if not mine.any():
            raise DataError(
                f"the target '{name}' is empty in every row.", where=found.where, mend="name another target"
            )
        if not mine.all():
            notes.append(f"{int((here & ~mine).sum())} rows without '{name}' were left out")
        here &= mine
    return here


def _kept(column: Column, role: str, where: str) -> npt.NDArray[Any]:
    """The cells of a column that decides where a row goes; moments are numbers, dates seconds since 1970."""
    if column.missing.any():
        row = int(np.flatnonzero(column.missing)[0]) + 1
        mend = f"fill in its {int(column.missing.sum())} empty cells, or leave these rows out"
        raise DataError(f"the {role} '{column.name}' is empty in row {row}.", where=where, mend=mend)
    if role != "time":
        return column.texts.astype(np.str_)
    if column.numbers is not None:
        return column.numbers
    try:
        return column.texts.astype("datetime64[s]").astype(np.float64)
    except ValueError as error:
        mend = "give dates as YYYY-MM-DD, or numbers"
        raise DataError(f"the time '{column.name}' holds {str(error)[-40:]!r}.", where=where, mend=mend) from error


def _tidied(
    found: Read, used: Sequence[str], read: ReadSpec, notes: list[str], pictures: Mapping[str, Pictures]
) -> npt.NDArray[np.bool_]:
    """Which rows can be used, shape (n,): those with a cell or picture that cannot be read go to the quarantine."""
    n = len(found)
    keep = np.ones(n, dtype=bool)
    bad: dict[int, tuple[str, str, str]] = {}
    for name, read_pixels in pictures.items():
        for row, (path, reason) in read_pixels.bad.items():
            bad.setdefault(row, (f"the picture '{path}' cannot be used: {reason}", "picture", name))
    for name in used:
        if name in pictures:
            continue
        tidied = tidy(name, found.series(name), read.decimal)
        notes += tidied.notes
        for row, reason in tidied.bad.items():
            bad.setdefault(row, (reason, tidied.kind, name))
    keep[list(bad)] = False
    for row in sorted(bad):
        reason, kind, name = bad[row]
        file, number = found.place(row)
        cells = found.cells(row) if found.quarantine.count < KEPT else {}
        spans = 1 + sum(cell.count("\n") for cell in cells.values()) if found.quarantine.unit == "line" else 1
        raw = json.dumps(cells, ensure_ascii=False) if cells else ""
        found.quarantine.add(BadRow(file, number, reason, raw, name), kind, spans)
    good = int(keep.sum())
    found.quarantine.check(good, read.bad_rows, found.where)
    notes[:0] = found.quarantine.notes(good)
    return keep


def _column(found: Read, name: str, read: ReadSpec, *, fast: bool = False, lists: bool = False) -> Column:
    """A column as it is used; its cells may be `lists`."""
    if lists:
        return column(name, lists_as_text(found.series(name)), found.where)
    series = tidy(name, found.series(name), read.decimal).series
    return quick_column(name, series, found.where) if fast else column(name, series, found.where)


def _inputs(
    names: Sequence[str],
    found: Read,
    keep: npt.NDArray[Any],
    read: ReadSpec,
    notes: list[str],
    declared: Mapping[str, FieldSpec],
) -> tuple[tuple[Field, ...], dict[str, npt.NDArray[Any]]]:
    """Fields and their values, one column after the other: a large table is never in memory as text."""
    fields, values, left = [], {}, []
    for name in names:
        each = _column(found, name, read, fast=name not in declared).take(keep)
        made, told = declared_fields(each, declared.get(name), found.where)
        left += told
        for made_field, cells in made:
            fields.append(made_field)
            values[made_field.name] = _compact(cells) if found.large else cells
    notes += left
    return tuple(fields), values


def _compact(cells: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Half the memory: numbers as the network will get them, each word once."""
    if cells.dtype == np.float64:
        return cells.astype(np.float32)
    words: dict[str, str] = {}
    return np.asarray([words.setdefault(cell, cell) for cell in cells], dtype=object)


def rows_from_frame(
    source: Source,
    fields: Sequence[Field],
    id: str | None = None,
    target: str | None = None,
    kind: str = "",
    *,
    read: ReadSpec | None = None,
) -> Rows:
    """Rows of a known schema: columns in any order, others ignored; unseen categories and empty cells are allowed.

    Args:
        source: as for `read_table`.
        fields: the program's inputs.
        id: the column that identifies a row, when there is one.
        target, kind: the target's column, read when the source has it, and how ("classify" or "regress").
    Raises:
        SchemaError: columns are missing; the nearest names are given.
        DataError: a cell of a numeric field is no number, or infinite.
    """
    read = read or ReadSpec()
    found = read_source(source, read)
    asked = list(dict.fromkeys(name for f in fields for name in f.sources))
    lacking = [name for name in asked if name not in found.names]
    if lacking:
        near = "; ".join(f"'{name}': {hint}" for name in lacking[:3] if (hint := nearest(name, found.names)))
        raise SchemaError(
            f"{len(lacking)} of {len(asked)} columns are missing: {_list(lacking)}.",
            where=found.where,
            mend=near or f"give these columns; the table has {_list(found.names)}",
        )
    known_columns([id] if id else [], found.names, "id", found.where)
    keys = _keys(found, id)
    targets = {}
    if target in found.names and target is not None:
        read_as = column(target, found.series(target), found.where)
        targets[TARGET] = texts_of(read_as) if kind in WORDS else read_as.values("numeric", found.where)
    return Rows(keys, {f.name: _as_field(f, found, read) for f in fields}, targets)


def _as_field(field: Field, found: Read, read: ReadSpec) -> npt.NDArray[Any]:
    """A column read as the kind that it had in training; nothing is left out here, so a bad cell is an error."""
    if field.columns:
        return joined(field, [_column(found, name, read) for name in field.columns], found.where)
    if field.kind == "image":
        folders = [folder for file, count in found.files() for folder in [folder_of(file)] * count]
        return required_pictures(field, path_texts(found.series(field.name)), folders, found.where)
    if field.part:
        tidied = tidy(field.column, found.series(field.column), read.decimal)
        return part_of(days_of(column(field.column, tidied.series, found.where), found.where), field.part)
    plain = column(field.name, found.series(field.name), found.where)
    if field.kind == "numeric" and field.categories:
        return codes(plain.texts, field)
    if field.kind in ("category", "text") or plain.numbers is not None:
        return plain.values(field.kind, found.where)
    tidied = tidy(field.name, found.series(field.name), read.decimal)
    if tidied.bad or tidied.series is found.series(field.name):
        return plain.values(field.kind, found.where)
    return column(field.name, tidied.series, found.where).values(field.kind, found.where)


def table_keys(source: Source, id: str | None = None) -> npt.NDArray[np.str_]:
    """The keys that `read_table` gives the rows of a table, shape (n,)."""
    found = read_source(source)
    known_columns([id] if id else [], found.names, "id", found.where)
    return _keys(found, id)


def label_column(
    source: Source, target: str | Sequence[str], kind: str, labels: Sequence[str] = (), separator: str = BETWEEN
) -> npt.NDArray[Any]:
    """The target of every row, shape (n,): text for classes and labels, else float64, NaN where it is missing.

    Args:
        kind: of the task.
        labels, separator: of a multilabel one.
    """
    found = read_source(source)
    names = [target] if isinstance(target, str) else list(target)
    known_columns(names, found.names, "target", found.where)
    columns = [column(name, lists_as_text(found.series(name)), found.where) for name in names]
    if kind == "multilabel":
        return labels_of(columns, labels, separator, found.where)
    return texts_of(columns[0]) if kind in WORDS else columns[0].values("numeric", found.where)


def _keys(found: Read, id: str | None) -> npt.NDArray[np.str_]:
    if id:
        return _ids(column(id, found.series(id), found.where, verbatim=True), found.where)
    return table_content_keys(found)


def _ids(column: Column, where: str) -> npt.NDArray[np.str_]:
    if column.missing.any():
        row = int(np.flatnonzero(column.missing)[0]) + 1
        raise DataError(f"the id '{column.name}' is empty in row {row}.", where=where, mend="give every row an id")
    text, count = Counter(column.texts).most_common(1)[0]
    if count > 1:
        rows = ", ".join(str(i + 1) for i in np.flatnonzero(column.texts == text)[:5])
        raise DataError(
            f"the id '{column.name}' repeats: {text!r} stands in the rows {rows}.",
            where=where,
            mend="name a column that differs in every row, or none: then a hash of the content identifies a row",
        )
    return column.texts.astype(np.str_)


def known_columns(names: Iterable[str], columns: Sequence[str], option: str, where: str) -> None:
    """Raise `DataError` for a name that is no column."""
    for name in names:
        if name not in columns:
            raise DataError(
                f"no column '{name}' ({option}); the columns are {_list(columns)}.",
                where=where,
                mend=nearest(name, columns) or "use one of the names above",
            )


def _list(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
