"""Gates: each kind passes, fails and stays undecided where it should."""

from __future__ import annotations

import pytest
from sides_by_hand import side, table

from pellucid.review.diff import DiffConfig, diff
from pellucid.review.gates import check_gates

CLAIM = {
    "changes": [{"field": "age", "task": "paid", "reduce": 0.8}],
    "keeps": [{"correlation": 0.95, "spread": 0.5}],
    "control": 0.25,
    "budget": {"paid": {"loss": 0.05, "unit": "% of the loss", "scale": 200.0}},
}


def measured(**changes):
    found = {
        "task": "paid",
        "field": "age",
        "present": True,
        "base": 0.5,
        "candidate": 0.05,
        "reduction": 0.9,
        "control_reduction": 0.1,
        "held_fixed": [{"name": "yes", "correlation": 0.99, "spread": 0.9}],
    }
    return {"effects": {"paid/age": {**found, **changes}}}


def entry(change=0.01, low=0.0, high=0.02, n=50):
    return {"task": "paid", "change": change, "low": low, "high": high, "n": n}


def passed(kind, *, claim=CLAIM, found=None, task=None):
    gates = check_gates(claim, measured() if found is None else found, [task or entry()])
    chosen = [gate["passed"] for gate in gates if gate["kind"] == kind]
    assert chosen
    return chosen


def test_all_gates_of_a_right_correction():
    gates = check_gates(CLAIM, measured(), [entry()])
    assert [gate["kind"] for gate in gates] == ["change", "keep", "keep", "control", "budget"]
    assert all(gate["passed"] for gate in gates)
    assert all(gate["name"].startswith("paid: ") and gate["required"] and gate["seen"] for gate in gates)
    assert check_gates({}, {}, [entry()]) == []


@pytest.mark.parametrize(("reduction", "verdict"), [(0.8, True), (0.79, False), (-0.5, False)])
def test_effect(reduction, verdict):
    assert passed("change", found=measured(reduction=reduction)) == [verdict]


def test_a_wrong_claim_fails():
    """Promised 99 %, kept 90 %."""
    claim = {"changes": [{"field": "age", "task": "paid", "reduce": 0.99}]}
    assert passed("change", claim=claim) == [False]


@pytest.mark.parametrize(("correlation", "spread", "verdict"), [
    (0.95, 0.5, [True, True]),
    (0.94, 0.9, [False, True]),
    (0.99, 0.49, [True, False]),
    (None, 0.0, [False, False]),  # a collapse to a constant
    (None, None, [None, None]),  # the base is constant itself: there is nothing to keep or lose
])  # fmt: skip
def test_kept_outputs(correlation, spread, verdict):
    outputs = [{"name": "yes", "correlation": correlation, "spread": spread}]
    assert passed("keep", found=measured(held_fixed=outputs)) == verdict


def test_the_worst_output_decides():
    good = {"name": "good", "correlation": 0.99, "spread": 0.9}
    for bad in ({"correlation": 0.5, "spread": 0.9}, {"correlation": None, "spread": 0.9}):
        outputs = [good, {"name": "bad", **bad}, good]
        gates = check_gates(CLAIM, measured(held_fixed=outputs), [entry()])
        keep = next(gate for gate in gates if gate["kind"] == "keep")
        assert keep["passed"] is False
        assert "bad" in keep["seen"]
    constant = {"name": "constant", "correlation": None, "spread": None}
    assert passed("keep", found=measured(held_fixed=[good, constant])) == [True, True]


@pytest.mark.parametrize(("control", "reduction", "verdict"), [
    (0.2, 0.9, True),
    (0.23, 0.9, False),  # more than a quarter of 0.9
    (-0.4, 0.9, True),  # grew
    (0.1, -0.1, False),
])  # fmt: skip
def test_control(control, reduction, verdict):
    assert passed("control", found=measured(control_reduction=control, reduction=reduction)) == [verdict]


@pytest.mark.parametrize(("change", "low", "high", "verdict"), [
    (0.03, 0.01, 0.05, True),
    (-0.2, -0.3, -0.1, True),
    (0.05, 0.01, 0.06, None),  # reaches beyond the budget
    (0.08, 0.06, 0.1, False),
    (0.01, None, None, None),  # too few rows for an interval
    (None, None, None, None),
])  # fmt: skip
def test_budget(change, low, high, verdict):
    assert passed("budget", task=entry(change, low, high)) == [verdict]


def test_nothing_to_forbid_passes_but_outputs_must_be_kept():
    absent = measured(present=False, reduction=-3.0, control_reduction=9.0)
    assert passed("change", found=absent) == passed("control", found=absent) == [True]
    collapsed = measured(present=False, held_fixed=[{"name": "yes", "correlation": None, "spread": 0.0}])
    assert passed("keep", found=collapsed) == [False, False]


@pytest.mark.parametrize(("changes", "verdict"), [
    ({}, "better"),
    ({"reduction": 0.5}, "worse"),
    ({"held_fixed": [{"name": "yes", "correlation": None, "spread": 0.0}]}, "worse"),
    ({"control_reduction": 0.9}, "worse"),
    ({"held_fixed": [{"name": "yes", "correlation": None, "spread": None}]}, "undecided"),
])  # fmt: skip
def test_gates_decide_the_diff(changes, verdict):
    base, candidate = side("p@1", table(seed=1)), side("p~1", table(seed=1), measured=measured(**changes))
    found = diff(base, candidate, DiffConfig(claim=CLAIM))
    assert found["verdict"] == verdict
    assert diff(base, candidate)["gates"] == []  # another pair of versions: the claim is not about it
