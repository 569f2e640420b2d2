"""Linear forecasters of rows: closed forms, recovered parameters, mixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import minimize
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from pellucid.supervised.starting import NAMES
from pellucid.supervised.starts import ALL, Shape, applied
from pellucid.supervised.starts.autoregression import grid, iterated
from pellucid.supervised.starts.maps import log_squares
from pellucid.supervised.starts.mix import mixed, simplex
from pellucid.supervised.starts.smoothing import FLAT, NEAR, smoothed

Floats = npt.NDArray[np.float64]
BOTH = NAMES["combined"]


def rows_of(y: Floats, shape: Shape, mean: float = 0.0) -> tuple[Floats, Floats]:
    """Rows as of `data.windows`, with a scale of one and a known mean."""
    t = np.arange(shape.window, len(y) - shape.horizon)
    lags = sliding_window_view(y, shape.window + 1)[t - shape.window, ::-1][:, 1:] - y[t, None]
    future = sliding_window_view(y, shape.horizon)[t + 1] - y[t, None]
    return np.column_stack([lags, mean - y[t]]), future


def ar2(n: int, seed: int = 0) -> Floats:
    generator = np.random.default_rng(seed)
    y = np.zeros(n + 100)
    for t in range(2, n + 100):
        y[t] = 1.3 * y[t - 1] - 0.6 * y[t - 2] + generator.standard_normal()
    return y[100:]


@pytest.mark.parametrize("name", ALL)
def test_a_forecast_moves_with_the_level_of_the_series(name: str) -> None:
    """Rows are relative to the last value: a constant series is forecast to stay."""
    shape = Shape(24, 5, 4)
    x, target = rows_of(ar2(300), shape)
    maps = ALL[name](x, target, shape)
    assert maps.shape == (5, 26)
    if name != "autoregression":  # it may drift
        assert applied(np.zeros((1, 25)), maps) == pytest.approx(np.zeros((1, 5)), abs=1e-9)


def test_an_autoregression_is_iterated_as_by_hand() -> None:
    """AR(2) with mean 7: y_(t+1) = 7 + 1.3 (y_t - 7) - .6 (y_(t-1) - 7)."""
    shape = Shape(6, 8, 1)
    one = np.zeros(8)
    one[0], one[6] = -0.6, 1 - 1.3 + 0.6
    y = list(np.random.default_rng(1).standard_normal(7) + 5)
    x = np.r_[np.asarray(y[:-1][::-1]) - y[-1], 7 - y[-1]][None]
    found = applied(x, iterated(one, shape))[0] + y[-1]
    for _ in range(8):
        y.append(7 + 1.3 * (y[-1] - 7) - 0.6 * (y[-2] - 7))
    assert found == pytest.approx(y[7:])


def test_several_autoregressions_are_iterated_as_one() -> None:
    shape, ones = Shape(6, 8, 1), 0.3 * np.random.default_rng(0).standard_normal((5, 8))
    assert iterated(ones, shape) == pytest.approx(np.stack([iterated(one, shape) for one in ones]))


def test_an_autoregression_finds_its_parameters() -> None:
    shape = Shape(12, 1, 1)
    x, target = rows_of(ar2(5000), shape)
    maps = ALL["autoregression"](x, target, shape)
    assert maps[0, 0] == pytest.approx(-0.6, abs=0.05)
    assert maps[0, 12] == pytest.approx(0.3, abs=0.05)  # 1 - 1.3 + .6
    assert np.abs(maps[0, 1:12]).max() < 0.06


def test_the_weakest_strengths_are_least_squares_and_the_strongest_the_last_value() -> None:
    shape = Shape(5, 1, 1)
    x, target = rows_of(ar2(4000), shape)
    maps = grid(x, target, shape)
    plain = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), target[:, 0], rcond=None)[0]
    assert maps[1, 0] == pytest.approx(plain, abs=0.01)  # weakest of both, with a constant
    strong = grid(x[:30], target[:30], shape)[-2, 0]  # strongest of both, without one
    assert np.abs(strong).max() < 0.05


@pytest.mark.parametrize("rows", [0, 2, 3, 5])
def test_of_hardly_any_rows_a_forecast_is_finite(rows: int) -> None:
    shape = Shape(24, 12, 12)
    x, target = rows_of(ar2(60), shape)
    target = np.where(np.arange(len(x))[:, None] < rows, target, np.nan)
    assert np.isfinite(ALL["autoregression"](x, target, shape)).all()


def test_lags_around_a_season_count_as_near_ones() -> None:
    """y_t = y_(t-12) + noise: of few rows one who knows the season comes nearer than one who does not."""
    generator, shape = np.random.default_rng(0), Shape(24, 12, 12)
    y = np.tile(3.0 * generator.standard_normal(12), 8) + generator.standard_normal(96)
    x, target = rows_of(y, shape)
    knowing, ignorant = (
        np.abs(applied(x[36:], ALL["autoregression"](x[:24], target[:24], one)) - target[36:]).mean()
        for one in (shape, Shape(24, 12, 1))
    )
    assert knowing < 0.8 * ignorant < np.abs(target[36:]).mean()


def test_smoothing_is_that_of_statsmodels_for_the_same_constants() -> None:
    """The level alone: the weights of old values die out, whatever the first guess."""
    shape, y = Shape(80, 4, 1), ar2(81)
    maps = smoothed(np.asarray([[0.5, 0.0, 1.0, 0.0]]), shape, 1)[0]
    x = np.r_[y[:-1][::-1] - y[-1], 0.0][None]
    model = ExponentialSmoothing(y, initialization_method="known", initial_level=y[0])
    reference = model.fit(smoothing_level=0.5, optimized=False).forecast(4)
    assert applied(x, maps)[0] + y[-1] == pytest.approx(reference, abs=1e-6)


@pytest.mark.parametrize("damping", [0.9, 1.0])
def test_states_before_the_window_are_those_of_least_squares_by_statsmodels(damping: float) -> None:
    """Level and trend before the first value, searched for with statsmodels' own errors, and what it then forecasts."""
    shape, y = Shape(15, 4, 1), np.cumsum(0.3 + ar2(16))
    maps = smoothed(np.asarray([[0.4, 0.2, damping, 0.0]]), shape, 1)[0]

    def fitted(states: Floats) -> Any:
        model = ExponentialSmoothing(
            y,
            trend="add",
            damped_trend=damping < 1,
            initialization_method="known",
            initial_level=states[0],
            initial_trend=states[1],
        )
        return model.fit(
            smoothing_level=0.4,
            smoothing_trend=0.2,
            damping_trend=damping if damping < 1 else None,
            optimized=False,
        )

    def cost(states: Floats) -> float:
        return float(fitted(states).sse + NEAR * (states[0] - y[0]) ** 2 + FLAT * states[1] ** 2)

    best = minimize(cost, [y[0], 0.1], method="BFGS", options={"gtol": 1e-9}).x
    x = np.r_[y[:-1][::-1] - y[-1], 0.0][None]
    assert applied(x, maps)[0] + y[-1] == pytest.approx(fitted(best).forecast(4), abs=1e-4)


def test_constants_are_chosen_by_the_steps_that_are_asked_for() -> None:
    """One map knows the next step, the other the two after it, whose errors are ten times as large."""
    generator = np.random.default_rng(0)
    x, near, far = generator.standard_normal((400, 3)), np.zeros((3, 4)), np.zeros((3, 4))
    near[0, 0] = far[1:, 0] = 1.0
    target = np.column_stack([x[:, 0], 10 * x[:, 0], 10 * x[:, 0]]) + 0.1 * generator.standard_normal((400, 3))
    maps = np.stack([near, far])
    assert log_squares(maps[:, :1], x, target[:, :1]).argmin() == 0
    assert log_squares(maps, x, target).argmin() == 0  # a step counts alike, however large its errors
    assert log_squares(maps[:, 1:], x, target[:, 1:]).argmin() == 1
    assert log_squares(maps, x[:0], target[:0]) == pytest.approx([np.log(1e-12)] * 2)
    unknown = np.where(np.arange(400)[:, None] < 200, target, np.nan)
    assert log_squares(maps, x, unknown) == pytest.approx(log_squares(maps, x[:200], target[:200]))


def test_the_next_step_finds_the_constants_of_a_local_level() -> None:
    """y = level + noise, signal to noise .25: the optimal constant is .39, and few rows tell."""
    generator, shape = np.random.default_rng(3), Shape(30, 6, 1)
    y = np.cumsum(0.5 * generator.standard_normal(3000)) + generator.standard_normal(3000)
    x, target = rows_of(y, shape)
    optimal = smoothed(np.asarray([[0.39, 0.0, 1.0, 0.0]]), shape, 1)[0]
    later = slice(1500, None)
    least = ((applied(x[later], optimal) - target[later]) ** 2).mean(0)
    for name in ("smoothing", "smoothing_next"):
        errors = ((applied(x[later], ALL[name](x[:300], target[:300], shape)) - target[later]) ** 2).mean(0)
        assert (errors < 1.03 * least).all()


@pytest.mark.parametrize("name", ["smoothing", "smoothing_next"])
def test_smoothing_follows_a_line_and_a_season(name: str) -> None:
    shape = Shape(30, 12, 4)
    y = 3.0 + 0.5 * np.arange(200) + np.tile([0.0, 2.0, -1.0, -1.0], 50)
    x, target = rows_of(y, shape)
    assert applied(x, ALL[name](x, target, shape)) == pytest.approx(target, abs=0.05)


def test_weights_of_a_mix_choose_the_best_and_lie_on_the_simplex() -> None:
    generator = np.random.default_rng(0)
    good, bad = 0.1 * generator.standard_normal((1, 200, 3)), 3 + generator.standard_normal((1, 200, 3))
    weights = simplex(np.concatenate([bad, good, bad]))
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert weights[1] > 0.9
    few = np.concatenate([bad, good, bad])[:, :3]  # three rows of three steps ahead tell as much as one
    assert weights[1] > simplex(few)[1] > 1 / 3
    halves = np.concatenate([1 + good, -1 + good])  # errors that cancel: half of each
    assert simplex(halves) == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_mix_suits_the_series() -> None:
    """On an AR(2) it is nearly as good as the autoregression, far better than the last value."""
    shape = Shape(20, 6, 1)
    x, target = rows_of(ar2(600), shape)
    later, codes = slice(300, None), np.zeros(300, dtype=np.int64)
    found = mixed(x[:300], target[:300], codes, 0, shape, [0.1, 0.5, 0.9], BOTH)
    own = ALL["autoregression"](x[:300], target[:300], shape)
    errors = [np.abs(applied(x[later], maps) - target[later]).mean() for maps in (found.maps[0], own)]
    naive = np.abs(target[later]).mean()
    assert errors[0] < 1.05 * errors[1] < 0.9 * naive
    assert (np.diff(found.spread[0], axis=1) > 0).all()
    assert (found.spread[0, :, 1] == 0).all()


def test_every_series_has_its_own_start_and_a_new_one_the_common_one() -> None:
    shape = Shape(12, 3, 1)
    (xa, ya), (xb, yb) = rows_of(ar2(300), shape), rows_of(np.cumsum(ar2(300, 1)), shape)
    x, target = np.concatenate([xa, xb]), np.concatenate([ya, yb])
    codes = np.r_[np.zeros(len(xa), dtype=np.int64), np.ones(len(xb), dtype=np.int64)]
    order = np.argsort(np.r_[np.arange(len(xa)), np.arange(len(xb))], kind="stable")
    found = mixed(x[order], target[order], codes[order], 2, shape, [0.5], BOTH)
    assert found.maps.shape == (3, 3, 14)
    assert not np.allclose(found.maps[0], found.maps[1])
    for code, (xs, ys) in enumerate(((xa, ya), (xb, yb))):
        own, common = (np.abs(applied(xs, found.maps[k]) - ys).mean() for k in (code, 2))
        assert own <= common
