"""How the rows of a table are divided into training and test: at random, by class, group, column or time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.rows import Index, Rows
from pellucid.evidence.folds import (
    Fold,
    grouped_folds,
    grouped_review,
    moment_folds,
    moment_review,
    review_split,
    stratified_folds,
)
from pellucid.spec.model import Spec, TableData

TRAIN = frozenset({"train", "training", "fit", "0"})
TEST = frozenset({"test", "testing", "holdout", "review", "1"})
VALIDATE = frozenset({"valid", "validation", "val", "dev"})

Array = npt.NDArray[Any]


def way(spec: Spec) -> str:
    """The kind of split that a spec of a table asks for."""
    data, asked = spec.data, spec.evidence.split
    if not isinstance(data, TableData) or asked != "auto":
        return asked
    if data.split_column is not None:
        return "column"
    if data.group is not None:
        return "grouped"
    return "walk_forward" if data.time is not None else "stratified"


def divide_review(spec: Spec, rows: Rows, labels: Array | None) -> Fold:
    """Review rows (`test`) and the rows that fits may use, at a program's first fit."""
    how, share = way(spec), spec.review.share
    if spec.review.rows is not None:
        share = min(0.5, spec.review.rows / max(1, len(rows)))
    if how == "column":
        return by_column(rows.extra["split"])
    if how == "grouped":
        return grouped_review(rows.extra["group"], share, spec.seed, labels)
    if how == "walk_forward":
        size = spec.review.rows or max(1, round(len(rows) * share))
        return moment_review(rows.extra["time"], size, gap=spec.evidence.purge + spec.evidence.embargo)
    return review_split(
        len(rows),
        share=spec.review.share,
        rows=spec.review.rows,
        ordered=False,
        labels=labels if how != "random" else None,
        seed=spec.seed,
    )


def cut_off(spec: Spec, rows: Rows, labels: Array | None, share: float, seed: int) -> Fold:
    """A share of training rows (`test`) that is kept from a fit, divided as the spec divides, and the rest."""
    how = way(spec)
    if how == "grouped" or (how == "column" and "group" in rows.extra):
        return grouped_review(rows.extra["group"], share, seed, labels)
    if how == "walk_forward":
        gap = spec.evidence.purge + spec.evidence.embargo
        return moment_review(rows.extra["time"], max(1, round(len(rows) * share)), gap=gap)
    plain = how == "random" or labels is None
    return review_split(len(rows), share=share, ordered=False, labels=None if plain else labels, seed=seed)


def divide_folds(spec: Spec, rows: Rows, labels: Array | None) -> list[Fold]:
    """The folds within the training rows."""
    how, count = way(spec), max(2, spec.evidence.folds)
    if how == "column" and "split" in rows.extra and (asked := _validation(rows.extra["split"])) is not None:
        return [asked]
    if how == "grouped" or (how == "column" and "group" in rows.extra):
        return grouped_folds(rows.extra["group"], count, spec.seed, labels)
    if how == "walk_forward":
        evidence = spec.evidence
        return moment_folds(rows.extra["time"], folds=evidence.folds, purge=evidence.purge, embargo=evidence.embargo)
    return stratified_folds(labels if labels is not None and how != "random" else np.zeros(len(rows)), count, spec.seed)


def after(spec: Spec, rows: Rows, review: Index) -> npt.NDArray[np.bool_]:
    """Rows that must not be trained on because of where the frozen review rows are, shape (n,)."""
    how = way(spec)
    if how == "grouped":
        return np.asarray(np.isin(rows.extra["group"], rows.extra["group"][review]))
    if how != "walk_forward":
        return np.zeros(len(rows), dtype=bool)
    times = rows.extra["time"]
    moments = np.unique(times)
    first = int(np.searchsorted(moments, times[review].min()))
    gap = spec.evidence.purge + spec.evidence.embargo
    return np.asarray(np.searchsorted(moments, times) >= first - gap)


def by_column(cells: Array) -> Fold:
    """Training and test rows as a column says.

    Raises:
        DataError: other words than train, test and validation, or one side is empty.
    """
    words = np.asarray([str(cell).strip().lower() for cell in cells])
    strange = sorted(set(words) - TRAIN - TEST - VALIDATE)
    where = "data.split_column"
    if strange:
        raise DataError(f"the split column holds {strange[0]!r}.", where=where, mend="say train, validation or test")
    test = np.isin(words, sorted(TEST))
    if test.all() or not test.any():
        raise DataError(
            f"the split column puts all {len(words)} rows on one side.", where=where, mend="name rows of both sides"
        )
    return Fold(np.flatnonzero(~test), np.flatnonzero(test))


def _validation(cells: Array) -> Fold | None:
    words = np.asarray([str(cell).strip().lower() for cell in cells])
    held = np.isin(words, sorted(VALIDATE))
    return Fold(np.flatnonzero(~held), np.flatnonzero(held)) if held.any() and not held.all() else None
