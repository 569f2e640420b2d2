"""Baselines: causal, calibrated where that is known, equal to references, and never missing from the table."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.task import Task, TaskKind
from pellucid.evidence import finance
from pellucid.evidence.baselines import ALL, PriceContext, RolloutContext, TableContext, answer, resolve
from pellucid.evidence.baselines.context import Blind, Context
from pellucid.evidence.metrics import row_losses

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
FORECAST = Task("forecast", "forecast", (), ("q",) * 5, "log return", "pinball", options={"quantiles": LEVELS})
RISK = Task("risk", "volatility", (), ("h",), "log variance", "qlike", options={"horizon": 5})
TRADE = Task("trade", "control", (), ("a",), "", "negative_reward", options={"cost_bps": 5})
CLASSIFY = Task("y", "classify", (), ("a", "b"), "logit", "log_loss")
REGRESS = Task("y", "regress", (), ("y",), "EUR", "squared_error")
PRICES = [FORECAST, RISK, TRADE]
TRADES = ("cash", "buy_and_hold", "momentum")


def garch_returns(n: int, counter: int = 0, phi: float = 0.0) -> np.ndarray:
    noise = stream(9, "garch", counter).normal(size=n)
    out, variance, last = np.empty(n), 1e-4, 0.0
    for t in range(n):
        shock = np.sqrt(variance) * noise[t]
        last = phi * last + shock
        out[t] = last
        variance = 1e-4 * 0.02 + 0.08 * shock**2 + 0.90 * variance
    return out


def context(returns: np.ndarray, first: int = 1500, until: int | None = None) -> PriceContext:
    return PriceContext(returns, np.arange(first - 5), np.arange(first, until or len(returns) - 5), cost=0.0005)


def names(task: Task) -> Sequence[str]:
    return TRADES if task.kind == "control" else list(ALL[task.kind])


CASES = [(task, name) for task in PRICES for name in names(task)]


@pytest.mark.parametrize(("task", "name"), CASES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_no_baseline_for_prices_looks_ahead(task: Task, name: str) -> None:
    """Truncation and corruption: what comes after day t changes no answer up to day t, and nothing of the fit."""
    returns = garch_returns(2200)
    spoilt = returns.copy()
    spoilt[1801:] = -0.5  # the last answer compared is that of day 1800
    full = resolve(task.kind, name).fit_predict(task, context(returns))
    other = resolve(task.kind, name).fit_predict(task, context(spoilt))
    short = resolve(task.kind, name).fit_predict(task, context(returns[:1802], until=1801))
    np.testing.assert_array_equal(full[:301], other[:301])
    np.testing.assert_allclose(full[:301], short, rtol=1e-12)
    if name in ("persistence", "garch", "ewma", "ar1", "momentum"):
        assert not np.array_equal(full[301], other[301])  # day 1801 itself is used on day 1801


@pytest.mark.parametrize(("task", "name"), CASES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_training_ends_with_the_last_training_day(task: Task, name: str) -> None:
    returns = garch_returns(1600)
    between = returns.copy()
    between[1495:1500] *= -1  # the purged days: same squares, so only a fit that read them would differ
    full = resolve(task.kind, name).fit_predict(task, context(returns))
    other = resolve(task.kind, name).fit_predict(task, context(between))
    if (task.kind, name) in {("forecast", "mean"), ("volatility", "mean"), ("volatility", "persistence")}:
        np.testing.assert_array_equal(full, other)
    if (task.kind, name) in {("forecast", "ar1"), ("forecast", "persistence")}:
        np.testing.assert_array_equal(full[1:], other[1:])


@pytest.mark.parametrize("name", list(ALL["forecast"]))
def test_forecast_quantiles_are_calibrated_on_stationary_returns(name: str) -> None:
    returns = garch_returns(8000, counter=1)
    data = context(returns, first=4000)
    quantiles = resolve("forecast", name).fit_predict(FORECAST, data)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    shares = (returns[data.test + 1, None] <= quantiles).mean(axis=0)
    np.testing.assert_allclose(shares, LEVELS, atol=0.03)


def test_each_model_baseline_wins_where_its_model_is_true() -> None:
    plain, leaning = context(garch_returns(4000)), context(garch_returns(4000, phi=0.3))

    def loss(task: Task, name: str, data: Context) -> float:
        losses = answer(task, name, data).losses
        assert losses is not None
        return float(losses.mean())

    assert loss(FORECAST, "ar1", leaning) < min(loss(FORECAST, name, leaning) for name in ("mean", "persistence"))
    assert loss(FORECAST, "garch", plain) < min(loss(FORECAST, name, plain) for name in ("mean", "persistence", "ar1"))
    assert loss(RISK, "garch", plain) < min(loss(RISK, name, plain) for name in ("mean", "persistence", "ewma"))


def test_ar1_is_the_least_squares_line() -> None:
    data = context(garch_returns(2000, phi=0.3))
    past = data.past
    slope, intercept = np.polyfit(past[:-1], past[1:], 1)
    residual = past[1:] - intercept - slope * past[:-1]
    expected = (intercept + slope * data.log_returns[data.test])[:, None] + np.quantile(residual, LEVELS)
    np.testing.assert_allclose(resolve("forecast", "ar1").fit_predict(FORECAST, data), expected)


def test_garch_is_filtered_as_arch_does() -> None:
    arch = importlib.import_module("arch")
    data = context(garch_returns(2200) + 0.01)  # a mean that matters beside the variance
    model = arch.arch_model(data.log_returns * 100, mean="Constant", vol="GARCH", p=1, q=1, rescale=False)
    fit = model.fit(last_obs=len(data.past), disp="off")
    theirs = fit.forecast(horizon=5, start=int(data.test[0]), reindex=False).variance.to_numpy()[: len(data.test)]
    ours = resolve("volatility", "garch").fit_predict(RISK, data)[:, 0]
    expected = np.log(theirs.mean(axis=1) / 1e4 + (fit.params["mu"] / 100) ** 2)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_risk_label_and_mean_baseline() -> None:
    returns = garch_returns(1600)
    data = context(returns)
    assert data.risk(np.array([10]))[0] == pytest.approx(np.log((returns[11:16] ** 2).mean()))
    assert np.isnan(data.risk(np.array([1595]))[0])
    rows = np.arange(1495)[:-5]
    expected = np.log(np.mean([(returns[t + 1 : t + 6] ** 2).mean() for t in rows]))
    np.testing.assert_allclose(resolve("volatility", "mean").fit_predict(RISK, data), expected)


def test_risk_baselines_stay_finite_when_prices_stand_still() -> None:
    returns = garch_returns(1800)
    returns[1600:1650] = 0.0
    for name in ALL["volatility"]:
        losses = answer(RISK, name, context(returns)).losses
        assert losses is not None
        assert np.isfinite(losses).all()


def test_trading_baselines_pay_through_the_shared_account() -> None:
    returns = garch_returns(1700)
    data = context(returns)
    simple = np.expm1(returns[data.test + 1])
    hold = answer(TRADE, "buy_and_hold", data).losses
    assert hold is not None
    np.testing.assert_allclose(-hold, np.concatenate([[-0.0005], simple[1:]]))
    assert not np.any(answer(TRADE, "cash", data).losses)
    momentum = answer(TRADE, "momentum", data)
    assert momentum.outputs is not None
    t = int(data.test[7])
    assert momentum.outputs[7, 0] == np.sign(returns[t - 19 : t + 1].sum())
    assert momentum.losses is not None
    np.testing.assert_allclose(-momentum.losses, finance.replay(momentum.outputs[:, 0], simple, 0.0005))


def test_from_rows_recovers_the_log_returns() -> None:
    returns = garch_returns(100)
    rows = Rows(np.arange(100).astype(str), {}, extra={"simple_return": np.expm1(returns)})
    data = PriceContext.from_rows(rows, np.arange(50), np.arange(55, 90))
    np.testing.assert_allclose(data.log_returns, returns)


@pytest.mark.parametrize(("train", "test"), [((0, 60), (50, 90)), ((50, 90), (0, 40)), ((0, 50), (60, 100))])
def test_folds_that_are_not_causal_are_refused(train: tuple[int, int], test: tuple[int, int]) -> None:
    with pytest.raises(DataError):
        PriceContext(garch_returns(100), np.arange(*train), np.arange(*test))


def test_a_missing_package_leaves_a_row_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "arch" else real(name))
    result = answer(RISK, "garch", context(garch_returns(1600)))
    assert (result.losses, result.note, result.role) == (None, "needs pellucid[finance]", "model")


def test_unknown_baselines_are_named() -> None:
    with pytest.raises(DataError, match="no baseline 'garhc'") as caught:
        resolve("forecast", "garhc")
    assert "did you mean 'garch'" in str(caught.value)


# What reads texts is tested with texts (tests/runs/test_texts.py).
WITHOUT_TEXT = [name for name in ALL["classify"] if name != "tfidf"]
REGRESSING = [name for name in ALL["regress"] if name != "tfidf"]


@pytest.mark.parametrize("unit", ["logit", "probability"])
def test_table_baselines_beat_the_majority(unit: str) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    task = Task("y", "classify", (), ("a", "b"), unit, "log_loss")
    data = TableContext(x[::2], y[::2], x[1::2], y[1::2])
    loss = {}
    for name in WITHOUT_TEXT:
        result = answer(task, name, data)
        assert result.losses is not None
        loss[name] = result.losses.mean()
    shares = np.bincount(y[::2]) / len(y[::2])
    assert loss["majority"] == pytest.approx(-np.log(shares[y[1::2]]).mean())
    assert max(loss["linear"], loss["hist_gradient_boosting"]) < 0.4 * loss["majority"]


def test_a_class_unseen_in_training_has_a_finite_loss() -> None:
    x = stream(0, "x").normal(size=(60, 2))
    y = np.repeat(np.array(["a", "b", "c"]), 20)
    kind: TaskKind = "classify"
    task = Task("y", kind, (), ("a", "b", "c"), "logit", "log_loss", options={"classes": ["a", "b", "c"]})
    for name in WITHOUT_TEXT:
        result = answer(task, name, TableContext(x[:40], y[:40], x[40:], y[40:]))
        assert result.losses is not None
        assert result.losses.mean() > 5
        assert np.isfinite(result.losses).all()
        assert result.outputs is not None
        assert result.outputs.shape == (20, 3)


def test_regression_baselines() -> None:
    x = stream(0, "x").normal(size=(300, 3))
    y = 3 * x[:, 0] + 10 + stream(0, "e").normal(size=300)
    data = TableContext(x[:200], y[:200], x[200:], y[200:])
    loss = {name: float(np.mean(answer(REGRESS, name, data).losses)) for name in REGRESSING}  # type: ignore[arg-type]
    assert loss["mean"] == pytest.approx(((y[200:] - y[:200].mean()) ** 2).mean())
    assert loss["linear"] < 1.3 < loss["hist_gradient_boosting"] < loss["mean"]


def test_environment_baselines_choose_on_training_episodes_only() -> None:
    played: list[tuple[str, int]] = []

    def rollout(policy: Blind, seeds: Sequence[int]) -> np.ndarray:
        """Action 2 pays best on training seeds (< 100), action 0 on test seeds."""
        total = np.zeros(len(seeds))
        for step in range(10):
            actions = policy(len(seeds), step)
            played.extend((str(a), s) for a, s in zip(actions, seeds, strict=True))
            total += np.where(np.array(seeds) < 100, actions, 2 - actions)
        return total

    data = RolloutContext.discrete(rollout, 3, range(20), range(100, 130), seed=4)
    env = Task("env", "control", (), ("a",), "", "negative_reward", options={})
    best = answer(env, "best_constant_action", data)
    np.testing.assert_array_equal(best.losses, np.zeros(30))  # action 2, judged where it pays nothing
    played.clear()
    random = answer(env, "random", data)
    assert random.losses is not None
    assert -random.losses.mean() == pytest.approx(10, abs=1.5)
    np.testing.assert_array_equal(random.losses, answer(env, "random", data).losses)


def test_each_baseline_takes_less_than_a_second_a_fold() -> None:
    data = context(garch_returns(4700), first=3900)
    for task, name in CASES:
        resolve(task.kind, name).fit_predict(task, context(garch_returns(300), first=250))  # imports
        start = time.process_time()
        outputs = resolve(task.kind, name).fit_predict(task, data)
        assert time.process_time() - start < 1.0
        if task.kind != "control":
            assert row_losses(task, np.zeros(len(outputs)), outputs).shape == (len(data.test),)
