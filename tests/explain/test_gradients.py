"""Integrated and expected gradients: captum at a fixed seed, closed forms, and programs without gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import GradientShap, IntegratedGradients
from explained_programs import Mixed, rows
from torch import nn

from pellucid.core.errors import DataError
from pellucid.explain import Game, attribute
from pellucid.explain.gradients import expected_values, integrated_values
from pellucid.testing.games import ToyProgram, toy_rows


class Smooth(ToyProgram):
    """With gradients."""

    def differentiable(self, blocks, task):
        return self(blocks, task)


def _module(d: int, k: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d, 32), nn.Tanh(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, k)).double()


def _game(module, x, background):
    program = Smooth(module, x.shape[1], module(torch.from_numpy(x)).shape[1])
    blocks = [program.encode(toy_rows(a)) for a in (x, background)]
    return Game(program, "toy", *blocks, program.schema.players(program.tasks["toy"].inputs))


def test_integrated_gradients_are_captums():
    g = np.random.default_rng(0)
    module, x, background = _module(7, 3), g.normal(size=(5, 7)), g.normal(size=(20, 7))
    found = integrated_values(_game(module, x, background), list("abcde"), evaluations=2)
    theirs = IntegratedGradients(module)
    start = torch.from_numpy(background.mean(0, keepdims=True))
    for k in range(3):
        wanted = theirs.attribute(torch.from_numpy(x), start, target=k, n_steps=50)
        assert float((found.values[:, :, k] - wanted.detach()).abs().max()) < 1e-4
    gap = found.prediction - found.base - found.values.sum(1)
    assert float(gap.abs().max()) < 1e-6  # completeness
    assert float(found.error.max()) < 1e-4


def test_expected_gradients_agree_with_captums_within_error():
    g = np.random.default_rng(1)
    module, x, background = _module(6, 2), g.normal(size=(4, 6)), g.normal(size=(25, 6))
    found = expected_values(_game(module, x, background), list("abcd"), evaluations=25 * 80, seed=0)
    torch.manual_seed(0)
    theirs = GradientShap(module)
    draws = 20
    for k in range(2):
        runs = torch.stack(
            [
                theirs.attribute(torch.from_numpy(x), torch.from_numpy(background), n_samples=400, target=k).detach()
                for _ in range(draws)
            ]
        )
        error = torch.hypot(found.error[:, :, k], runs.std(0) / draws**0.5)
        assert float(((found.values[:, :, k] - runs.mean(0)) / error).abs().max()) < 4.5


def test_expected_gradients_errors_tell_the_truth():
    g = np.random.default_rng(2)
    module, x, background = _module(5, 1), g.normal(size=(16, 5)), g.normal(size=(25, 5))
    game, keys = _game(module, x, background), [f"row{i}" for i in range(16)]
    truth = expected_values(game, keys, evaluations=25 * 200, seed=99).values
    runs = [expected_values(game, keys, evaluations=25 * 4, seed=s) for s in range(8)]
    off, error = torch.stack([r.values for r in runs]) - truth, torch.stack([r.error for r in runs])
    assert 0.92 < float((off.abs() <= 1.96 * error).double().mean()) <= 1.0
    assert 0.9 < float((error.square().mean() / off.square().mean()).sqrt()) < 1.5
    short = torch.stack([r.prediction - r.base - r.values.sum(1) for r in runs])
    assert float(short.abs().mean()) < 3 * float(error.mean()) * 5**0.5  # adds up within the errors


def test_a_product_is_halved_and_columns_of_a_field_add_up():
    """x0 x1 from zero: each gets half; a linear program gets w (x - mean) by either method, summed over a field."""
    product = Smooth(lambda z: z[:, :1] * z[:, 1:2], 2)
    found = attribute(
        product,
        toy_rows(np.array([[2.0, 3.0]])),
        "toy",
        background=toy_rows(np.zeros((4, 2))),
        method="integrated_gradients",
    )
    assert found.values[0, :, 0] == pytest.approx([3.0, 3.0])

    class Linear(Mixed):
        def differentiable(self, blocks, task):
            return super().__call__(blocks, task)

    x, background = rows(3), rows(10, seed=1)
    exact = attribute(Mixed(), x, "risk", background=background, method="exact")
    for method in ("integrated_gradients", "expected_gradients"):
        slopes = attribute(Linear(), x, "risk", background=background, method=method)
        assert slopes.values == pytest.approx(exact.values, abs=1e-5)
        assert slopes.players == exact.players


def test_a_program_without_gradients_is_told():
    with pytest.raises(DataError, match="no gradients"):
        attribute(Mixed(), rows(2), "risk", background=rows(9, seed=1), method="expected_gradients")
