"""Paired comparison: its four verdicts, its error rate, and McNemar's test against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence.paired import compare, mcnemar

BASE = stream(0, "base").exponential(size=400)
NOISE = stream(0, "noise").normal(size=400)


def test_identical_losses_change_nothing_at_any_length() -> None:
    for n in (1, 2, 9, 10, 400):
        result = compare(BASE[:n], BASE[:n].copy(), block=20 if n > 20 else 1, seed=n)
        assert (result.change, result.low, result.high, result.verdict) == (0.0, 0.0, 0.0, "equivalent")


def test_the_four_verdicts() -> None:
    assert compare(BASE, BASE + 0.2 + 0.5 * NOISE).verdict == "worse"
    assert compare(BASE, BASE - 0.2 + 0.5 * NOISE).verdict == "better"
    assert compare(BASE, BASE + 0.5 * NOISE).verdict == "undecided"
    assert compare(BASE, BASE + 0.5 * NOISE, margin=0.2).verdict == "equivalent"


def test_equivalence_goes_before_significance() -> None:
    certain_but_small = BASE + 0.01 + 0.001 * NOISE
    assert compare(BASE, certain_but_small).verdict == "worse"
    assert compare(BASE, certain_but_small, margin=0.05).verdict == "equivalent"


def test_swapping_the_sides_swaps_the_verdict() -> None:
    there, back = compare(BASE, BASE + 0.2), compare(BASE + 0.2, BASE)
    assert (there.verdict, back.verdict) == ("worse", "better")
    assert there.change == pytest.approx(-back.change)


def test_pairing_makes_the_interval_narrower_than_two_averages() -> None:
    pair = compare(BASE, BASE + 0.1 * NOISE)
    apart = 2 * 1.96 * np.sqrt(2 * BASE.var() / len(BASE))
    assert pair.high - pair.low < apart / 5


def test_error_rate_of_two_equally_good_programs() -> None:
    """5 % nominal over 600 pairs: 18 to 48 rejections contain 99.9 % of a binomial with p in 4.5-5.5 %."""
    rejected = 0
    for counter in range(600):
        a, b = stream(1, "null", counter).exponential(size=(2, 300))
        rejected += compare(a, b, draws=400, seed=counter).verdict in ("better", "worse")
    assert 16 <= rejected <= 49


def test_detectable_change_is_found_four_times_in_five() -> None:
    size = compare(BASE, BASE + NOISE).detectable
    assert size == pytest.approx(2.8016 * NOISE.std() / 20, rel=0.05)
    found = sum(
        compare(BASE, BASE + size + stream(2, "power", k).normal(size=400), draws=400, seed=k).verdict == "worse"
        for k in range(300)
    )
    assert 0.72 <= found / 300 <= 0.88


@pytest.mark.parametrize(("flips", "verdict"), [(1, "undecided"), (5, "undecided"), (8, "worse")])
def test_a_handful_of_flips_proves_nothing(flips: int, verdict: str) -> None:
    wrong = np.zeros(3000)
    wrong[:flips] = 1
    result = compare(np.zeros(3000), wrong)
    assert result.verdict == verdict
    assert (stats.binomtest(0, flips).pvalue < 0.05) == (verdict == "worse")


def test_few_rows_without_spread_stay_undecided() -> None:
    assert compare([1.0], [2.0]).verdict == "undecided"
    assert compare([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]).verdict == "undecided"


def test_few_rows_use_the_paired_t_test() -> None:
    reference = stats.ttest_rel(BASE[:8] + NOISE[:8], BASE[:8]).confidence_interval(0.95)
    result = compare(BASE[:8], BASE[:8] + NOISE[:8])
    assert (result.low, result.high) == pytest.approx((reference.low, reference.high))


def test_unequal_lengths_and_missing_losses_are_refused() -> None:
    with pytest.raises(DataError, match="400 losses, the candidate 399"):
        compare(BASE, BASE[1:])
    with pytest.raises(DataError, match="not finite"):
        compare(BASE, np.where(BASE > 1, np.nan, BASE))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_mcnemar_is_the_exact_binomial_test(pairs: list[tuple[bool, bool]]) -> None:
    a, b = [p[0] for p in pairs], [p[1] for p in pairs]
    result = mcnemar(a, b)
    flips = result.to_worse + result.to_better
    assert flips == sum(x != y for x, y in pairs)
    expected = stats.binomtest(result.to_worse, flips).pvalue if flips else 1.0
    assert result.p == pytest.approx(expected)
