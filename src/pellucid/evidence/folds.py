"""Which rows are trained on and which are judged, chosen before anything is fitted."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.rows import Index

__all__ = [
    "Fold",
    "grouped_folds",
    "grouped_review",
    "moment_folds",
    "moment_review",
    "review_split",
    "stratified_folds",
    "touched",
    "walk_forward",
]


class Fold(NamedTuple):
    """Row positions, ascending."""

    train: Index
    test: Index


def walk_forward(
    n: int, *, folds: int = 3, purge: int = 0, test_share: float = 0.5, first_train: int | None = None
) -> list[Fold]:
    """Expanding folds in time: each is trained on everything before its test rows, less `purge` rows.

    The label of row t reaches `horizon` rows into the future; `purge >= horizon` keeps the labels of the training
    part out of the test part (Lopez de Prado 2018, ch. 7).

    Args:
        n: rows, in time order.
        folds: test parts, consecutive and of equal length (the last takes the remainder).
        purge: rows left out between training and test.
        test_share: share of the rows that is tested in all, when `first_train` is not given.
        first_train: first tested row.
    Raises:
        DataError: too few rows.
    """
    start = n - int(n * test_share) if first_train is None else first_train
    size = (n - start) // max(folds, 1)
    if folds < 1 or purge < 0 or size < 1 or start - purge < 1:
        raise DataError(
            f"{n} rows do not give {folds} walk-forward folds (first tested row {start}, purge {purge}).",
            where="evidence.folds",
            mend="give more rows, fewer folds or a smaller purge",
        )
    edges = [start + k * size for k in range(folds)] + [n]
    return [Fold(np.arange(a - purge), np.arange(a, b)) for a, b in pairwise(edges)]


def stratified_folds(labels: npt.NDArray[Any], k: int, seed: int) -> list[Fold]:
    """k shuffled folds with each label's rows dealt out evenly; pass zeros for plain shuffled folds.

    Args:
        labels: shape (n,).
    Raises:
        DataError: fewer rows than folds, or fewer than two folds.
    """
    n = len(labels)
    if k < 2 or n < k:
        raise DataError(
            f"{n} rows cannot be dealt into {k} folds.",
            where="evidence.folds",
            mend="give more rows, or fewer folds (at least 2)",
        )
    order = _dealt(labels, seed, "evidence/folds")
    member = np.empty(n, dtype=np.int64)
    member[order] = np.arange(n) % k
    return [Fold(np.flatnonzero(member != j), np.flatnonzero(member == j)) for j in range(k)]


def review_split(
    n: int,
    *,
    share: float = 0.2,
    rows: int | None = None,
    ordered: bool,
    labels: npt.NDArray[Any] | None = None,
    purge: int = 0,
    seed: int = 0,
) -> Fold:
    """The frozen review set (`test`), and the rows that fits may use (`train`).

    In time: the last rows, with `purge` rows before them unused. Otherwise: a random share, spread evenly over
    the labels when they are given.

    Args:
        share, rows: size of the review set; `rows` wins.
        ordered: whether the rows are in time order.
        labels: classes, shape (n,), for unordered rows.
    Raises:
        DataError: nothing would be left on one side.
    """
    size = max(1, round(n * share)) if rows is None else rows
    if size < 1 or n - size - purge < 1:
        raise DataError(
            f"{n} rows cannot give up {size} to the review set" + (f" and {purge} to the purge." if purge else "."),
            where="review",
            mend="give more rows, or a smaller review set (review.rows, review.share)",
        )
    if ordered:
        return Fold(np.arange(n - size - purge), np.arange(n - size, n))
    order = _dealt(np.zeros(n) if labels is None else labels, seed, "evidence/review")
    spread = order[(np.arange(size) * n) // size]  # evenly spaced in label order
    keep = np.ones(n, dtype=bool)
    keep[spread] = False
    return Fold(np.flatnonzero(keep), np.sort(spread))


def grouped_folds(groups: npt.NDArray[Any], k: int, seed: int, labels: npt.NDArray[Any] | None = None) -> list[Fold]:
    """k folds, each group whole in one of them, of sizes and shares of labels as equal as whole groups allow.

    The largest groups are dealt first, each to the fold that lacks its rows most.

    Args:
        groups: shape (n,).
        labels: classes, shape (n,).
    Raises:
        DataError: fewer groups than folds.
    """
    names, member = np.unique(groups.astype(str), return_inverse=True)
    if k < 2 or len(names) < k:
        raise DataError(
            f"{len(names)} groups cannot be dealt into {k} folds.",
            where="evidence.folds",
            mend="give more groups (data.group), or fewer folds (at least 2)",
        )
    _, codes = np.unique(np.zeros(len(groups)) if labels is None else labels, return_inverse=True)
    counts = np.zeros((len(names), int(codes.max()) + 1))
    np.add.at(counts, (member, codes), 1)
    share = counts / counts.sum(0)  # so that a rare class counts like a frequent one
    order = stream(seed, "evidence/groups").permutation(len(names))
    order = order[np.argsort(-share[order].max(1), kind="stable")]
    filled, dealt = np.zeros((k, counts.shape[1])), np.empty(len(names), dtype=np.int64)
    for group in order:
        after = ((filled + share[group]) ** 2).sum(1) - (filled**2).sum(1)
        dealt[group] = int(np.argmin(after))
        filled[dealt[group]] += share[group]
    fold = dealt[member]
    return [Fold(np.flatnonzero(fold != j), np.flatnonzero(fold == j)) for j in range(k)]


def grouped_review(groups: npt.NDArray[Any], share: float, seed: int, labels: npt.NDArray[Any] | None = None) -> Fold:
    """Whole groups for review: one of as many folds as the share asks for.

    Raises:
        DataError: fewer than two groups.
    """
    found = len(np.unique(groups.astype(str)))
    return grouped_folds(groups, max(2, min(found, round(1 / share))), seed, labels)[0]


def moment_folds(
    times: npt.NDArray[np.float64], *, folds: int = 3, purge: int = 0, embargo: int = 0, test_share: float = 0.5
) -> list[Fold]:
    """`walk_forward` over moments instead of rows: rows of one moment are never on both sides.

    Args:
        times: moment of each row, in any order, shape (n,).
        purge, embargo: moments left out between training and test: the reach of a label, and what is added to it.
    """
    moments, place = np.unique(times, return_inverse=True)
    plan = walk_forward(len(moments), folds=folds, purge=purge + embargo, test_share=test_share)
    return [Fold(np.flatnonzero(np.isin(place, f.train)), np.flatnonzero(np.isin(place, f.test))) for f in plan]


def moment_review(times: npt.NDArray[np.float64], size: int, *, gap: int = 0) -> Fold:
    """The last moments that hold `size` rows at least, and the rows more than `gap` moments before them.

    Raises:
        DataError: nothing would be left to train on.
    """
    moments, place = np.unique(times, return_inverse=True)
    first = int(np.sort(place)[max(0, len(times) - size)])
    train = np.flatnonzero(place < first - gap)
    if not len(train):
        raise DataError(
            f"{len(moments)} moments cannot give up {size} rows to the review set and {gap} moments to the gap.",
            where="review",
            mend="give more rows, a smaller review set (review.rows, review.share), or a smaller purge and embargo",
        )
    return Fold(train, np.flatnonzero(place >= first))


def touched(index: Index, horizon: int, n: int) -> Index:
    """Rows whose label overlaps in time with the label of a row of `index`, ascending; `index` included.

    The label of row t covers the days t+1 .. t+horizon, so two labels overlap when |t - s| < horizon.
    """
    reach = np.arange(1 - horizon, horizon)
    near = np.unique(np.asarray(index, dtype=np.int64)[:, None] + reach)
    return near[(near >= 0) & (near < n)]


def _dealt(labels: npt.NDArray[Any], seed: int, name: str) -> Index:
    """Positions sorted by label, in random order within a label."""
    _, codes = np.unique(labels, return_inverse=True)
    shuffled = stream(seed, name).permutation(len(labels))
    order: Index = shuffled[np.argsort(codes.reshape(-1)[shuffled], kind="stable")]
    return order
