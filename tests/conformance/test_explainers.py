"""Every explainer keeps the axioms; explainers that do not are caught."""

from __future__ import annotations

import pytest
import torch

from pellucid.explain import Estimate
from pellucid.explain.attribution import SHAPLEY
from pellucid.explain.exact import exact_values
from pellucid.explain.permutation import permutation_values
from pellucid.testing.explainer import check_explainer


@pytest.mark.parametrize("name", SHAPLEY)
@pytest.mark.parametrize("seed", [0, 1])
def test_all(name, seed):
    check_explainer(SHAPLEY[name], seed=seed)


def _broken(change, explainer=permutation_values):
    def wrong(game, keys, *, evaluations, seed, progress=None):
        return change(explainer(game, keys, evaluations=evaluations, seed=seed), game)

    return wrong


def _replace(**changes):
    def change(estimate: Estimate, game) -> Estimate:
        return estimate._replace(**{name: make(estimate, game) for name, make in changes.items()})

    return change


def _same_orders(game, keys, *, evaluations, seed, progress=None):
    """Repeats one permutation: exact for additive games only, yet its passes agree."""
    return permutation_values(game, [f"{key}" for key in keys], evaluations=evaluations, seed=0)


@pytest.mark.parametrize(
    ("explainer", "complaint"),
    [
        (_broken(_replace(values=lambda e, g: e.values * 1.02)), "linear: off|efficiency"),
        (_broken(_replace(values=lambda e, g: e.values * 1.0001), exact_values), "off by"),
        (_broken(_replace(values=lambda e, g: e.values.roll(1, dims=1)), exact_values), "off by"),
        (_broken(_replace(error=lambda e, g: e.error * 4)), "cover|times"),
        (_broken(_replace(error=lambda e, g: e.error / 1.5)), "off by|symmetry|cover|times"),
        (_broken(_replace(base=lambda e, g: e.base + 0.1)), "base"),
        (_broken(_replace(prediction=lambda e, g: e.prediction + 0.1)), "prediction"),
        (_broken(_replace(values=lambda e, g: e.values + 1e-3 * torch.rand_like(e.values))), "off by|dummy|efficiency"),
        (_same_orders, "another seed gives the same values"),
    ],
)
def test_broken_explainers_are_caught(explainer, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_explainer(explainer)


def test_company_and_unequal_use_are_caught():
    def positional(game, keys, *, evaluations, seed, progress=None):
        return permutation_values(
            game, [f"{i}/{len(keys)}" for i in range(len(keys))], evaluations=evaluations, seed=seed
        )

    def greedy(game, keys, *, evaluations, seed, progress=None):
        if game.n:
            game(torch.zeros(1, game.d, dtype=torch.bool), torch.tensor([0]))
        return permutation_values(game, keys, evaluations=evaluations, seed=seed)

    with pytest.raises(AssertionError, match="explained with it"):
        check_explainer(positional)
    with pytest.raises(AssertionError, match="unequally"):
        check_explainer(greedy)
