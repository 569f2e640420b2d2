"""Splits: order, purge, disjointness, and what a label overlaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pellucid.core.errors import DataError
from pellucid.evidence.folds import review_split, stratified_folds, touched, walk_forward


@given(n=st.integers(20, 500), folds=st.integers(1, 6), purge=st.integers(0, 8), share=st.floats(0.1, 0.7))
def test_walk_forward_never_trains_on_what_it_tests(n: int, folds: int, purge: int, share: float) -> None:
    assume(int(n * share) >= folds and n - int(n * share) > purge)
    parts = walk_forward(n, folds=folds, purge=purge, test_share=share)
    assert len(parts) == folds
    tested = np.concatenate([fold.test for fold in parts])
    assert (np.diff(tested) == 1).all()  # in order, disjoint, without gaps
    assert tested[-1] == n - 1
    for earlier, fold in zip([None, *parts], parts, strict=False):
        assert fold.train[0] == 0
        assert fold.test.min() - fold.train.max() == purge + 1
        assert not np.isin(fold.train, touched(fold.test, purge + 1, n)).any()
        if earlier is not None:
            assert len(fold.train) > len(earlier.train)


def test_labels_of_training_rows_end_before_the_first_tested_day() -> None:
    horizon = 5
    fold = walk_forward(100, folds=1, purge=horizon)[0]
    assert fold.train.max() + horizon < fold.test.min()


def test_too_few_rows_are_named() -> None:
    with pytest.raises(DataError, match="10 rows do not give 8 walk-forward folds"):
        walk_forward(10, folds=8)
    with pytest.raises(DataError, match="review set"):
        review_split(5, rows=5, ordered=True)
    with pytest.raises(DataError, match="3 rows cannot be dealt into 5 folds"):
        stratified_folds(np.zeros(3), 5, 0)


@given(st.lists(st.sampled_from("abc"), min_size=6, max_size=90), st.integers(2, 5), st.integers(0, 9))
def test_stratified_folds_share_every_label_evenly(labels: list[str], k: int, seed: int) -> None:
    array = np.array(labels)
    parts = stratified_folds(array, k, seed)
    assert sorted(np.concatenate([fold.test for fold in parts])) == list(range(len(labels)))
    for label in "abc":
        counts = [(array[fold.test] == label).sum() for fold in parts]
        assert max(counts) - min(counts) <= 1
    sizes = [len(fold.test) for fold in parts]
    assert max(sizes) - min(sizes) <= 1
    for fold in parts:
        assert not np.isin(fold.train, fold.test).any()


@given(n=st.integers(20, 300), share=st.floats(0.1, 0.5), purge=st.integers(0, 5))
def test_review_set_in_time_is_the_end(n: int, share: float, purge: int) -> None:
    fold = review_split(n, share=share, ordered=True, purge=purge)
    assert fold.test[-1] == n - 1
    assert len(fold.test) == max(1, round(n * share))
    assert fold.test.min() - fold.train.max() == purge + 1


def test_review_set_of_a_table_is_random_stratified_and_seeded() -> None:
    labels = np.array(["rare"] * 20 + ["common"] * 180)
    first, again, other = (review_split(200, share=0.2, ordered=False, labels=labels, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)
    assert (labels[first.test] == "rare").sum() == 4
    assert len(first.test) == 40
    assert sorted([*first.train, *first.test]) == list(range(200))


def test_touched_is_the_overlap_of_label_intervals() -> None:
    index, horizon, n = np.array([3, 40]), 5, 43
    labels = {t: set(range(t + 1, t + horizon + 1)) for t in range(n)}
    expected = [t for t in range(n) if any(labels[t] & labels[int(s)] for s in index)]
    assert touched(index, horizon, n).tolist() == expected
    assert touched(index, 1, n).tolist() == [3, 40]
