"""Losses against closed forms and torch's own."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pellucid.core.task import Task
from pellucid.nn.losses import log_loss, loss_of, pinball, qlike, squared


def test_pinball_by_hand():
    z, target = torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([3.0, 0.0])
    # above: q * (y - z): (.1*2 + .9*1) / 2; below: (1 - q) * (z - y): (.9*1 + .1*2) / 2
    found = pinball(z, target, torch.tensor([0.1, 0.9]))
    torch.testing.assert_close(found, torch.tensor([0.55, 0.55]))


@pytest.mark.parametrize("q", [0.05, 0.5, 0.8])
def test_pinball_is_least_at_the_quantile(q):
    y = torch.from_numpy(np.random.default_rng(0).normal(size=4001)).float()
    grid = torch.linspace(-3, 3, 601)
    losses = torch.stack([pinball(z.expand(len(y), 1), y, torch.tensor([q])).mean() for z in grid])
    assert float(grid[losses.argmin()]) == pytest.approx(float(y.quantile(q)), abs=0.02)


@given(gap=st.floats(-5, 5))
def test_qlike_is_zero_at_best_and_positive_elsewhere(gap):
    target = torch.tensor([0.3])
    value = float(qlike(target[:, None] - gap, target))
    assert value >= -1e-6
    assert value == pytest.approx(np.exp(gap) - gap - 1.0, rel=1e-4, abs=1e-6)


def test_qlike_is_that_of_patton():
    """sigma^2/h - log(sigma^2/h) - 1, with h = exp(z) and sigma^2 = exp(target)."""
    z, target = torch.tensor([[-9.0], [-8.0]]), torch.tensor([-8.5, -8.5])
    ratio = torch.exp(target) / torch.exp(z[:, 0])
    torch.testing.assert_close(qlike(z, target), ratio - torch.log(ratio) - 1.0, atol=1e-5, rtol=1e-4)


def test_log_loss_agrees_for_one_and_two_logits():
    z, y = torch.randn(20, 1), torch.randint(2, (20,))
    two = torch.cat([torch.zeros(20, 1), z], dim=1)
    torch.testing.assert_close(log_loss(z, y), log_loss(two, y))
    expected = -torch.log_softmax(two, 1)[torch.arange(20), y]
    torch.testing.assert_close(log_loss(z, y), expected)


@pytest.mark.parametrize(
    ("kind", "options", "k"),
    [("forecast", {"quantiles": [0.1, 0.5, 0.9]}, 3), ("volatility", {}, 1), ("regress", {}, 1), ("classify", {}, 4)],
)
def test_one_value_a_row(kind, options, k):
    loss = loss_of(Task("t", kind, (), (), "", "", options=options))
    target = torch.randint(2, (7,)) if kind == "classify" else torch.randn(7)
    z = torch.randn(7, k)
    found = loss(z, target)
    assert found.shape == (7,)
    order = torch.randperm(7)
    torch.testing.assert_close(loss(z[order], target[order]), found[order])


def test_squared():
    torch.testing.assert_close(
        squared(torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 3.0])), torch.tensor([4.0, 1.0])
    )
