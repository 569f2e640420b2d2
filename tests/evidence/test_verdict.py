"""Verdicts: each branch, constants, a random walk that must not and a planted signal that must show skill."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.evidence.baselines import Answer, PriceContext, answer, resolve, spoken
from pellucid.evidence.entry import FoldRows, joined, task_entry
from pellucid.evidence.finance import replay
from pellucid.evidence.folds import walk_forward
from pellucid.evidence.metrics import is_constant, label_and_unit, row_losses
from pellucid.evidence.verdict import Margin, judge, margin_for

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
FORECAST = Task("forecast", "forecast", (), ("q",) * 5, "log return", "pinball", options={"quantiles": LEVELS})
TRADE = Task("trade", "control", (), ("a",), "", "negative_reward", options={"cost_bps": 5})
N = 2000
MEAN = stream(0, "mean").exponential(size=N)
NOISE = stream(0, "noise").normal(size=N)
AR1 = MEAN - 0.2 + 0.1 * NOISE
ALL_THREE = {"mean": MEAN, "persistence": MEAN + 0.3, "ar1": AR1}


def test_skill_needs_every_naive_baseline() -> None:
    beats_one = MEAN + 0.1 + 0.01 * NOISE  # better than persistence, worse than mean
    result = judge(beats_one, ALL_THREE, task=FORECAST)
    assert (result.verdict, result.skill) == ("worse", False)
    assert result.sentence.startswith("forecast: no skill shown: pinball loss is worse than mean (difference +9.9 %")
    undecided = judge(MEAN + NOISE, ALL_THREE, task=FORECAST)
    assert (undecided.verdict, undecided.skill) == ("no skill shown", False)
    assert "is not better than mean" in undecided.sentence
    assert f"n = {N:,}" in undecided.sentence


def test_skill_is_then_set_against_the_best_baseline() -> None:
    cases = {
        "better": AR1 - 0.1 + 0.05 * NOISE[::-1],
        "equivalent": AR1 + 0.01 * NOISE[::-1],
        "worse": AR1 + 0.1 + 0.05 * NOISE[::-1],
        "skill shown": AR1 + NOISE[::-1],
    }
    for verdict, losses in cases.items():
        result = judge(losses, ALL_THREE, task=FORECAST, margin=0.01)
        assert (result.verdict, result.skill, result.best) == (verdict, True, "ar1")
        assert result.sentence.startswith("forecast: skill shown (better than mean and persistence)")
    equivalent = judge(cases["equivalent"], ALL_THREE, task=FORECAST, margin=0.01).sentence
    assert equivalent == "forecast: skill shown (better than mean and persistence); equivalent to AR(1) within 1 %."


def test_the_margin_of_trading_is_a_year_of_net_return() -> None:
    margin = margin_for(TRADE, 0.01)
    assert (str(margin), margin.absolute(np.zeros(5))) == ("1 % a year", pytest.approx(0.01 / 252))
    assert margin_for(FORECAST, 0.01).absolute(np.full(5, 3.0)) == pytest.approx(0.03)
    hold = -stream(0, "hold").normal(3e-4, 0.01, size=N)
    same = hold + 1e-6 * NOISE
    sentence = judge(same, {"cash": np.zeros(N), "buy_and_hold": hold}, task=TRADE).sentence
    assert sentence.startswith(
        "trade: no skill shown: net return after costs is not better than buy and hold (difference "
    )
    assert " bp a day, 95 % interval " in sentence
    gain = judge(hold - 5e-4 + 1e-4 * NOISE, {"cash": np.zeros(N), "buy_and_hold": hold - 0.001}, task=TRADE)
    assert "difference -5.0 bp a day" in gain.sentence  # earns 5 bp less than what it is compared with


def test_a_lucky_constant_shows_no_skill() -> None:
    result = judge(MEAN - 0.5, {"mean": MEAN}, task=FORECAST, constant=is_constant(np.ones((N, 5))))
    assert (result.verdict, result.skill) == ("no skill shown", False)
    assert result.sentence == "forecast: no skill shown: the answer never changes."


def test_the_baselines_themselves_show_no_skill() -> None:
    for name in ("mean", "persistence"):
        assert not judge(ALL_THREE[name], ALL_THREE, task=FORECAST).skill
    assert judge(AR1, ALL_THREE, task=FORECAST).verdict == "equivalent"
    same = judge(MEAN, ALL_THREE, task=FORECAST).sentence
    assert same == "forecast: no skill shown: pinball loss is that of mean on all 2,000 rows."


def test_without_a_naive_baseline_nothing_is_claimed() -> None:
    with pytest.raises(DataError, match="no naive baseline"):
        judge(AR1, {"ar1": AR1}, task=FORECAST)


def market(counter: int, phi: float, n: int = 1500) -> np.ndarray:
    noise = stream(21, "market", counter).normal(0, 0.01, size=n)
    out = noise.copy()
    for t in range(1, n):
        out[t] += phi * out[t - 1]
    return out


def forecaster(returns: np.ndarray, counter: int) -> bool:
    """A flexible program: five lags by least squares, judged over three folds; whether it shows skill."""
    lags = np.stack([np.roll(returns, k) for k in range(5)], axis=1)
    losses: list[np.ndarray] = []
    answers: dict[str, list[Answer]] = {"mean": [], "persistence": []}
    for fold in walk_forward(len(returns) - 1, folds=3, purge=5):
        train = fold.train[5:-1]
        design = np.c_[np.ones(len(train)), lags[train]]
        weights, *_ = np.linalg.lstsq(design, returns[train + 1], rcond=None)
        residual = returns[train + 1] - design @ weights
        centre = np.c_[np.ones(len(fold.test)), lags[fold.test]] @ weights
        outputs = centre[:, None] + np.quantile(residual, LEVELS)
        losses.append(row_losses(FORECAST, returns[fold.test + 1], outputs))
        context = PriceContext(returns, fold.train, fold.test)
        for name, parts in answers.items():
            parts.append(answer(FORECAST, name, context))
    both = {name: joined(parts).losses for name, parts in answers.items()}
    return judge(np.concatenate(losses), both, task=FORECAST, block=10, seed=counter).skill


def test_a_random_walk_shows_no_skill_and_a_planted_signal_does() -> None:
    """One-sided 2.5 % a walk: more than 4 of 40 would have probability 0.0035. Planted AR(1): at least 38 of 40."""
    assert sum(forecaster(market(k, 0.0), k) for k in range(40)) <= 4
    assert sum(forecaster(market(k, 0.3), k) for k in range(40)) >= 38


def test_size_against_a_baseline_that_is_exactly_as_good() -> None:
    """Where the null hypothesis is tight: 300 pairs of equal expectation, 2.5 % one-sided, 1 to 17 claims (99.9 %)."""
    claims = 0
    for k in range(300):
        ours, theirs = stream(22, "tight", k).exponential(size=(2, 300))
        claims += judge(ours, {"mean": theirs}, task=FORECAST, seed=k).skill
    assert 1 <= claims <= 17


def test_random_trading_shows_no_skill_and_foresight_does() -> None:
    """Nets of costs; of 40 random traders at most 4 may be called skilled."""
    lucky = 0
    for k in range(40):
        returns = np.expm1(market(k, 0.0))
        context = PriceContext(market(k, 0.0), np.arange(700), np.arange(705, 1490), cost=0.0005)
        both = {name: answer(TRADE, name, context).losses for name in ("cash", "buy_and_hold")}
        random = stream(23, "trader", k).integers(-1, 2, size=len(context.test))
        net = replay(random, returns[context.test + 1], 0.0005)
        lucky += judge(-net, both, task=TRADE, block=5, seed=k).skill
        if k < 3:
            told = np.sign(returns[context.test + 2])  # what the position will earn
            net = replay(told, returns[context.test + 1], 0.0005)
            assert judge(-net, both, task=TRADE, block=5, seed=k).skill
    assert lucky <= 4


def test_the_entry_is_plain_json_and_says_what_was_computed() -> None:
    answers = [Answer(name, resolve("forecast", name).role, None, losses) for name, losses in ALL_THREE.items()]
    answers.append(Answer("garch", "model", None, None, "needs pellucid[finance]"))
    folds = [FoldRows("1999..2008", "2008..2012", np.arange(900)), FoldRows("1999..2012", "2012..", np.arange(900, N))]
    entry = task_entry(FORECAST, AR1, answers, block=20, seed=3, folds=folds, extra={"coverage": 0.9})
    assert entry == json.loads(json.dumps(entry, allow_nan=False))
    assert entry == task_entry(FORECAST, AR1, answers, block=20, seed=3, folds=folds, extra={"coverage": 0.9})
    assert entry["method"] == "stationary bootstrap, mean block 20, 2000 resamples, 95 %"
    assert entry["value"] == pytest.approx(AR1.mean())
    assert entry["low"] < entry["value"] < entry["high"]
    rows = {row["name"]: row for row in entry["baselines"]}
    assert rows["mean"]["difference"] == pytest.approx((AR1 - MEAN).mean())
    assert rows["ar1"]["difference"] == 0.0
    assert (rows["garch"]["note"], rows["garch"]["value"]) == ("needs pellucid[finance]", None)
    assert [fold["n"] for fold in entry["folds"]] == [900, N - 900]
    assert entry["folds"][1]["baselines"]["mean"] == pytest.approx(MEAN[900:].mean())
    assert (entry["verdict"], entry["skill"], entry["better"], entry["n"]) == ("equivalent", True, "lower", N)


def test_a_single_episode_gives_an_entry_without_bounds() -> None:
    task = Task("env", "control", (), ("a",), "", "negative_reward")
    entry = task_entry(task, [-5.0], [Answer("random", "naive", None, np.array([-1.0]))])
    assert (entry["low"], entry["high"], entry["verdict"]) == (None, None, "no skill shown")
    json.dumps(entry, allow_nan=False)
    assert "too few rows" in entry["sentence"]


def test_joined_answers_keep_order_and_notes() -> None:
    a, b = Answer("x", "naive", None, np.arange(2.0)), Answer("x", "naive", None, np.arange(3.0))
    np.testing.assert_array_equal(joined([a, b]).losses, [0, 1, 0, 1, 2])
    assert joined([a, Answer("x", "naive", None, None, "needs pellucid[finance]")]).losses is None


def test_a_margin_prints_itself() -> None:
    assert (str(Margin(0.01)), str(Margin(0.005, "year"))) == ("1 %", "0.5 % a year")


def test_baselines_and_metrics_are_named_for_a_person() -> None:
    hold = np.full(N, 0.001)
    answers = [Answer("cash", "naive", None, np.zeros(N), ""), Answer("buy_and_hold", "naive", None, hold, "")]
    entry = task_entry(TRADE, hold, answers)
    assert [(b["name"], b["label"]) for b in entry["baselines"]] == [("cash", "cash"), ("buy_and_hold", "buy and hold")]
    assert all(b["about"] for b in entry["baselines"])
    assert (entry["label"], entry["unit"]) == ("net return after costs, negated", "share of the notional a day")
    assert label_and_unit(Task("env", "control", (), ("a",), "", "negative_reward"))[0].startswith(
        "return of an episode"
    )
    assert label_and_unit(FORECAST) == ("pinball loss", "log return")
    assert (spoken("ar1"), spoken("hist_gradient_boosting")) == ("AR(1)", "gradient boosting")
