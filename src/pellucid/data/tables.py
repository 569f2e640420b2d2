"""Tables: a file, a data frame or one of scikit-learn's own, read and checked, with an inferred schema.

What is left out or changed on the way is told in `notes`; nothing is repaired in silence.
"""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import DataError, SchemaError, nearest
from pellucid.core.rows import Rows, content_keys
from pellucid.core.schema import Field
from pellucid.data.cells import Column, column, infer
from pellucid.data.unreadable import missing_file, unreadable

SKLEARN = ("breast_cancer", "iris", "wine", "digits", "diabetes")
TARGET = "target"  # the name of the one target in Rows.targets
FEW_INTEGERS = 20  # a target of at most so many whole numbers is a class
Source = str | Path | pd.DataFrame | Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table ready to be learned.

    Args:
        rows: raw values; `targets` holds "target": class names, or float64.
        fields: the inferred inputs, in the order of the columns.
        target: name of the target's column.
        kind: "classify", "regress", or "" without a target.
        classes: names of the classes in code order.
        notes: what was left out or changed, one sentence each.
    """

    rows: Rows
    fields: tuple[Field, ...]
    target: str | None = None
    kind: str = ""
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_table(
    source: Source,
    target: str | None = None,
    id: str | None = None,
    drop: Sequence[str] = (),
    *,
    kind: str | None = None,
) -> Table:
    """Read a table.

    A row's key is its id, else a hash of all its cells, the target's among them: a row whose target was corrected is
    another row unless it has an id.

    Args:
        source: a CSV, TSV or Parquet file, a data frame, columns by name, or a table of scikit-learn by name.
        target: the column to predict; rows that lack it are left out.
        id: the column that identifies a row: present and different in every row.
        drop: columns that are no inputs.
        kind: "classify" or "regress"; by default what the target's values suggest.
    Raises:
        DataError: the table cannot be read or used; names the column and the row (counted from 1).
    """
    frame, where = _frame(source)
    columns = _columns(frame, id, where)
    for option, names in (("target", [target]), ("id", [id]), ("drop", drop)):
        _known([name for name in names if name is not None], columns, option, where)
    notes: list[str] = []
    keys = _keys(columns, id, where)
    if target is not None and columns[target].missing.any():
        keep = ~columns[target].missing
        if not keep.any():
            raise DataError(f"the target '{target}' is empty in every row.", where=where, mend="name another target")
        notes.append(f"{int((~keep).sum())} rows without '{target}' were left out")
        columns, keys = {name: c.take(keep) for name, c in columns.items()}, keys[keep]
    fields = _fields([c for name, c in columns.items() if name not in {target, id, *drop}], where, notes)
    targets: dict[str, npt.NDArray[Any]] = {}
    classes: tuple[str, ...] = ()
    if target is not None:
        kind, targets[TARGET], classes = _target(columns[target], kind, where)
    rows = Rows(keys, {f.name: columns[f.name].values(f.kind, where) for f in fields}, targets)
    return Table(rows, fields, target, kind or "", classes, tuple(notes))


def rows_from_frame(
    source: Source, fields: Sequence[Field], id: str | None = None, target: str | None = None, kind: str = ""
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
    frame, where = _frame(source)
    names = [str(name) for name in frame.columns]
    lacking = [f.name for f in fields if f.name not in names]
    if lacking:
        near = "; ".join(f"'{name}': {hint}" for name in lacking[:3] if (hint := nearest(name, names)))
        raise SchemaError(
            f"{len(lacking)} of {len(fields)} columns are missing: {_list(lacking)}.",
            where=where,
            mend=near or f"give these columns; the table has {_list(names)}",
        )
    columns = _columns(frame, id, where)
    _known([id] if id else [], columns, "id", where)
    keys = _keys(columns, id, where)
    targets = {}
    if target in columns:
        targets[TARGET] = _labels(columns[target]) if kind == "classify" else columns[target].values("numeric", where)
    return Rows(keys, {f.name: columns[f.name].values(f.kind, where) for f in fields}, targets)


def table_keys(source: Source, id: str | None = None) -> npt.NDArray[np.str_]:
    """The keys that `read_table` gives the rows of a table, shape (n,)."""
    frame, where = _frame(source)
    columns = _columns(frame, id, where)
    _known([id] if id else [], columns, "id", where)
    return _keys(columns, id, where)


def label_column(source: Source, target: str, kind: str) -> npt.NDArray[Any]:
    """The target of every row, shape (n,): text for `classify`, else float64, NaN where it is missing."""
    frame, where = _frame(source)
    columns = _columns(frame, None, where)
    _known([target], columns, "target", where)
    return _labels(columns[target]) if kind == "classify" else columns[target].values("numeric", where)


def _keys(columns: Mapping[str, Column], id: str | None, where: str) -> npt.NDArray[np.str_]:
    return _ids(columns[id], where) if id else content_keys({name: c.texts for name, c in columns.items()})


def _columns(frame: pd.DataFrame, id: str | None, where: str) -> dict[str, Column]:
    names = [str(name) for name in frame.columns]
    return {name: column(name, frame.iloc[:, i], where, verbatim=name == id) for i, name in enumerate(names)}


def _fields(columns: Iterable[Column], where: str, notes: list[str]) -> tuple[Field, ...]:
    fields = []
    for each in columns:
        field, note = infer(each, where)
        if field:
            fields.append(field)
        else:
            notes.append(note)
    if not fields:
        raise DataError(f"no column is left to learn from: {'; '.join(notes) or 'all are target, id or dropped'}.",
                        where=where, mend="give a table with at least one input that varies")  # fmt: skip
    return tuple(fields)


def _target(target: Column, kind: str | None, where: str) -> tuple[str, npt.NDArray[Any], tuple[str, ...]]:
    values = sorted(set(target.texts))
    whole = target.numbers is not None and bool((target.numbers == np.round(target.numbers)).all())
    few = len(values) <= FEW_INTEGERS and len(values) <= max(2, len(target) / 5)
    if len(values) == 1:
        raise DataError(
            f"the target '{target.name}' is {values[0]!r} in every row.", where=where, mend="a target needs two values"
        )
    if target.numbers is not None:
        target.values("numeric", where)  # refuses infinite ones
    if kind is None:
        kind = "classify" if target.boolean or target.numbers is None or (whole and few) else "regress"
    if kind == "regress":
        return kind, target.values("numeric", where), ()
    if len(values) > max(FEW_INTEGERS, len(target) / 5):
        raise DataError(
            f"the target '{target.name}' has {len(values)} different values in {len(target)} rows: too many classes.",
            where=where,
            mend="name another target, or learn a number (kind: regress)",
        )
    numeric = target.numbers is not None and not target.boolean
    return kind, _labels(target), tuple(sorted(values, key=float) if numeric else values)


def _labels(target: Column) -> npt.NDArray[np.str_]:
    return target.texts.astype(np.str_)


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


def _known(names: Iterable[str], columns: Mapping[str, Column], option: str, where: str) -> None:
    for name in names:
        if name not in columns:
            raise DataError(
                f"no column '{name}' ({option}); the columns are {_list(list(columns))}.",
                where=where,
                mend=nearest(name, columns) or "use one of the names above",
            )


def _list(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _frame(source: Source) -> tuple[pd.DataFrame, str]:
    """The source as a frame with unique column names and at least one row, and what to call it in errors."""
    if isinstance(source, pd.DataFrame | Mapping):
        where = "the data frame"
        try:
            frame = source if isinstance(source, pd.DataFrame) else pd.DataFrame(dict(source))
        except ValueError as error:
            raise DataError(
                f"the columns make no table: {error}.", where=where, mend="columns of equal length"
            ) from None
        names = [str(name) for name in frame.columns]
    else:
        where = str(source)
        frame, names = _sklearn(where) if where in SKLEARN else _file(Path(source))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"column names repeat: {_list(twice)}.", where=where, mend="give every column its own name")
    if not len(frame):
        raise DataError("the table has no rows.", where=where, mend="give at least one row below the header")
    return frame, where


def _sklearn(name: str) -> tuple[pd.DataFrame, list[str]]:
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    frame = pd.DataFrame(bunch.data, columns=[str(feature) for feature in bunch.feature_names])
    labels = getattr(bunch, "target_names", None)
    # Numbers as classes (digits) are words here, too: no digit is larger than another.
    frame[TARGET] = bunch.target if labels is None else np.asarray(labels)[bunch.target].astype(str)
    return frame, list(frame.columns)


def _file(path: Path) -> tuple[pd.DataFrame, list[str]]:
    if not path.is_file():
        raise missing_file(path, "table", SKLEARN)
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _parquet(path)
        return _delimited(path)
    except (OSError, UnicodeError, ValueError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        raise unreadable(path, error) from None


def _parquet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    frame = pd.read_parquet(path).reset_index(drop=True)
    return frame, [str(name) for name in frame.columns]


def _delimited(path: Path) -> tuple[pd.DataFrame, list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        if not first.strip():
            what = "the first line, which names the columns, is empty." if file.read(1) else "the file is empty."
            raise DataError(what, where=str(path), mend="give a header line and at least one row")
        separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
        file.seek(0)
        names = next(csv.reader(file, delimiter=separator))
    unnamed = [i + 1 for i, name in enumerate(names) if not name.strip()]
    if unnamed:
        raise DataError(
            f"column {unnamed[0]} has no name.", where=str(path), mend="name every column in the first line"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be cut in silence
        try:
            frame = pd.read_csv(
                path, sep=separator, header=0, names=range(len(names)), dtype=object, keep_default_na=False,
                na_filter=False, index_col=False, encoding="utf-8-sig",
            )  # fmt: skip
        except pd.errors.ParserWarning:
            raise DataError(
                f"rows have more cells than the {len(names)} columns that the first line names.",
                where=str(path),
                mend="quote cells that contain the separator",
            ) from None
    frame.columns = pd.Index(names)
    return frame, names
