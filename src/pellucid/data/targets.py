"""The target of a table: a class, several labels, a class of an order, or a number."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.labels import BETWEEN, label_texts
from pellucid.core.task import TABLE_KINDS
from pellucid.data.cells import Column
from pellucid.spec.model import Spec
from pellucid.spec.tasks import MultilabelTask, OrdinalTask

FEW_INTEGERS = 20  # a target of at most so many whole numbers is a class
MOST_LABELS = 500
SWITCH = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Asked:
    """How a target is to be read.

    Args:
        kind: of the task; None: what its values suggest.
        order: the classes of an order, lowest first; empty: of numbers, their own.
        separator: between the labels of a cell.
    """

    kind: str | None = None
    order: tuple[str, ...] = ()
    separator: str = BETWEEN


@dataclass(frozen=True)
class Target:
    """A target that was read.

    Args:
        kind: "classify", "multilabel", "ordinal", "regress".
        y: names of classes, labels with bars between them, or float64; shape (n,).
        classes: their names in code order, the labels, the order.
        notes: what to know of it.
    """

    kind: str
    y: npt.NDArray[Any]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def asked_of(spec: Spec) -> Asked:
    """How the tasks of a spec want the target to be read."""
    for task in spec.tasks.values():
        if task.kind in TABLE_KINDS:
            order = tuple(task.order) if isinstance(task, OrdinalTask) else ()
            return Asked(task.kind, order, task.separator if isinstance(task, MultilabelTask) else BETWEEN)
    return Asked()


def read_target(columns: Sequence[Column], asked: Asked, where: str) -> Target:
    """Read the columns of a target, from which rows without one are left out.

    Raises:
        DataError: it cannot be what is asked for.
    """
    kind = asked.kind or ("multilabel" if len(columns) > 1 else None)
    if kind == "multilabel":
        return _switches(columns, where) if len(columns) > 1 else _listed(columns[0], asked.separator, where)
    (target,) = columns
    return _ranked(target, asked.order, where) if kind == "ordinal" else _plain(target, kind, where)


def texts_of(column: Column) -> Texts:
    """Names of classes."""
    return column.texts.astype(np.str_)


def labels_of(columns: Sequence[Column], labels: Sequence[str], separator: str, where: str) -> Texts:
    """The labels of rows of a program that knows `labels`, bars between them, shape (n,).

    Raises:
        DataError: a row has another one.
    """
    if len(columns) > 1:
        return _switches(columns, where).y
    found = [_split(text, separator) for text in columns[0].texts]
    strange = sorted({label for row in found for label in row} - set(labels))
    if strange:
        raise DataError(
            f"'{columns[0].name}' holds {', '.join(map(repr, strange[:3]))}; the program knows {', '.join(labels)}.",
            where=where,
            mend="leave these labels out, or spell them as the program does",
        )
    return _joined_rows(found, labels)


def _plain(target: Column, kind: str | None, where: str) -> Target:
    values = _varied(target, where)
    whole = target.numbers is not None and bool((target.numbers == np.round(target.numbers)).all())
    few = len(values) <= FEW_INTEGERS and len(values) <= max(2, len(target) / 5)
    if target.numbers is not None:
        target.values("numeric", where)  # refuses infinite ones
    if kind is None:
        kind = "classify" if target.boolean or target.numbers is None or (whole and few) else "regress"
    if kind == "regress":
        return Target(kind, target.values("numeric", where))
    _few_enough(target, values, where)
    numeric = target.numbers is not None and not target.boolean
    return Target(kind, texts_of(target), tuple(sorted(values, key=float) if numeric else values))


def _varied(target: Column, where: str) -> list[str]:
    values = sorted(set(target.texts))
    if len(values) == 1:
        raise DataError(
            f"the target '{target.name}' is {values[0]!r} in every row.", where=where, mend="a target needs two values"
        )
    return values


def _few_enough(target: Column, values: Sequence[str], where: str) -> None:
    if len(values) > max(FEW_INTEGERS, len(target) / 5):
        raise DataError(
            f"the target '{target.name}' has {len(values)} different values in {len(target)} rows: too many classes.",
            where=where,
            mend="name another target, or learn a number (kind: regress)",
        )


def _ranked(target: Column, order: tuple[str, ...], where: str) -> Target:
    """A class of an order: the declared one, or that of the numbers."""
    values = _varied(target, where)
    _few_enough(target, values, where)
    if not order:
        if target.numbers is None:
            listed = ", ".join(map(repr, values[:5]))
            raise DataError(
                f"the target '{target.name}' holds words ({listed}), whose order nobody knows.",
                where=where,
                mend="name them in tasks.NAME.order, lowest first",
            )
        target.values("numeric", where)
        return Target("ordinal", texts_of(target), tuple(sorted(values, key=float)))
    strange = sorted(set(values) - set(order))
    if strange:
        raise DataError(
            f"the target '{target.name}' holds {', '.join(map(repr, strange[:5]))}, which its order does not name.",
            where=where,
            mend="name them in tasks.NAME.order, lowest first",
        )
    never = [word for word in order if word not in values]
    notes = (f"no row has the class {', '.join(map(repr, never))} of the order",) if never else ()
    return Target("ordinal", texts_of(target), order, notes)


def _switches(columns: Sequence[Column], where: str) -> Target:
    """A column per label, of 0 and 1."""
    labels = tuple(column.name for column in columns)
    _nameable(labels, where)
    on = np.zeros((len(columns[0]), len(columns)), dtype=bool)
    for j, column in enumerate(columns):
        strange = sorted({str(text) for text in column.texts if str(text).lower() not in SWITCH})
        if strange:
            raise DataError(
                f"the label '{column.name}' holds {', '.join(map(repr, strange[:3]))}.",
                where=where,
                mend="a column of a label holds 0 and 1, true and false, or yes and no",
            )
        on[:, j] = [SWITCH[str(text).lower()] for text in column.texts]
    counts = on.sum(axis=0).tolist()
    same = {name: count for name, count in zip(labels, counts, strict=True) if count in (0, len(on))}
    notes = [f"the label '{name}' is in {'every' if count else 'no'} row" for name, count in same.items()]
    return Target("multilabel", label_texts(on, labels), labels, tuple(notes))


def _listed(target: Column, separator: str, where: str) -> Target:
    """One column that lists the labels of each row; an empty cell lists none."""
    rows = [_split(text, separator) for text in target.texts]
    labels = tuple(sorted({label for row in rows for label in row}))
    if len(labels) < 2:
        raise DataError(
            f"the target '{target.name}' holds {len(labels)} label.",
            where=where,
            mend="several labels are needed; see tasks.NAME.separator for what stands between them",
        )
    if len(labels) > MOST_LABELS:
        raise DataError(
            f"the target '{target.name}' has {len(labels)} labels, {MOST_LABELS} at most can be learned.",
            where=where,
            mend="join or leave out rare ones; see tasks.NAME.separator for what stands between them",
        )
    _nameable(labels, where)
    none = sum(not row for row in rows)
    notes = (f"{none} rows of '{target.name}' are empty: they have no label",) if none else ()
    return Target("multilabel", _joined_rows(rows, labels), labels, notes)


def _nameable(labels: Sequence[str], where: str) -> None:
    bad = [label for label in labels if BETWEEN in label]
    if bad:
        mend = f"'{BETWEEN}' stands between labels where they are shown: give them other names"
        raise DataError(f"the label {bad[0]!r} holds '{BETWEEN}'.", where=where, mend=mend)


def _split(text: str, separator: str) -> tuple[str, ...]:
    """The labels of a cell, each once; an array of JSON is read as one."""
    if text.startswith("[") and text.endswith("]"):
        try:
            found = json.loads(text)
            return tuple(dict.fromkeys(str(label).strip() for label in found))
        except ValueError:
            pass
    return tuple(dict.fromkeys(part.strip() for part in text.split(separator) if part.strip()))


def _joined_rows(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> Texts:
    """Labels of each row in the order of `labels`."""
    place: Mapping[str, int] = {label: i for i, label in enumerate(labels)}
    key: Callable[[str], int] = place.__getitem__
    return np.asarray([BETWEEN.join(sorted(row, key=key)) for row in rows], dtype=np.str_)
