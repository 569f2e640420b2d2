"""Splits of tables: no group on both sides, time forward with its gap, every class in every fold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.errors import DataError
from pellucid.evidence.folds import grouped_folds, grouped_review, moment_folds, moment_review


@given(st.integers(4, 60), st.integers(2, 5), st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_no_group_stands_on_both_sides(groups: int, k: int, seed: int) -> None:
    k = min(k, groups)
    rng = np.random.default_rng(seed)
    member = np.concatenate([np.arange(groups), rng.integers(0, groups, 300)])
    rng.shuffle(member)
    folds = grouped_folds(member, k, seed)
    for fold in folds:
        assert not set(member[fold.train]) & set(member[fold.test])
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(len(member)))
    assert np.array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(len(member)))


def test_groups_are_dealt_evenly_with_their_classes() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        member = rng.integers(0, 60, 900)
        of_group = rng.random(60) < 0.15
        of_group[:6] = True
        labels = np.where(of_group[member], "rare", "usual")
        folds = grouped_folds(member, 5, seed, labels)
        assert all(120 <= len(f.test) <= 250 for f in folds)
        assert all({*labels[f.test]} == {"rare", "usual"} == {*labels[f.train]} for f in folds)


def test_the_same_seed_deals_the_same_groups() -> None:
    member = np.repeat(np.arange(20), 3)
    first, again, other = (grouped_folds(member, 4, seed)[0].test for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_review_takes_whole_groups_of_about_its_share() -> None:
    member = np.random.default_rng(0).integers(0, 50, 1000)
    part = grouped_review(member, 0.2, 0)
    assert not set(member[part.train]) & set(member[part.test])
    assert 150 <= len(part.test) <= 250


@given(st.integers(30, 200), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_time_runs_forward_with_its_gap(moments: int, folds: int, purge: int, embargo: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.concatenate([np.arange(moments), rng.integers(0, moments, 2 * moments)]).astype(float)
    rng.shuffle(times)
    for fold in moment_folds(times, folds=folds, purge=purge, embargo=embargo):
        assert times[fold.test].min() - times[fold.train].max() == purge + embargo + 1
    part = moment_review(times, moments // 3, gap=purge + embargo)
    assert times[part.test].min() - times[part.train].max() == purge + embargo + 1
    assert len(part.test) >= moments // 3
    assert not set(times[part.test]) & set(times[part.train])


def test_too_little_is_told() -> None:
    with pytest.raises(DataError, match="2 groups cannot be dealt into 3"):
        grouped_folds(np.asarray(["a", "b"] * 9), 3, 0)
    with pytest.raises(DataError, match="cannot give up"):
        moment_review(np.arange(5.0), 3, gap=4)
