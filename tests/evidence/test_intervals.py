"""Intervals against scipy and arch, and their coverage on data in time."""

from __future__ import annotations

import importlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.signal import lfilter

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence.intervals import (
    bca,
    episode_interval,
    iid_bootstrap,
    mean_interval,
    percentile,
    stationary_bootstrap,
    stationary_indices,
    t_interval,
)


def skewed(n: int) -> np.ndarray:
    return stream(3, "skewed").exponential(size=n)


def autoregression(n: int, phi: float, counter: int) -> np.ndarray:
    noise = stream(5, "ar", counter).normal(size=n + 200)
    return lfilter([1.0], [1.0, -phi], noise)[200:]


def test_iid_percentile_and_bca_agree_with_scipy() -> None:
    values = skewed(30)
    means = iid_bootstrap(values, draws=20000, generator=stream(0, "x"))
    for ours, method in ((percentile(means), "percentile"), (bca(values, means), "BCa")):
        reference = stats.bootstrap(
            (values,), np.mean, n_resamples=20000, method=method, rng=np.random.default_rng(1)
        ).confidence_interval
        assert ours == pytest.approx((reference.low, reference.high), abs=0.02)
    # on skewed values the two differ by more than that tolerance, so the test tells them apart
    assert abs(bca(values, means)[1] - percentile(means)[1]) > 0.02


@pytest.mark.parametrize("block", [4.0, 20.0])
def test_stationary_bootstrap_agrees_with_arch(block: float) -> None:
    arch = importlib.import_module("arch.bootstrap")
    values = autoregression(600, 0.6, 0)
    reference = np.array(
        [data[0][0].mean() for data in arch.StationaryBootstrap(block, values, seed=7).bootstrap(8000)]
    )
    ours = stationary_bootstrap(values, block=block, draws=8000, generator=stream(0, "y"))
    assert ours.std() == pytest.approx(reference.std(), rel=0.04)
    assert percentile(ours) == pytest.approx(percentile(reference), abs=0.08 * reference.std() + 0.01)
    independent = iid_bootstrap(values, draws=8000, generator=stream(0, "z"))
    assert independent.std() < 0.75 * reference.std()


def test_stationary_bootstrap_has_the_closed_form_variance() -> None:
    """Var of the resampled mean: (c_0 + 2 sum_k (1 - k/n)(1 - p)^k c_k) / n, circular c_k (P & R 1994, lemma 1)."""
    n, block = 60, 7.0
    values = autoregression(n, 0.5, 3)
    centred = values - values.mean()
    covariance = np.array([(centred * np.roll(centred, -k)).mean() for k in range(n)])
    k = np.arange(1, n)
    expected = (covariance[0] + 2 * ((1 - k / n) * (1 - 1 / block) ** k * covariance[1:]).sum()) / n
    means = stationary_bootstrap(values, block=block, draws=60000, generator=stream(0, "lemma"))
    assert means.var() == pytest.approx(expected, rel=0.03)


@given(n=st.integers(1, 60), block=st.floats(1, 30), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_cumulative_sums_equal_the_index_matrix(n: int, block: float, seed: int) -> None:
    values = stream(seed, "v").normal(size=(n, 2)) + 100
    index = stationary_indices(n, block=block, draws=7, generator=stream(seed, "i"))
    means = stationary_bootstrap(values, block=block, draws=7, generator=stream(seed, "i"))
    assert index.shape == (7, n)
    assert index.min() >= 0
    assert index.max() < n
    np.testing.assert_allclose(means, values[index].mean(axis=1), rtol=1e-12)


def test_blocks_have_the_mean_length() -> None:
    index = stationary_indices(1000, block=25, draws=200, generator=stream(0, "b"))
    joins = (np.diff(index, axis=1) % 1000 != 1).mean()
    assert 1 / joins == pytest.approx(25, rel=0.05)


def test_coverage_in_time_and_its_negative_control() -> None:
    """Nominal 95 % on AR(1), phi = 0.6: blocks of 40 cover 92-97 % of 600 series, independent resampling does not."""
    covered = {1: 0, 40: 0}
    for counter in range(600):
        values = autoregression(2000, 0.6, counter)
        for block in covered:
            interval = mean_interval(values, block=block, seed=counter, draws=400)
            covered[block] += interval.low <= 0 <= interval.high
    assert 0.92 <= covered[40] / 600 <= 0.97
    assert covered[1] / 600 < 0.80


def test_two_thousand_resamples_of_three_thousand_rows_are_quick() -> None:
    values = skewed(3000)
    for block in (1, 20):
        best = min(_seconds(values, block) for _ in range(3))
        assert best < 0.3


def _seconds(values: np.ndarray, block: int) -> float:
    start = time.process_time()
    mean_interval(values, block=block, seed=0)
    return time.process_time() - start


def test_few_episodes_get_students_interval_and_many_a_bootstrap() -> None:
    few, many = skewed(9), skewed(10)
    reference = stats.ttest_1samp(few, 0).confidence_interval(0.95)
    ours = episode_interval(few, seed=0)
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high))
    assert ours.method == "Student's t, 95 %"
    assert "bootstrap" in episode_interval(many, seed=0).method
    assert t_interval(np.array([1.0])).high == np.inf


def test_same_seed_same_interval_and_names_are_independent() -> None:
    values = skewed(200)
    assert mean_interval(values, block=5, seed=1) == mean_interval(values, block=5, seed=1)
    assert mean_interval(values, block=5, seed=1) != mean_interval(values, block=5, seed=1, name="other")


def test_missing_losses_and_short_blocks_are_refused() -> None:
    with pytest.raises(DataError, match="1 of 3 values are not finite"):
        mean_interval([1.0, np.nan, 2.0], block=1, seed=0)
    with pytest.raises(DataError, match="shorter than one row"):
        mean_interval(np.arange(20.0), block=0.5, seed=0)
