"""Weighted regression: exact when it enumerates, unbiased with honest errors when it draws; conditional values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from explained_programs import Mixed, rows

from pellucid.core.errors import DataError
from pellucid.explain import Game, attribute
from pellucid.explain.exact import exact_values
from pellucid.explain.permutation import permutation_values
from pellucid.explain.regression import plan, regression_values
from pellucid.testing.games import ToyProgram, brute_force, network, toy_rows

KEYS = [f"row{i}" for i in range(40)]


def _game(function, x, background, value="interventional"):
    k = function(torch.from_numpy(background[:1])).shape[1]
    program = ToyProgram(function, x.shape[1], k)
    players = program.schema.players(program.tasks["toy"].inputs)
    blocks = [program.encode(toy_rows(a)) for a in (x, background)]
    return Game(program, "toy", *blocks, players, value)


@pytest.mark.parametrize("d", [2, 3, 9, 30, 64])
@pytest.mark.parametrize("most", [1, 300, 3000])
def test_plans_weigh_every_size_as_the_kernel_does(d, most):
    found = plan(d, most, seed=0)
    assert float(found.weights.sum()) == pytest.approx(1.0)
    sizes = found.masks.sum(1)
    assert 1 <= int(sizes.min()) <= int(sizes.max()) <= d - 1
    kernel = np.array([1 / (s * (d - s)) for s in range(1, d)])
    wanted = kernel / kernel.sum()
    mass = np.bincount(sizes.numpy(), found.weights.numpy(), minlength=d)[1:]
    whole = np.bincount(sizes[: len(sizes) - 2 * found.drawn].numpy(), minlength=d)[1:] > 0
    assert mass[whole] == pytest.approx(wanted[whole])  # enumerated sizes have exactly their weight
    assert mass == pytest.approx(mass[::-1])  # pairs
    if found.drawn:
        assert torch.equal(found.masks[-2], ~found.masks[-1])
        assert np.abs(mass - wanted).max() < 6 * (found.share / found.drawn) ** 0.5
    else:
        assert len(found.masks) == 2**d - 2


def test_enumeration_equals_brute_force():
    g = np.random.default_rng(0)
    for d in (2, 5, 6):
        function = network(g, d, 2)
        x, background = g.normal(size=(3, d)), g.normal(size=(7, d))
        found = regression_values(_game(function, x, background), KEYS[:3], evaluations=10**6)
        assert np.abs(found.values.numpy() - brute_force(function, x, background)).max() < 1e-10
        assert float(found.error.max()) == 0.0


def test_draws_are_unbiased_and_their_intervals_cover():
    """14 players, 2 outputs, 20 rows, 30 seeds: 560 values a seed, against the enumeration of all 2^14 coalitions."""
    g = np.random.default_rng(0)
    function, x, background = network(g, 14, 2), g.normal(size=(20, 14)), g.normal(size=(3, 14))
    truth = regression_values(_game(function, x, background), KEYS[:20], evaluations=2**14 * 3).values
    game = _game(function, x, background)
    runs = [regression_values(game, KEYS[:20], evaluations=400 * 3, seed=s) for s in range(30)]
    off = torch.stack([r.values for r in runs]) - truth
    error = torch.stack([r.error for r in runs])
    assert bool((error > 0).all())
    bias = off.mean(0) / (off.std(0) / len(runs) ** 0.5)
    assert float(bias.square().mean().sqrt()) < 1.25
    assert 0.92 < float((off.abs() <= 1.96 * error).double().mean()) < 0.97
    assert 0.9 < float((error.square().mean() / off.square().mean()).sqrt()) < 1.1
    walked = permutation_values(game, KEYS[:20], evaluations=4000, seed=0)  # the independent check
    z = (walked.values - runs[0].values) / torch.hypot(walked.error, runs[0].error)
    assert float(z.square().mean().sqrt()) < 1.3
    assert float((runs[0].values.sum(1) - runs[0].prediction + runs[0].base).abs().max()) < 1e-9


def test_conditional_values_by_their_definition():
    """Recomputed coalition by coalition with numpy alone."""
    g = np.random.default_rng(1)
    x, background = g.normal(size=(2, 4)), g.normal(size=(40, 4)) * [1, 5, 1, 0.1]
    function = network(g, 4, 1)
    game = _game(function, x, background, "conditional")
    sd = background.std(0, ddof=1)
    for code in range(1, 15):
        mask = np.array([code >> i & 1 for i in range(4)], dtype=bool)
        distance = (np.square((background - x[1]) / sd) * mask).sum(1)
        near = np.argsort(distance, kind="stable")[:6]
        wanted = function(torch.from_numpy(np.where(mask, x[1], background[near]))).mean(0)
        torch.testing.assert_close(game.worth(torch.from_numpy(mask)[None], 1)[0], wanted)
    exact = exact_values(game, KEYS[:2])
    drawn = regression_values(game, KEYS[:2], evaluations=10**6)
    torch.testing.assert_close(exact.values, drawn.values)
    assert "nearest" in exact.note


def test_conditional_values_share_what_copies_say():
    """Of two equal columns the program reads one: interventional gives all to it, conditional about half to each."""
    g = np.random.default_rng(2)
    column = g.normal(size=(400, 1))
    background, x = np.hstack([column, column, g.normal(size=(400, 1))]), np.array([[2.0, 2.0, 0.0]])
    program = ToyProgram(lambda z: z[:, :1], 3)
    by = {
        value: attribute(program, toy_rows(x), "toy", background=toy_rows(background), value=value).values[0, :, 0]
        for value in ("interventional", "conditional")
    }
    assert by["interventional"][1] == 0.0
    assert by["conditional"][:2] == pytest.approx([1.0, 1.0], abs=0.15)


def test_auto_and_what_cannot_be_conditional():
    e = attribute(Mixed(), rows(2), "forecast", background=rows(20, seed=1), value="conditional", method="auto")
    assert e.value == "conditional"
    assert e.to_json()["value"] == "conditional"
    with pytest.raises(DataError, match="interventional value alone"):
        attribute(Mixed(), rows(2), "forecast", background=rows(20, seed=1), value="conditional", method="permutation")
    wide = ToyProgram(lambda z: z.sum(1, keepdim=True), 13)
    x = toy_rows(np.random.default_rng(0).normal(size=(30, 13)))
    assert attribute(wide, x.take(slice(0, 1)), "toy", background=x, value="conditional").method.startswith(
        "regression"
    )
    with pytest.raises(DataError, match="at least 2 background rows"):
        attribute(wide, x, "toy", background=x.take(slice(0, 1)), value="conditional")
