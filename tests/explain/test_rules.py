"""Rules and surrogate trees: planted rules are found, bounds hold, fidelity is that of rows held out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pellucid.core.errors import DataError
from pellucid.explain import find_rules, fit_surrogate
from pellucid.explain.rules import _kl_bounds
from pellucid.nn.foreign import wrap
from pellucid.testing.games import ToyProgram, network, toy_rows

N = 800
G = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "age": G.integers(18, 80, N).astype(float),
        "income": G.normal(50, 15, N).round(1),
        "job": G.choice(["none", "part", "full"], N),
        "noise": G.normal(size=N),
    }
)


def planted(x):
    """Granted if and only if job is full and income is above its median."""
    yes = ((x[:, 2] == "full") & (x[:, 1].astype(float) > np.median(FRAME["income"]))).astype(float)
    return np.stack([1 - yes, yes], axis=1)


PROGRAM = wrap(planted, inputs=FRAME, kind="classify", outputs=["refused", "granted"])
TABLE = PROGRAM.rows(FRAME)


def test_the_planted_rule_is_found() -> None:
    granted = np.flatnonzero(PROGRAM.predict(FRAME)["granted"] > 0.5)[:6]
    for rule in find_rules(PROGRAM, TABLE.take(granted), "predict", reference=TABLE):
        assert {c.split()[0] for c in rule.conditions if "income" not in c} == {"job"}
        assert len(rule.conditions) == 2
        assert rule.found
        assert rule.low >= 0.95
        assert rule.answer == "class granted"
    refused = np.flatnonzero(FRAME["job"].to_numpy() == "none")[:4]
    for rule in find_rules(PROGRAM, TABLE.take(refused), "predict", reference=TABLE):
        assert len(rule.conditions) == 1  # either condition alone refuses
        assert rule.low >= 0.95


def test_the_bound_holds_on_rows_drawn_afterwards() -> None:
    """Precision as told against 20,000 rows drawn from the rule's own distribution by other code."""
    function = network(np.random.default_rng(3), 4, 1)
    data = np.random.default_rng(4).normal(size=(500, 4))
    program = ToyProgram(function, 4)
    rules = find_rules(program, toy_rows(data[:8]), "toy", reference=toy_rows(data), precision=0.8, within=0.8, most=3)
    g, held = np.random.default_rng(9), 0
    import torch

    for i, rule in enumerate(rules):
        made = data[g.integers(500, size=20_000)]
        for condition in rule.conditions:
            words = condition.split()
            j = int(next(w for w in words if w.startswith("x"))[1:])
            column = data[:, j]
            low, high = -np.inf, np.inf
            if words[1] == ">":
                low = float(words[2])
            elif words[1] == "<=":
                high = float(words[2])
            else:
                low, high = float(words[0]), float(words[4])
            inside = column[(column > low) & (column <= high)]
            made[:, j] = g.choice(inside, size=20_000)
        out, own = function(torch.from_numpy(made)).numpy()[:, 0], function(torch.from_numpy(data[i : i + 1])).numpy()
        precise = float((np.abs(out - own[0, 0]) <= 0.8).mean())
        assert rule.precision == pytest.approx(precise, abs=0.05)  # its cuts are told with four digits
        held += rule.low <= precise + 0.01
    assert held >= 7


def test_kl_bounds_are_the_closed_ones() -> None:
    """kl(0, q) = -log(1 - q): with 0 of n the upper bound is 1 - exp(-level)."""
    low, high = _kl_bounds(0.0, 0.1)
    assert low == pytest.approx(0.0)
    assert high == pytest.approx(1 - np.exp(-0.1), abs=1e-6)
    assert _kl_bounds(1.0, 0.1)[0] == pytest.approx(np.exp(-0.1), abs=1e-6)


def test_a_constant_needs_no_condition_and_noise_is_told() -> None:
    flat = ToyProgram(lambda x: 0 * x[:, :1], 4)
    rule = find_rules(flat, toy_rows(np.zeros((1, 4))), "toy", reference=toy_rows(G.normal(size=(50, 4))), within=0.1)[
        0
    ]
    assert rule.conditions == ()
    assert rule.coverage == 1.0
    wild = ToyProgram(lambda x: (1e4 * x[:, :1]).sin(), 4)
    data = toy_rows(np.random.default_rng(1).normal(size=(200, 4)))
    lost = find_rules(wild, data.take(slice(0, 1)), "toy", reference=data, within=0.05, most=2)[0]
    assert not lost.found
    assert "no rule" in lost.text()
    assert json.loads(json.dumps(lost.to_json()))["found"] is False
    with pytest.raises(DataError, match="precision"):
        find_rules(flat, data, "toy", reference=data, precision=1.0)


def test_a_row_does_not_depend_on_its_company() -> None:
    both = find_rules(PROGRAM, TABLE.take(slice(0, 2)), "predict", reference=TABLE)
    one = find_rules(PROGRAM, TABLE.take(slice(1, 2)), "predict", reference=TABLE)
    assert both[1].to_json() == one[0].to_json()


def test_the_surrogate_of_a_small_tree_is_that_tree() -> None:
    found = fit_surrogate(PROGRAM, TABLE, "predict", leaves=4)
    assert found.agreement > 0.97
    assert found.r2.min() > 0.9
    granted = [leaf for leaf in found.leaves if leaf.decision == "granted"]
    assert all("job is full" in leaf.conditions for leaf in granted)
    said = " and ".join(granted[0].conditions)
    assert "job is full" in said
    assert "income >" in said
    assert sum(leaf.share for leaf in found.leaves) == pytest.approx(1.0)
    assert "job is full" in found.text()
    assert json.loads(json.dumps(found.to_json()))["kind"] == "surrogate"


def test_fidelity_is_judged_on_rows_held_out() -> None:
    """Of noise no tree can be faithful on rows that it has not seen, however well it fits its own."""
    noise = ToyProgram(lambda x: (1e6 * x[:, :1]).sin(), 3)
    data = toy_rows(np.random.default_rng(5).normal(size=(400, 3)))
    found = fit_surrogate(noise, data, "toy", leaves=30)
    assert found.r2[0] < 0.1
    assert np.isnan(found.agreement)
    with pytest.raises(DataError, match="no tree"):
        fit_surrogate(noise, data.take(slice(0, 10)), "toy")
