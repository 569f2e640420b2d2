"""Finance: the trading account step by step, closed forms, and the paper's own example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence import finance
from pellucid.evidence.intervals import stationary_indices


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-0.2, 0.2)), min_size=1, max_size=40))
def test_replay_is_the_account_of_fixed_notional(steps: list[tuple[float, float]]) -> None:
    cost, held, wealth, expected = 0.001, 0.0, 0.0, []
    for decided, following in steps:
        reward = held * following - cost * abs(decided - held)
        wealth, held = wealth + reward, decided
        expected.append(reward)
    net = finance.replay([s[0] for s in steps], [s[1] for s in steps], cost)
    np.testing.assert_allclose(net, expected, atol=1e-15)
    assert abs(net.sum() - wealth) < 1e-9


def test_replay_fills_one_close_later() -> None:
    returns = np.array([0.10, 0.20, 0.40])
    np.testing.assert_allclose(finance.replay([1, 1, 1], returns, 0.01), [-0.01, 0.20, 0.40])
    np.testing.assert_allclose(finance.replay([1, -1, 0], returns, 0.0), [0.0, 0.20, -0.40])
    batch = np.array([[1.0, 1, 1], [1, -1, 0]])
    np.testing.assert_allclose(finance.replay(batch, np.tile(returns, (2, 1)), 0.0)[1], [0.0, 0.20, -0.40])
    with pytest.raises(DataError, match="decisions"):
        finance.replay([1, 1], returns, 0.0)


def test_deflated_sharpe_of_the_papers_example() -> None:
    """Bailey & Lopez de Prado (2014), section "A numerical example": SR0 = 0.1132, DSR = 0.9004."""
    variance = 0.5 / 250
    assert finance.expected_best_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    deflated = finance.deflated_sharpe(2.5 / np.sqrt(250), n=1250, skew=-3, kurtosis=10, trials=100, variance=variance)
    assert deflated == pytest.approx(0.9004, abs=5e-5)


def test_expected_best_sharpe_is_the_mean_of_the_maximum() -> None:
    best = stream(0, "best").normal(size=(4000, 50)).max(axis=1).mean()
    assert finance.expected_best_sharpe(50, 1.0) == pytest.approx(best, rel=0.02)
    assert finance.expected_best_sharpe(1, 1.0) == 0.0


def test_more_trials_deflate_more() -> None:
    values = [finance.deflated_sharpe(0.08, n=1000, skew=0, kurtosis=3, trials=k) for k in (1, 2, 10, 100)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.99
    assert values[-1] < 0.6


def test_drawdown_turnover_and_yearly_figures() -> None:
    assert finance.max_drawdown([0.1, -0.2, 0.05, -0.1, 0.5]) == pytest.approx(0.25)
    assert finance.max_drawdown([-0.1, 0.2]) == pytest.approx(0.1)
    assert finance.max_drawdown([0.1, 0.2]) == 0.0
    assert finance.turnover([1, 1, -1, 0], days=4) == pytest.approx(4.0)
    net = stream(0, "net").normal(0.001, 0.01, size=500)
    assert finance.annualised_return(net) == pytest.approx(net.mean() * 252)
    assert finance.sharpe(net) == pytest.approx(net.mean() / net.std(ddof=1) * np.sqrt(252))
    assert finance.sharpe(np.zeros(5)) == 0.0


def test_sharpe_interval_covers_the_truth_and_has_the_closed_forms_width() -> None:
    """Width against Lo (2002): standard error of a daily ratio s over n independent days is sqrt((1 + s^2/2) / n)."""
    covered, widths, n = 0, [], 800
    for k in range(200):
        net = stream(4, "sharpe", k).normal(0.05, 1.0, size=n)
        interval = finance.sharpe_interval(net, block=5, seed=k, draws=400)
        covered += interval.low <= 0.05 * np.sqrt(252) <= interval.high
        widths.append(interval.high - interval.low)
    assert 0.90 <= covered / 200 <= 0.985
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.sqrt((1 + 0.05**2 / 2) / n * 252), rel=0.05)


def test_sharpe_interval_is_that_of_the_resampled_rows() -> None:
    net = stream(6, "few").normal(0.5, 1.0, size=20)
    index = stationary_indices(20, block=3, draws=2000, generator=stream(8, "evidence/sharpe"))
    ratios = net[index].mean(axis=1) / net[index].std(axis=1, ddof=1) * np.sqrt(252)
    interval = finance.sharpe_interval(net, block=3, seed=8)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])))


def test_trading_summary_of_cash_is_all_zero() -> None:
    summary = finance.trading_summary(np.zeros(50), np.zeros(50), block=5, seed=0, trials=3)
    assert summary["annual_return"] == summary["sharpe"] == summary["max_drawdown"] == summary["turnover"] == 0.0
    assert summary["trials"] == 3
