"""Shapley weights, closed forms, and what a budget buys."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from explained_programs import Mixed, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.errors import DataError
from pellucid.explain import attribute
from pellucid.explain.exact import coalitions, shapley_values, shapley_weights
from pellucid.explain.permutation import passes_for
from pellucid.testing.games import ToyProgram, toy_rows


@pytest.mark.parametrize("d", [1, 2, 5, 10])
def test_weights_of_known_games(d):
    masks = coalitions(d)
    weights = shapley_weights(d)
    assert weights.dtype == torch.float64
    unanimity = masks.all(1).double()  # worth 1 only together: 1/d each
    assert torch.allclose(weights @ unanimity, torch.full((d,), 1 / d, dtype=torch.float64), atol=1e-15)
    power = torch.arange(1.0, d + 1, dtype=torch.float64)
    assert torch.allclose(weights @ (masks.double() @ power), power, atol=1e-12)  # additive: each its own
    assert torch.allclose(weights.sum(1), torch.zeros(d, dtype=torch.float64), atol=1e-14)
    worth = torch.rand(2**d, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(d))
    assert torch.allclose(shapley_values(worth), weights @ worth, atol=1e-14)
    worth[masks[:, -1]] = worth[~masks[:, -1]]  # the last player adds nothing
    assert shapley_values(worth)[-1].tolist() == [0.0, 0.0]


def test_the_glove_game():
    """Players 0, 1 own a left glove, 2 a right one; a pair is worth 1: 1/6, 1/6, 2/3 (a textbook example)."""
    masks = coalitions(3)
    worth = ((masks[:, 0] | masks[:, 1]) & masks[:, 2]).double()
    expected = torch.tensor([1 / 6, 1 / 6, 2 / 3], dtype=torch.float64)
    assert torch.allclose(shapley_weights(3) @ worth, expected, atol=1e-15)


def test_linear_closed_form_at_float64_precision():
    """phi_i = w_i (x_i - mean of the background) in the marginal game."""
    g = np.random.default_rng(0)
    x, background, w = g.normal(size=(3, 6)), g.normal(size=(9, 6)), g.normal(size=(6, 2))
    program = ToyProgram(lambda z: z @ torch.from_numpy(w), 6, 2)
    truth = (x - background.mean(0))[:, :, None] * w
    for method in ("exact", "permutation"):
        found = attribute(program, toy_rows(x), "toy", background=toy_rows(background), method=method)
        assert np.abs(found.values - truth).max() < 1e-12
        assert found.error.max() < 1e-12
        assert np.abs(found.residual).max() < 1e-12


@settings(max_examples=25, deadline=None)
@given(d=st.integers(1, 7), b=st.integers(1, 9), n=st.integers(0, 3), seed=st.integers(0, 99))
def test_values_add_up_whatever_the_sizes(d, b, n, seed):
    g = np.random.default_rng(seed)
    w = torch.from_numpy(g.normal(size=(d, 3)))
    program = ToyProgram(lambda z: torch.sin(z @ w).cumprod(1), d, 3)
    background = toy_rows(g.normal(size=(b, d)))
    rows_ = toy_rows(g.normal(size=(n, d)))
    for method in ("exact", "permutation"):
        found = attribute(program, rows_, "toy", background=background, method=method, evaluations=1, seed=seed)
        assert found.values.shape == found.error.shape == (n, d, 3)
        assert np.abs(found.residual).max(initial=0.0) < 1e-12


def test_budget_and_least_number_of_passes():
    assert passes_for(0, 100, 30) == 1
    assert passes_for(11_599, 100, 30) == 1
    assert passes_for(11_600, 100, 30) == 2
    assert passes_for(0, 100, 29) == 2  # few players: the error of one pass was too small on policies
    assert passes_for(0, 29, 30) == 2  # too few background rows to tell an error from one pass
    assert passes_for(8000, 100, 11) == 4
    assert passes_for(0, 1, 5) == 42  # few background rows: more passes, else the error has no meaning
    assert passes_for(1000, 10, 1) == 50
    assert passes_for(1399, 10, 11) == 6  # passes come in pairs
    program = Mixed()
    two = attribute(program, rows(3), "forecast", background=rows(20, seed=1), method="permutation", evaluations=0)
    many = attribute(program, rows(3), "forecast", background=rows(20, seed=1), method="permutation", evaluations=8000)
    equal = sum(int((rows(20, seed=1).fields["sector"] == own).sum()) for own in rows(3).fields["sector"])
    walked = 3 * 20 * 2 * 5 - equal * 2  # steps between the ends, of a pass; a sector that is the same is not walked
    assert two.evaluations == 2 * walked + 20 + 3 + 16  # 16 are asked twice, to see whether the program repeats itself
    assert many.evaluations == 40 * walked + 20 + 3 + 16
    ratio = two.error.mean() / many.error.mean()
    assert 4.0 < ratio < 8.0  # sqrt(20) = 4.5, times what one pair of passes overstates


def test_permutations_agree_with_enumeration_on_series_and_categories():
    program = Mixed()
    exact = attribute(program, rows(6), "forecast", background=rows(25, seed=1), method="exact")
    sampled = attribute(program, rows(6), "forecast", background=rows(25, seed=1), method="permutation", seed=2)
    z = (sampled.values - exact.values) / sampled.error
    assert 0.7 < np.sqrt(np.square(z).mean()) < 1.4
    assert exact.error.max() == 0.0


def test_too_many_players_for_enumeration():
    program = ToyProgram(lambda z: z.sum(1, keepdim=True), 13)
    one = toy_rows(np.zeros((1, 13)))
    with pytest.raises(DataError, match="13 players"):
        attribute(program, one, "toy", background=one, method="exact")
    assert attribute(program, one, "toy", background=one).method.startswith("permutation")


def test_progress_is_told_up_to_the_end():
    for method in ("exact", "permutation"):
        told: list[tuple[int, int]] = []

        def progress(done, total, told=told):
            told.append((done, total))

        attribute(Mixed(), rows(5), "forecast", background=rows(30, seed=1), method=method, progress=progress)
        assert told[-1] == (5, 5)
        assert told == sorted(told)
