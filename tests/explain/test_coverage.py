"""Nominal 95 % intervals cover, on tables, digits and boosted trees, from one pass over the background on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

from pellucid.explain import Game
from pellucid.explain.exact import exact_values
from pellucid.explain.permutation import TWICE, passes_for, permutation_values
from pellucid.nn.foreign import wrap
from pellucid.testing.games import ToyProgram, network, toy_rows


def _toy(function, x, background, k=1):
    program = ToyProgram(function, x.shape[1], k)
    blocks = [program.encode(toy_rows(a)) for a in (x, background)]
    return Game(program, "toy", *blocks, program.schema.players(program.tasks["toy"].inputs))


def _passes(game, passes, seed=0):
    keys = [f"row{i}" for i in range(game.n)]
    budget = passes * game.b * 2 * (game.d - 1)
    return permutation_values(game, keys, evaluations=budget, seed=seed)


def _covered(found, truth, times=1.96):
    return float(((found.values - truth).abs() <= times * found.error + 1e-12).double().mean())


@pytest.fixture
def few_players(monkeypatch):
    """One pass although there are few players, so that the truth can be enumerated."""
    monkeypatch.setattr("pellucid.explain.permutation.MANY", 0)


def test_one_pass_is_unbiased_and_tells_its_error(few_players):
    """40 rows, 6 players, 2 outputs, 30 seeds, against enumeration."""
    g = np.random.default_rng(0)
    game = _toy(network(g, 6, 2), g.normal(size=(40, 6)), g.normal(size=(40, 6)), 2)
    assert passes_for(1, game.b, game.d) == 1
    keys = [f"row{i}" for i in range(game.n)]
    truth = exact_values(game, keys).values
    runs = [_passes(game, 1, seed) for seed in range(30)]
    off, error = torch.stack([r.values for r in runs]) - truth, torch.stack([r.error for r in runs])
    bias = off.mean(0) / (off.std(0) / len(runs) ** 0.5)
    assert float(bias.square().mean().sqrt()) < 1.25
    assert 0.92 < float((off.abs() <= 1.96 * error).double().mean()) < 0.98
    assert 0.95 < float((error.square().mean() / off.square().mean()).sqrt()) < 1.25
    assert float((runs[0].prediction - runs[0].base - runs[0].values.sum(1)).abs().max()) < 1e-12


@pytest.mark.parametrize(("passes", "d"), [(2, 5), (2, 6), (2, 8), (4, 6)])
def test_errors_of_pairs_of_passes_are_right(passes, d):
    """Against enumeration, 12 rows, 2 outputs, 20 seeds: neither too small nor much too large; half of them is."""
    g = np.random.default_rng(d)
    game = _toy(network(g, d, 2), g.normal(size=(12, d)), g.normal(size=(40, d)), 2)
    truth = exact_values(game, [f"row{i}" for i in range(game.n)]).values
    runs = [_passes(game, passes, seed) for seed in range(20)]
    off, error = torch.stack([r.values for r in runs]) - truth, torch.stack([r.error for r in runs])
    covered, half = (float((off.abs() <= times * error).double().mean()) for times in (1.96, 0.98))
    assert 0.90 <= covered <= 0.98, covered
    assert half < 0.85
    assert 0.95 < float((error.square().mean() / off.square().mean()).sqrt()) < 1.5


def test_axioms_of_one_pass(few_players):
    g = np.random.default_rng(1)
    x, background = g.normal(size=(3, 5)), g.normal(size=(35, 5))
    x[:, 3], background[:, 3] = 7.0, 7.0  # the same everywhere: nothing to gain, and nothing to err about
    one, two = network(g, 4, 1), network(g, 5, 1)
    f, h, both = (
        _passes(_toy(function, x, background), 1)
        for function in (lambda z: one(z[:, :4]), two, lambda z: 2.0 * one(z[:, :4]) - two(z))
    )
    assert float(f.values[:, 4].abs().max()) < 1e-12  # a dummy
    assert float(h.error[:, 3].abs().max()) == float(h.values[:, 3].abs().max()) == 0.0
    assert torch.allclose(both.values, 2.0 * f.values - h.values, atol=1e-12)
    linear = _passes(_toy(lambda z: z.sum(1, keepdim=True), x, background), 1)
    assert float(linear.error.max()) < 1e-12
    assert f"{TWICE} of them walked twice" in linear.note


def _foreign(name):
    load, model = {
        "boosting": (load_breast_cancer, GradientBoostingClassifier(n_estimators=60, random_state=0)),
        "table": (load_breast_cancer, MLPClassifier((32,), max_iter=60, random_state=0)),
        "digits": (load_digits, MLPClassifier((32,), max_iter=30, random_state=0)),
    }[name]
    data = load()
    x = (data.data - data.data.mean(0)) / np.where(data.data.std(0) > 0, data.data.std(0), 1.0)
    program = wrap(model.fit(x[150:], data.target[150:]), inputs=[f"x{i}" for i in range(x.shape[1])], task="t")
    rows, background = ({n: torch.from_numpy(x[at, i : i + 1]) for i, n in enumerate(program.schema.names)}
                        for at in (slice(0, 12), slice(150, 250)))  # fmt: skip
    return Game(program, "t", rows, background, program.schema.players(program.schema.names))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["table", "digits", "boosting"])
def test_intervals_cover_what_a_long_run_says(name):
    """720 values or more, and the control: intervals half as wide are noticed."""
    game = _foreign(name)
    truth = _passes(game, 64, seed=99).values
    assert truth.numel() >= 720
    for passes in (1, 2, 4):
        found = _passes(game, passes)
        assert 0.90 <= _covered(found, truth) <= 0.985, passes  # of 720 values on one seed, half of them independent
        assert _covered(found, truth, 0.98) < 0.87, passes
