"""How numbers are shown: scaled, signed so that the side that is better is named truly, rounded; and what was said."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.report.explained import main_output, output_title, said
from pellucid.report.numbers import typeset_sentence
from pellucid.report.units import explained_in_units, in_units, metric_unit, what_came

TRADE = {"metric": "negative_reward", "unit": "share of the notional a day", "label": "net return, negated"}
PINBALL = {"metric": "pinball", "unit": "log return", "label": "pinball loss"}


@pytest.mark.parametrize(
    ("task", "shown", "better"),
    [
        (PINBALL, "pinball loss, bp", "lower"),
        (TRADE, "net return after costs, bp a day", "higher"),
        ({"metric": "negative_reward", "unit": "reward"}, "return of an episode", "higher"),
        ({"metric": "qlike", "unit": "", "label": "QLIKE"}, "QLIKE", "lower"),
        ({"metric": "zero_one", "unit": "share of rows", "label": "error rate"}, "error rate, % of rows", "lower"),
        ({"metric": "log_loss", "unit": "nat"}, "log loss, nat", "lower"),
    ],
)
def test_metrics_have_units_that_a_person_reads(task: dict[str, Any], shown: str, better: str) -> None:
    unit = metric_unit(task)
    assert (str(unit), unit.better) == (shown, better)


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3).map(sorted))
def test_an_interval_stays_one_when_a_loss_becomes_a_gain(values: list[float]) -> None:
    low, value, high = values
    task = {**TRADE, "value": value, "low": low, "high": high, "baselines": [{"difference": value}]}
    task["baselines"][0] |= {"difference_low": low, "difference_high": high}  # type: ignore[index]
    shown = in_units(task)
    assert shown["low"] <= shown["value"] <= shown["high"]
    assert shown["value"] == pytest.approx(-1e4 * value)
    pair = shown["baselines"][0]
    assert pair["difference_low"] <= pair["difference"] <= pair["difference_high"]
    assert task["value"] == value  # the JSON itself is left alone


def test_zero_is_not_minus_zero_and_what_is_no_number_stays() -> None:
    shown = in_units({**TRADE, "value": 0.0, "low": None, "high": math.nan})
    assert math.copysign(1.0, shown["value"]) == 1.0
    assert math.isnan(shown["low"])
    assert shown["high"] is None


@pytest.mark.parametrize(
    ("task", "y", "shown"),
    [
        ({**PINBALL, "kind": "forecast"}, "0.022714051233730714", "+227 bp"),
        ({**TRADE, "kind": "control"}, "-0.005525364565647672", "-55.3 bp"),
        ({"kind": "volatility", "metric": "qlike"}, "-10.119854380815754", "-10.12"),
        ({"kind": "classify", "metric": "log_loss"}, "1", "1"),
        ({"kind": "classify", "metric": "log_loss"}, "malignant", "malignant"),
        ({"kind": "regress", "metric": "squared_error", "unit": "unit of y"}, "152.123456", "152.1"),
        ({"kind": "forecast"}, None, ""),
    ],
)
def test_targets_are_rounded(task: dict[str, Any], y: str | None, shown: str) -> None:
    assert what_came(task, y) == shown


def _one(outputs: list[str], unit: str, prediction: list[float], base: list[float]) -> dict[str, Any]:
    zeros = [[[0.0] * len(outputs)]]
    raw = {"task": "t", "unit": unit, "outputs": outputs, "keys": ["a"], "players": ["x"], "values": zeros}
    return {**raw, "error": zeros, "prediction": [prediction], "base": base, "background_n": 8, "inputs": [[1.0]]}


def test_the_output_shown_first_is_the_answer() -> None:
    quantiles = _one(["q05", "q25", "q50", "q75", "q95"], "log return", [0.0] * 5, [0.0] * 5)
    assert main_output(quantiles) == 2
    assert main_output({**quantiles, "main": "q95"}) == 4
    assert main_output({**quantiles, "main": "elsewhere"}) == 2
    policy = _one(["short", "flat", "long", "value"], "logit", [0.1, 0.7, -2.0, 9.0], [0.0] * 4)
    assert main_output(policy) == 1
    moved = _one(["a", "b"], "EUR", [0.0, 0.0], [0.0, 0.0])
    moved["values"] = [[[0.1, -5.0]]]
    assert main_output(moved) == 1


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (
            _one(["q05", "q50", "q95"], "log return", [-0.0263, 0.00379, 0.0303], [0.0] * 3),
            "median +37.9 bp; 90 % of outcomes expected between -263 and +303 bp",
        ),
        (
            _one(["short", "flat", "long", "value"], "logit", [-1.45, 0.398, 1.05, 0.04], [0.0] * 4),
            "chooses long (62 %; short 5.1 %, flat 32 %)",
        ),
        (
            _one(["benign", "malignant"], "probability", [0.2, 0.8], [0.5, 0.5]),
            "predicts malignant (80 %; benign 20 %)",
        ),
        (
            _one(["malignant"], "logit", [0.0], [-1.0986123]),
            "malignant with probability 50 %, against 25 % for the average row",
        ),
        (
            _one(["log_variance"], "log variance", [2 * math.log(0.02)], [2 * math.log(0.01)]),
            "expected volatility 2.0 % a day (32 % a year), against 1.0 % a day for the average row",
        ),
        (_one(["price"], "EUR", [3.0], [2.0]), "3.00 EUR, against 2.00 on average"),
        (_one(["price"], "EUR", [math.nan], [2.0]), "not available, against 2.00 on average"),
    ],
)
def test_what_was_said_in_words(one: dict[str, Any], told: str) -> None:
    assert said(explained_in_units(one), 0) == told


def test_outputs_have_names_for_a_person() -> None:
    quantiles = _one(["q05", "q50"], "log return", [0.0] * 2, [0.0] * 2)
    assert [output_title(quantiles, k) for k in range(2)] == ["q05, the 5 % quantile", "q50, the median"]
    policy = _one(["left", "right", "value"], "logit", [0.0] * 3, [0.0] * 3)
    assert [output_title(policy, k) for k in (0, 2)] == ["the score of 'left'", "the critic's value of the state"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("difference -0.5 to 2.8", "difference \u22120.5 to 2.8"),
        ("on 2018-02-05 in 1999-2013", "on 2018-02-05 in 1999-2013"),
        ("return[t-1..4] (-3)", "return[t-1..4] (\u22123)"),
        ("[-1.0, 0.2]", "[\u22121.0, 0.2]"),
        ("8.5 % of it, n = 500", "8.5\u00a0% of it, n\u00a0=\u00a0500"),
        ("3.97 bp a day", "3.97\u00a0bp a day"),
        ("stocks~3f2a-1, GARCH(1,1)-2", "stocks~3f2a-1, GARCH(1,1)-2"),
    ],
)
def test_sentences_are_set_without_harming_days_and_names(raw: str, shown: str) -> None:
    assert typeset_sentence(raw) == shown
