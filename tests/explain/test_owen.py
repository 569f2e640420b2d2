"""Owen values beside their definition, and a Gaussian process beside what it knows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pellucid.core.errors import DataError
from pellucid.core.schema import Field, Player, Schema
from pellucid.core.task import Task
from pellucid.explain import attribute
from pellucid.explain.exact import coalitions, exact_values
from pellucid.explain.game import Game
from pellucid.explain.gaussian import Process, different, gaussian_values
from pellucid.explain.owen import coins, halves, owen_values
from pellucid.testing.games import ToyProgram, toy_rows

TREE = [(0, 2, 5), (0, 1, 2), (2, 3, 5), (3, 4, 5)]


class Table:
    """A game given by its value on every coalition."""

    def __init__(self, d: int, seed: int, tree: list[tuple[int, int, int]] | None = None) -> None:
        if tree is not None:
            self.tree = tree
        self.worth = torch.from_numpy(np.random.default_rng(seed).normal(size=(2**d, 2)))
        self.schema = Schema((Field("w", "series", d),), {"t": (Field("a"), Field("b"))})
        self.tasks = {"t": Task("t", "regress", ("w",), ("a", "b"), "", "squared_error")}
        self.d = d

    def __call__(self, blocks, task):
        return self.worth[((blocks["w"] > 0.5).long() << torch.arange(self.d)).sum(1)]

    def game(self) -> Game:
        players = [Player(str(i), "w", slice(i, i + 1)) for i in range(self.d)]
        return Game(self, "t", {"w": torch.ones(1, self.d)}, {"w": torch.zeros(1, self.d)}, players)


def orders(tree, start: int, stop: int) -> list[list[int]]:
    """All orders in which the halves of every part come one after the other."""
    if stop - start == 1:
        return [[start]]
    middle = next(m for a, m, b in tree if (a, b) == (start, stop))
    pairs = list(itertools.product(orders(tree, start, middle), orders(tree, middle, stop)))
    return [[*a, *b] for a, b in pairs] + [[*b, *a] for a, b in pairs]


@pytest.mark.parametrize("tree", [TREE, None])
def test_owen_values_are_the_mean_over_the_orders_that_keep_parts_together(tree) -> None:
    program = Table(5, 1, tree)
    found = owen_values(program.game(), ["a"], evaluations=1000)
    every = orders(tree or halves(5), 0, 5)
    truth = np.zeros((5, 2))
    for order in every:
        code = 0
        for player in order:
            truth[player] += (program.worth[code | 1 << player] - program.worth[code]).numpy() / len(every)
            code |= 1 << player
    assert np.allclose(found.values[0], truth, atol=1e-12)
    assert not found.error.any()
    assert "no sampling error" in found.note
    assert np.allclose(found.values[0].sum(0), program.worth[-1] - program.worth[0])


def test_fewer_orders_are_unbiased_and_know_their_error() -> None:
    program = Table(16, 2)
    truth = owen_values(program.game(), ["a"], evaluations=10**6).values
    found = [owen_values(program.game(), ["a"], evaluations=100, seed=seed) for seed in range(200)]
    values = torch.stack([one.values for one in found])
    assert found[0].error.min() > 0
    spread = values.std(0) / len(found) ** 0.5
    assert (((values.mean(0) - truth).abs()) <= 5.0 * spread + 1e-9).all()
    covered = torch.stack([(one.values - truth).abs() < 1.96 * one.error for one in found]).double().mean()
    assert 0.88 < covered <= 1.0


def test_a_budget_is_kept() -> None:
    for budget in (40, 100, 200):
        game = Table(13, 3).game()
        owen_values(game, ["a"], evaluations=budget)
        assert game.evaluations <= budget + 2


def test_coins_are_balanced_and_mirrored() -> None:
    thrown = coins(5, 16, np.random.default_rng(0))
    assert np.array_equal(thrown[::2], 1 - thrown[1::2])
    signs = 2 * thrown - 1
    assert np.array_equal(signs.T @ signs, 16 * np.eye(5, dtype=int))
    assert len(np.unique(coins(4, 99, np.random.default_rng(0)), axis=0)) == 16


@pytest.mark.parametrize("process", [Process(0.1, 1.0), Process(0.4, 0.1)])
def test_the_values_of_a_process_are_those_of_enumeration(process: Process) -> None:
    d = 6
    masks = coalitions(d)
    z = 2.0 * masks.double() - 1.0
    program = Table(d, 0)
    covariance = process.covariance(z)
    program.worth = covariance[:, [5, 40]]
    truth = exact_values(program.game(), ["a"]).values[0]
    assert np.allclose(process.shapley(z)[:, [5, 40]], truth, atol=1e-6)
    columns = [exact_values(_with(program, covariance[:, [i, i]]), ["a"]).values[0, :, 0] for i in range(2**d)]
    twice = _with(program, torch.stack([column[2] for column in columns])[:, None].expand(-1, 2))
    assert np.isclose(process.variance(d), float(exact_values(twice, ["a"]).values[0, 2, 0]), rtol=1e-6)


def _with(program: Table, worth: torch.Tensor) -> Game:
    program.worth = worth
    return program.game()


def test_a_process_that_saw_all_coalitions_is_exact() -> None:
    program = Table(6, 4)
    found = gaussian_values(program.game(), ["a"], evaluations=100)
    assert np.allclose(found.values, exact_values(program.game(), ["a"]).values, atol=1e-4)


def test_a_process_adds_up_and_its_intervals_cover() -> None:
    d, generator = 10, np.random.default_rng(0)
    z = 2.0 * coalitions(d).numpy() - 1.0
    inside = []
    for seed in range(20):
        weights = generator.normal(size=(d, d)) / d
        triple = generator.choice(d, size=(12, 3))
        worth = np.tanh(z @ generator.normal(size=d) / 2) + np.einsum("ni,ij,nj->n", z, weights, z)
        worth = worth + (z[:, triple].prod(2) * generator.normal(size=12) * 0.1).sum(1)
        program = Table(d, seed)
        program.worth = torch.from_numpy(np.stack((worth, 2.0 * worth), axis=1))
        truth = exact_values(program.game(), ["a"]).values
        found = gaussian_values(program.game(), ["a"], evaluations=120, seed=seed)
        assert np.allclose(found.values[0].sum(0), found.prediction[0] - found.base, atol=1e-9)
        assert np.allclose(found.values[..., 1], 2.0 * found.values[..., 0], atol=1e-9)
        inside.append(((found.values - truth).abs() < 1.96 * found.error).double().mean())
    assert 0.88 < np.mean(inside) < 1.0


def test_too_many_players_for_a_process_are_refused() -> None:
    players = [Player(str(i), "w", slice(i, i + 1)) for i in range(2100)]
    program = Table(2, 0)
    program.schema = Schema((Field("w", "series", 2100),), program.schema.outputs)
    program.__class__.__call__, before = (lambda self, blocks, task: torch.zeros(len(blocks["w"]), 2)), Table.__call__
    try:
        game = Game(program, "t", {"w": torch.ones(1, 2100)}, {"w": torch.zeros(1, 2100)}, players)
        with pytest.raises(DataError, match="at most 4,096"):
            gaussian_values(game, ["a"])
    finally:
        Table.__call__ = before


def test_no_coalition_is_asked_twice_by_a_process() -> None:
    for d, most in ((6, 40), (6, 500), (30, 200)):
        masks = different(d, most, 3)
        assert len(masks) == min(most, 2**d - 2) == len(torch.unique(masks, dim=0))


@pytest.mark.parametrize("method", ["gaussian", "owen"])
def test_both_explain_any_program_against_many_background_rows(method: str) -> None:
    generator = np.random.default_rng(0)
    weights = torch.from_numpy(generator.normal(size=(4, 2)))
    program = ToyProgram(lambda x: x @ weights, 4, 2)
    x, background = generator.normal(size=(3, 4)), generator.normal(size=(7, 4))
    found = attribute(program, toy_rows(x), "toy", background=toy_rows(background), method=method, evaluations=400)
    truth = (x - background.mean(0))[:, :, None] * weights.numpy()
    assert np.allclose(found.values, truth, atol=1e-6)
    assert found.method.startswith(method)
