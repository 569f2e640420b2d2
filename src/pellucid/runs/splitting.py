"""The review rows, frozen at a program's first fit, and what is left to train on: whatever becomes of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.assemble import Problem
from pellucid.core.errors import DataError
from pellucid.core.rows import Index, Rows
from pellucid.evidence.folds import Fold, review_split, touched, walk_forward
from pellucid.runs.dividing import after, divide_folds, divide_review
from pellucid.runs.moments import split_series
from pellucid.spec.series import SeriesData
from pellucid.store.store import Store

DISCRETE = 3  # equal rows before a typical review row, from which on equal rows are different cases


@dataclass(frozen=True)
class Split:
    """Positions among the rows: what may be trained on, the review rows, the folds within the training rows."""

    train: Index
    review: Index
    folds: list[Fold]
    notes: tuple[str, ...] = ()


def split(prob: Problem, store: Store) -> Split:
    """Set the review rows aside: those frozen at the first fit, whatever was appended or shuffled since."""
    rows, spec = prob.rows, prob.spec
    assert rows is not None
    ordered = rows.times is not None
    labels = labels_of(prob)
    frozen = store.review_keys(spec.name) if spec.name in store.names() else None
    if isinstance(spec.data, SeriesData):
        return Split(*split_series(prob, frozen))
    notes: list[str] = []
    if frozen is None:
        if ordered:
            part = review_split(
                len(rows) - prob.purge,  # the last labels are not there yet
                share=spec.review.share,
                rows=spec.review.rows,
                ordered=True,
                purge=prob.purge,
                seed=spec.seed,
            )
        else:
            part = divide_review(spec, rows, labels)
        review, train = part.test, part.train
        frozen = tuple(str(key) for key in rows.keys[review])
    else:
        mine = np.isin(rows.keys, np.asarray(frozen, dtype=np.str_))
        review, train = np.flatnonzero(mine), np.flatnonzero(~mine)
        if not len(review):
            raise _other_rows(spec.name, frozen, rows)
        rows_only = sum("/seed=" not in key for key in frozen)  # held-out episodes of an environment are not rows
        if len(review) < rows_only:
            notes.append(f"{rows_only - len(review)} of the {rows_only} review rows are not in these data any more")
        if ordered:
            # A label may reach into the review rows; folds and policies need consecutive days, so what follows waits.
            later = train[train > review[-1] + prob.purge]
            train = np.setdiff1d(train[train < review[0]], touched(review, prob.purge + 1, len(rows)))
            if len(later):
                notes.append(
                    f"{len(later)} rows after the frozen review rows are not used; under another name they are"
                )
        elif (waits := after(spec, rows, review)[train]).any():
            train = train[~waits]
            notes.append(f"{int(waits.sum())} rows of the review rows' groups or times are kept out of training")
    if not ordered and getattr(spec.data, "id", None) is None:
        copies = alike(rows.keys[train], frozen)
        train = train[~copies]
        if copies.any():
            notes.append(f"{int(copies.sum())} copies of review rows are kept out of training")
    if not len(train):
        raise DataError(
            f"no row is left to train on beside the {len(review)} review rows of '{spec.name}'.",
            where="frozen review set",
            mend="give more rows, or fit these data under another name",
        )
    if ordered:
        folds = walk_forward(len(train), folds=spec.evidence.folds, purge=prob.purge)
    else:
        folds = divide_folds(spec, rows.take(train), None if labels is None else labels[train])
    return Split(train, review, [Fold(train[f.train], train[f.test]) for f in folds], tuple(notes))


def _other_rows(name: str, frozen: Sequence[str], rows: Rows) -> DataError:
    asset, now = str(frozen[0]).partition("/")[0], str(rows.keys[0]).partition("/")[0]
    mend = "fit these data under another name (--name), or restore the rows (and the id column) that were reviewed"
    if rows.times is not None and asset != now:  # prices are named by their file
        mend = f"name the file as before: rows are called {now}/DATE now, {asset}/DATE then; or use another --name"
    return DataError(
        f"none of the {len(frozen)} review rows of '{name}' is in these data.", where="frozen review set", mend=mend
    )


def alike(keys: Any, review: Sequence[str]) -> Any:
    """Which content keys are those of copies of a review row: equal rows differ only in their `#k`.

    When a typical review row has three equal rows before it, the table has few distinct rows: equal rows are then
    different cases, and leaving all of them out would leave out whatever is frequent.
    """
    parts = [key.partition("#") for key in review]
    if float(np.median([int(number or 0) for _, _, number in parts])) >= DISCRETE:
        return np.zeros(len(keys), dtype=bool)
    held = {content for content, _, _ in parts}
    return np.asarray([str(key).partition("#")[0] in held for key in keys], dtype=bool)


def labels_of(prob: Problem) -> Any:
    """The class of every row as text; None where the target is no class."""
    if prob.target_kind not in ("classify", "ordinal") or prob.rows is None:
        return None
    return np.asarray([str(v) for v in prob.rows.targets["target"]])
