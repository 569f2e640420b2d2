from __future__ import annotations

import numpy as np
import pytest

from pellucid.core.errors import DataError
from pellucid.data import planted
from pellucid.data.planted import Truth, simulate
from pellucid.data.prices import PriceTable, load_prices

Market = tuple[PriceTable, Truth]


@pytest.fixture(scope="module")
def long_planted() -> Market:
    return simulate("planted", 60_000, seed=1)


@pytest.fixture(scope="module")
def long_walk() -> Market:
    return simulate("random_walk", 60_000, seed=1)


def log_returns(market: Market) -> np.ndarray:
    return np.diff(np.log(market[0].column("close")))


def autocorrelation(x: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(x[:-lag], x[lag:])[0, 1])


def best_linear_r2(r: np.ndarray, ahead: int, lags: int = 20) -> float:
    """Out of sample: fitted on the first half, judged on the second."""
    x = np.lib.stride_tricks.sliding_window_view(r, lags)[: len(r) - lags - ahead + 1]
    y = r[lags + ahead - 1 :]
    half = len(y) // 2
    weights, *_ = np.linalg.lstsq(x[:half], y[:half], rcond=None)
    return float(1 - ((y - x @ weights)[half:] ** 2).mean() / y[half:].var())


def test_moments_and_autocorrelation_are_as_declared(long_planted: Market) -> None:
    r, truth = log_returns(long_planted), long_planted[1]
    assert abs(r.std() / planted.DAILY_SD - 1) < 0.04
    assert abs(truth.signal.var() / r.var() - planted.SIGNAL_SHARE) < 0.04
    for lag in (1, 2, 5):  # an ARMA(1, 1): share * phi^lag
        assert abs(autocorrelation(r, lag) - planted.SIGNAL_SHARE * planted.PHI**lag) < 0.03
        assert abs(autocorrelation(np.log(truth.sigma), lag) - planted.SIGMA_PHI**lag) < 0.03
    shock = (r - truth.signal[:-1]) / truth.sigma[:-1]
    assert abs(shock.mean()) < 0.02
    assert abs(shock.std() - 1) < 0.02
    assert abs(autocorrelation(shock, 1)) < 0.02


def test_skill_is_possible_in_the_planted_market_only(long_planted: Market, long_walk: Market) -> None:
    r = log_returns(long_planted)
    assert 0.15 < best_linear_r2(r, 1) < 0.21
    assert 0.11 < best_linear_r2(r, 2) < 0.17  # what a fill at the next close earns
    walk = log_returns(long_walk)
    assert best_linear_r2(walk, 1) < 0.003
    assert best_linear_r2(walk, 2) < 0.003


def test_risk_persists_in_the_planted_market_only(long_planted: Market, long_walk: Market) -> None:
    for market, low, high in ((long_planted, 0.05, 1.0), (long_walk, -0.02, 0.02)):
        r, truth = log_returns(market), market[1]
        shock = np.abs(r - truth.signal[:-1])
        assert low < autocorrelation(shock, 5) < high
        table = market[0]
        day_range = np.log(table.column("high") / table.column("low"))
        assert low < autocorrelation(day_range, 5) < high


def test_the_random_walk_is_a_martingale(long_walk: Market) -> None:
    simple = np.expm1(log_returns(long_walk))
    assert abs(simple.mean()) < 3 * simple.std() / np.sqrt(len(simple))
    assert abs(simple.std() / planted.DAILY_SD - 1) < 0.02
    assert np.ptp(long_walk[1].sigma) == 0


@pytest.mark.parametrize("kind", ["planted", "random_walk"])
def test_volume_is_a_decoy(kind: planted.Kind) -> None:
    """Autocorrelated, and unrelated to returns, ranges and signal at any lag (bounds: 4 standard errors)."""
    table, truth = simulate(kind, 60_000, seed=2)
    volume = np.log(table.column("volume"))
    assert abs(autocorrelation(volume, 1) - planted.VOLUME_PHI) < 0.02
    r = np.diff(np.log(table.column("close")))
    others = {"r": r, "|r|": np.abs(r), "signal": truth.signal[1:], "r^2": r**2}
    for name, other in others.items():
        for lag in (-2, -1, 0, 1, 2):
            a, b = volume[1:], other
            a, b = (a[lag:], b[: len(b) - lag]) if lag >= 0 else (a[:lag], b[-lag:])
            correlation = np.corrcoef(a, b)[0, 1]
            slack = 4 * np.sqrt((1 + 0.85 * 0.97) / (1 - 0.85 * 0.97) / len(a))
            assert abs(correlation) < slack, (name, lag, correlation)


@pytest.mark.parametrize("kind", ["planted", "random_walk"])
def test_shape_order_of_prices_and_determinism(kind: planted.Kind) -> None:
    table, truth = simulate(kind)
    assert len(table) == 5031 == len(truth.signal)
    assert str(table.dates[0]) == "1999-01-04"
    o, h, low, c, v = (table.column(name) for name in ("open", "high", "low", "close", "volume"))
    assert (h >= np.maximum(o, c)).all()
    assert (low <= np.minimum(o, c)).all()
    assert (low > 0).all()
    assert (v > 0).all()
    assert (h > low).all()
    assert (o[1:] != c[:-1]).all()
    again = simulate(kind)[0]
    assert again.frame.equals(table.frame)
    assert load_prices(kind).frame.equals(table.frame)
    shorter, _ = simulate(kind, 700)
    assert np.array_equal(shorter.frame.to_numpy(), table.frame.to_numpy()[:700])
    other = load_prices(f"{kind}:3")
    assert other.asset == f"{kind.upper()}:3"
    assert not np.array_equal(other.column("close"), c)


def test_bad_requests() -> None:
    with pytest.raises(DataError, match="no simulated market"):
        simulate("plantd")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no market"):
        simulate("planted", 1)
