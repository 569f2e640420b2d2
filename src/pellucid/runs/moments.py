"""Review rows and folds of series: whole moments, with all labels of the training part known before the first test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pellucid.assemble import Problem
from pellucid.core.errors import DataError
from pellucid.core.rows import Index
from pellucid.evidence.folds import Fold, moment_folds, moment_review
from pellucid.evidence.folds import touched as touched_positions
from pellucid.spec.series import FUTURE

Parts = tuple[Index, Index, list[Fold], tuple[str, ...]]


def labelled(prob: Problem) -> Index:
    """Rows whose steps ahead are known."""
    assert prob.rows is not None
    return np.flatnonzero(np.isfinite(prob.rows.targets[FUTURE]).any(1))


def split_series(prob: Problem, frozen: Sequence[str] | None) -> Parts:
    """(training rows, review rows, folds within the training rows, notes).

    Args:
        frozen: keys of the review rows of an earlier fit; None at the first.
    Raises:
        DataError: too few moments, or the data hold none of the frozen rows.
    """
    rows, spec = prob.rows, prob.spec
    assert rows is not None
    known, steps = labelled(prob), rows.extra["step"].astype(np.float64)
    notes: list[str] = []
    if frozen is None:
        size = spec.review.rows or max(1, round(spec.review.share * len(known)))
        part = moment_review(steps[known], size, gap=prob.purge)
        review, train = known[part.test], known[part.train]
    else:
        mine = np.isin(rows.keys, np.asarray(frozen, dtype=np.str_))
        review = np.flatnonzero(mine)
        if not len(review):
            raise DataError(
                f"none of the {len(frozen)} review rows of '{spec.name}' is in these data.",
                where="frozen review set",
                mend="fit these data under another name (--name), or restore the rows that were reviewed",
            )
        if len(review) < len(frozen):
            notes.append(f"{len(frozen) - len(review)} of the {len(frozen)} review rows are not in these data any more")
        train = known[steps[known] < steps[review].min() - prob.purge]
        later = int((steps[known] > steps[review].max()).sum())
        if later:
            notes.append(f"{later} rows after the frozen review rows are not used; under another name they are")
        if not len(train):
            raise DataError(
                f"no row is left to train on before the {len(review)} review rows of '{spec.name}'.",
                where="frozen review set",
                mend="give more rows, or fit these data under another name",
            )
    folds = moment_folds(steps[train], folds=spec.evidence.folds, purge=prob.purge)
    return train, review, [Fold(train[f.train], train[f.test]) for f in folds], tuple(notes)


def touched_moments(prob: Problem, train: Index) -> Index:
    """Rows of any series whose steps ahead overlap with those of a training row."""
    assert prob.rows is not None
    moments, place = np.unique(prob.rows.extra["step"], return_inverse=True)
    near = touched_positions(np.unique(place[train]), prob.purge, len(moments))
    return np.flatnonzero(np.isin(place, near))


def block_of(prob: Problem) -> int:
    """Mean length of the bootstrap's blocks in rows: so many moments, of all series, and a horizon at least."""
    assert prob.rows is not None
    across = len(prob.rows) / max(1, len(np.unique(prob.rows.extra["step"])))
    return max(1, round(max(prob.spec.evidence.block, prob.purge) * across))
