"""Dependence, interactions, importance: closed forms, published games, scikit-learn's numbers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from explained_programs import Mixed, rows
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.inspection import partial_dependence as sklearn_dependence
from sklearn.inspection import permutation_importance as sklearn_importance

from pellucid.core.errors import DataError, SchemaError
from pellucid.explain import (
    accumulated_effects,
    attribute,
    pair_interactions,
    partial_dependence,
    permutation_importance,
    shapley_importance,
)
from pellucid.nn.foreign import wrap
from pellucid.testing.games import ToyProgram, network, toy_rows

DATA = np.random.default_rng(0).normal(size=(400, 4))


@pytest.fixture(scope="module")
def boosted():
    y = DATA[:, 0] + np.square(DATA[:, 1]) + DATA[:, 0] * DATA[:, 2] + 0.1 * np.random.default_rng(1).normal(size=400)
    model = GradientBoostingRegressor(n_estimators=40, random_state=0).fit(DATA, y)
    program = wrap(model, inputs=["a", "b", "c", "d"])
    return model, program, program.rows(pd.DataFrame(DATA, columns=["a", "b", "c", "d"])), y


def test_partial_dependence_and_its_curves_are_scikit_learns(boosted) -> None:
    model, program, table, _ = boosted
    theirs = sklearn_dependence(model, DATA, [1], kind="both", method="brute", grid_resolution=20)
    ours = partial_dependence(program, table, "predict", "b", grid=theirs["grid_values"][0])
    assert np.abs(ours.values[:, 0] - theirs["average"][0]).max() < 1e-12
    average = ours.curves[:, :, 0].mean(0)
    assert len(ours.curves) == 200
    individual = theirs["individual"][0]
    assert all(any(np.allclose(curve, one) for one in individual) for curve in ours.curves[:5, :, 0])
    assert average == pytest.approx(ours.values[:, 0], abs=6 * ours.error.max())
    assert partial_dependence(program, table, "predict", "b").grid[[0, -1]] == pytest.approx(
        np.quantile(DATA[:, 1], [0.05, 0.95])
    )


def test_accumulated_effects_are_exact() -> None:
    """Of a linear program its slope; of a product of correlated fields the slope E[y | x]."""
    linear = accumulated_effects(ToyProgram(lambda x: 3.0 * x[:, :1] + x[:, 1:2].exp(), 4), toy_rows(DATA), "toy", "x0")
    assert np.diff(linear.values[:, 0]) == pytest.approx(3.0 * np.diff(linear.grid))
    assert linear.error.max() < 1e-12
    g = np.random.default_rng(2)
    first = g.normal(size=20_000)
    pair = np.stack([first, 0.8 * first + 0.6 * g.normal(size=20_000)], axis=1)
    product = accumulated_effects(ToyProgram(lambda x: x[:, :1] * x[:, 1:2], 2), toy_rows(pair), "toy", "x0")
    closed = 0.4 * (np.square(product.grid) - 1.0)  # the integral of 0.8 x, centred
    inner = slice(1, -1)
    assert np.abs(product.values[inner, 0] - closed[inner]).max() < 0.1
    plain = partial_dependence(ToyProgram(lambda x: x[:, :1] * x[:, 1:2], 2), toy_rows(pair), "toy", "x0")
    assert np.abs(plain.values).max() < 0.05  # which partial dependence does not see
    count = np.histogram(pair[:, 0], product.grid)[0]
    middle = 0.5 * (product.values[1:, 0] + product.values[:-1, 0])
    assert abs(count @ middle) / count.sum() < 1e-3


def test_accumulated_effects_errors_cover() -> None:
    """Over 60 samples of a noisy slope, nine in ten of the 95 % intervals at least hold the truth."""
    inside = []
    for seed in range(60):
        x = np.random.default_rng([7, seed]).normal(size=(300, 2))
        found = accumulated_effects(ToyProgram(lambda z: z[:, :1] * z[:, 1:2], 2), toy_rows(x), "toy", "x0", bins=10)
        inside.append(np.abs(found.values[:, 0]) <= 1.96 * found.error[:, 0])
    assert 0.88 < np.mean(inside) < 0.99


def test_categories_and_wide_fields() -> None:
    frame = pd.DataFrame({"a": DATA[:, 0], "city": np.where(DATA[:, 1] > 0, "Graz", "Linz")})
    program = wrap(lambda x: x[:, 0].astype(float) + 2.0 * (x[:, 1] == "Graz"), inputs=frame)
    table = program.rows(frame)
    found = partial_dependence(program, table, "predict", "city")
    assert found.words == ("Graz", "Linz")
    assert found.values[0, 0] - found.values[1, 0] == pytest.approx(2.0)
    assert found.seen.sum() == pytest.approx(1.0)
    assert "Graz" in found.text()
    with pytest.raises(SchemaError, match="no order"):
        accumulated_effects(program, table, "predict", "city")
    with pytest.raises(SchemaError, match="no category"):
        partial_dependence(program, table, "predict", "city", grid=["Graaz"])
    with pytest.raises(SchemaError, match="no field"):
        partial_dependence(program, table, "predict", "citty")
    with pytest.raises(SchemaError, match="has 2 values"):
        partial_dependence(Mixed(), rows(20), "forecast", "return")
    newest = partial_dependence(Mixed(), rows(20), "risk", "return[t]", grid=[0.0, 1.0])
    assert newest.values[1, 0] - newest.values[0, 0] == pytest.approx(1.0, abs=1e-5)
    assert json.loads(json.dumps(newest.to_json()))["kind"] == "dependence"
    assert len(newest.to_frame()) == 2
    constant = toy_rows(np.ones((30, 2)))
    with pytest.raises(DataError, match="fewer than two"):
        accumulated_effects(ToyProgram(lambda x: x[:, :1], 2), constant, "toy", "x0")


def pairs(function, d, x, background, **options):
    program = ToyProgram(function, d)
    return pair_interactions(program, toy_rows(x), "toy", background=toy_rows(background), **options)


def test_interactions_of_known_games() -> None:
    """A product of two fields against a zero background: the pair has it all. The 3-player majority game (every pair 0
    after 1/2 - 1/2) and the unanimity game of three (1/2 each; Grabisch & Roubens 1999)."""
    one, zero = np.ones((1, 4)), np.zeros((1, 4))
    product = pairs(lambda x: 6.0 * x[:, :1] * x[:, 1:2] + x[:, 2:3], 4, one, zero).values[0, ..., 0]
    assert product[0, 1] == pytest.approx(6.0)
    assert np.abs(product).sum() == pytest.approx(12.0)
    unanimity = pairs(lambda x: x[:, :1] * x[:, 1:2] * x[:, 2:3], 3, one[:, :3], zero[:, :3]).values[0, ..., 0]
    assert unanimity[np.triu_indices(3, 1)] == pytest.approx([0.5, 0.5, 0.5])
    majority = pairs(lambda x: (x.sum(1, keepdim=True) >= 2).double(), 3, one[:, :3], zero[:, :3]).values[0, ..., 0]
    assert majority[np.triu_indices(3, 1)] == pytest.approx([0.0, 0.0, 0.0])


def test_interactions_by_brute_force_and_by_sampling() -> None:
    """The definition, coalition by coalition; and the sampled estimate of 11 players within its errors of it."""
    from itertools import combinations
    from math import factorial

    g = np.random.default_rng(3)
    d = 5
    function, x, background = network(g, d, 1), g.normal(size=(1, d)), g.normal(size=(6, d))

    def worth(coalition):
        mixed = background.copy()
        mixed[:, list(coalition)] = x[0, list(coalition)]
        return float(function(torch.from_numpy(mixed)).mean())

    found = pairs(function, d, x, background).values[0, ..., 0]
    for i, j in combinations(range(d), 2):
        others = [p for p in range(d) if p not in (i, j)]
        total = 0.0
        for size in range(d - 1):
            weight = factorial(size) * factorial(d - size - 2) / factorial(d - 1)
            for s in combinations(others, size):
                total += weight * (worth((*s, i, j)) - worth((*s, i)) - worth((*s, j)) + worth(s))
        assert found[i, j] == pytest.approx(total, abs=1e-10)
        assert found[j, i] == found[i, j]
    wide, background = g.normal(size=(1, 11)), g.normal(size=(8, 11))

    def quadratic(z):  # exactly second order, so that the index is the product against the background's mean
        return 2.0 * z[:, :1] * z[:, 4:5] - z[:, 1:2] * z[:, 2:3] + z[:, 10:]

    sampled = pairs(quadratic, 11, wide, background, passes=40)
    apart = wide[0] - background
    exact = np.zeros((11, 11))
    exact[0, 4] = exact[4, 0] = 2.0 * (apart[:, 0] * apart[:, 4]).mean()
    exact[1, 2] = exact[2, 1] = -(apart[:, 1] * apart[:, 2]).mean()
    assert sampled.values[0, ..., 0] == pytest.approx(exact, abs=1e-9)  # of second order: no noise at all
    steep = pairs(network(g, 11, 1), 11, wide, background, passes=30, seed=1)
    again = pairs(network(np.random.default_rng(5), 11, 1), 11, wide, background, passes=30)
    assert steep.error.max() > 0
    assert "x" in again.text()
    assert len(again.to_frame()) == 55


def test_sampled_interactions_are_unbiased_and_their_errors_honest(monkeypatch) -> None:
    g = np.random.default_rng(4)
    function, x, background = network(g, 4, 1), g.normal(size=(1, 4)), g.normal(size=(5, 4))
    exact = pairs(function, 4, x, background).values[0, ..., 0]
    monkeypatch.setattr("pellucid.explain.interactions.EXACT", 0)
    many = [pairs(function, 4, x, background, passes=10, seed=s) for s in range(60)]
    values = np.stack([m.values[0, ..., 0] for m in many])
    upper = np.triu_indices(4, 1)
    assert np.abs(values.mean(0) - exact)[upper] == pytest.approx(0, abs=4 * (values.std(0)[upper] / 60**0.5).max())
    ratio = values.std(0, ddof=1)[upper] / np.sqrt(np.mean([np.square(m.error[0, ..., 0]) for m in many], 0))[upper]
    assert ratio == pytest.approx(1.0, abs=0.35)


def test_permutation_importance_is_scikit_learns_in_expectation(boosted) -> None:
    model, program, table, y = boosted
    ours = permutation_importance(
        program, table, "predict", loss=lambda out: np.square(out[:, 0] - y), unit="squared", repeats=30
    )
    theirs = sklearn_importance(model, DATA, y, scoring="neg_mean_squared_error", n_repeats=30, random_state=0)
    mine = dict(zip(ours.players, ours.values, strict=True))
    noise = 4 * theirs.importances_std.max() * (2 / 30) ** 0.5
    for i, name in enumerate(["a", "b", "c", "d"]):
        assert mine[name] == pytest.approx(theirs.importances_mean[i], abs=noise)
    assert ours.players[-1] == "d"
    assert list(ours.values) == sorted(ours.values, reverse=True)
    closed = permutation_importance(
        ToyProgram(lambda x: 2.0 * x[:, :1], 4), toy_rows(DATA), "toy", repeats=40,
        loss=lambda out: np.square(out[:, 0] - 2.0 * DATA[:, 0]),
    )  # fmt: skip
    assert closed.values[0] == pytest.approx(8.0 * DATA[:, 0].var(), rel=0.05)  # 2 w² var(x)
    assert closed.values[1:] == pytest.approx([0.0, 0.0, 0.0])
    with pytest.raises(DataError, match="loss"):
        permutation_importance(program, table, "predict", loss=lambda out: out)
    assert "rise of the loss" in ours.text()
    groups = permutation_importance(Mixed(), rows(30), "risk", loss=lambda out: np.abs(out[:, 0]), grain="group")
    assert set(groups.players) == {"return[t]", "return[t-1..]", "level"}


def test_shapley_importance_is_the_mean_size() -> None:
    program = ToyProgram(lambda x: x @ torch.tensor([[1.0], [-3.0], [0.0]], dtype=torch.float64), 3)
    x = DATA[:50, :3]
    found = shapley_importance(attribute(program, toy_rows(x), "toy", background=toy_rows(DATA[:, :3])))
    assert found.players[:2] == ("x1", "x0")
    assert found.values[0] == pytest.approx(3.0 * np.abs(x[:, 1] - DATA[:, 1].mean()).mean())
    assert found.error[0] == pytest.approx(3.0 * np.abs(x[:, 1] - DATA[:, 1].mean()).std(ddof=1) / 50**0.5)
    assert list(found.to_frame().columns) == ["player", "value", "error"]
