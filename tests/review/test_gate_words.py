"""What a gate says: the task and a short title of its own, plain costs, no `-0 %`."""

from __future__ import annotations

from typing import Any

import pytest

from pellucid.review.gates import check_gates

CLAIM: dict[str, Any] = {
    "changes": [{"field": "volume", "task": "risk", "reduce": 0.8}],
    "keeps": [{"correlation": 0.95, "spread": 0.5}],
    "control": 0.25,
    "budget": {"risk": {"loss": 0.05, "unit": "% of the loss", "scale": 200.0}},
}
OUTPUTS = [{"name": "q05", "correlation": 0.99, "spread": 1.01}, {"name": "q50", "correlation": 0.97, "spread": 0.8}]


def _said(
    *,
    control: float = -0.0004,
    change: float = 0.01915,
    reduction: float = 0.9495,
    outputs: list[dict[str, Any]] | None = None,
) -> Any:
    found = {
        "task": "risk",
        "field": "volume",
        "present": True,
        "base": 0.13289,
        "candidate": 0.00671,
        "reduction": reduction,
        "control_reduction": control,
        "held_fixed": OUTPUTS if outputs is None else outputs,
    }
    entry = {"task": "risk", "change": change, "low": change - 0.01, "high": change + 0.01, "n": 1500}
    gates = check_gates(CLAIM, {"effects": {"risk/volume": found}}, [entry])
    assert all(gate["name"] == f"risk: {gate['title']}" and gate["task"] == "risk" for gate in gates)
    return {gate["title"]: (gate["required"], gate["seen"], gate["passed"]) for gate in gates}


def test_each_gate_is_short_and_says_what_was_asked_and_what_came() -> None:
    assert _said() == {
        "effect of do(volume)": ("down at least 80 %", "down 95.0 %, from 0.133 to 0.0067 sd of the outputs", True),
        "same answers, volume held fixed": ("correlation at least 0.95", "0.970 (lowest: q50)", True),
        "no constant, volume held fixed": ("spread at least 50 % of the base's", "80.0 % (lowest: q50)", True),
        "control: not told of volume": ("at most 25 % of the reduction", "0.0 % of the reduction", True),
        "cost on ordinary data": (
            "at most 10 % of the loss",
            "cost +3.83 % of the loss, interval +1.83 to +5.83, n = 1,500",
            True,
        ),
    }


def test_a_gain_is_said_to_be_one() -> None:
    _, seen, passed = _said(change=-0.03)["cost on ordinary data"]
    assert seen == "cost -6.00 % of the loss, interval -8.00 to -4.00 (below zero: a gain), n = 1,500"
    assert passed


@pytest.mark.parametrize("control", [-0.3, -0.0004, 0.0])
def test_a_control_that_gains_nothing_gains_zero(control: float) -> None:
    assert _said(control=control)["control: not told of volume"][1] == "0.0 % of the reduction"


def test_a_single_output_is_not_called_the_lowest() -> None:
    said = _said(outputs=OUTPUTS[:1])
    assert said["same answers, volume held fixed"][1] == "0.990"
    assert said["no constant, volume held fixed"][1] == "101.0 %"


def test_an_effect_that_grew_is_said_to_be_up_and_leaves_nothing_to_compare_the_control_with() -> None:
    said = _said(reduction=-0.09, control=0.014)
    _, seen, passed = said["effect of do(volume)"]
    assert seen.startswith("up 9.0 %, from ")
    assert passed is False
    assert said["control: not told of volume"][1] == "the correction itself reduces nothing"
