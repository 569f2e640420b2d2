"""Ignore a field: what the learner asks for, by hand on a small network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.core.task import Task
from pellucid.feedback.ignore import Ignore, IgnoreConfig
from pellucid.nn.network import Network

N = 400
TASK = Task("pay", "regress", ("a", "v", "w"), ("out",), "EUR", "squared_error", (), {"mean": 0.0, "sd": 1.0})


class Linear(torch.nn.Module):
    """out = 2 a + 3 v_0 - v_1 + 5 w, whatever the task."""

    def __init__(self, weights=(2.0, 3.0, -1.0, 5.0)):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor(weights))

    def forward(self, blocks, task):
        return {"out": (torch.cat([blocks[name] for name in ("a", "v", "w")], 1) @ self.weights)[:, None]}


@pytest.fixture
def blocks():
    g = torch.Generator().manual_seed(0)
    return {"a": torch.randn(N, 1, generator=g), "v": torch.randn(N, 2, generator=g),
            "w": torch.randn(N, 1, generator=g)}  # fmt: skip


def learner(network, blocks, forbidden=("v",), target=None, task=TASK, **config):
    return Ignore(task, network, blocks, target, forbidden, IgnoreConfig(**config), seed=1)


def test_the_anchor_is_the_bases_average_over_the_field(blocks):
    """2 a + 5 w + E(3 v_0 - v_1), up to the error of 4,000 draws."""
    network = Linear()
    found = learner(network, blocks, draws=4000)._anchor[:, 0]
    shift = float((3 * blocks["v"][:, 0] - blocks["v"][:, 1]).mean())
    expected = 2 * blocks["a"][:, 0] + 5 * blocks["w"][:, 0] + shift
    assert (found - expected).abs().max() < 4.5 * np.sqrt(10 / 4000)
    network = Network({"a": 1, "v": 2, "w": 1}, {"pay": ("a", "v", "w")}, {"pay": {"out": 1}}, width=8)
    with torch.no_grad():
        network.encoders["_v"].project.weight.zero_()
        plain = network(blocks, "pay")["out"]
    assert torch.allclose(learner(network, blocks)._anchor, plain, atol=1e-6)


def test_the_loss_by_hand(blocks):
    """For two draws z and z' of a row: (mean - anchor)^2 + honour (z - z')^2 / 2, over the anchor's variance."""
    network = Linear()
    made = learner(network, blocks, batch=64, honour=3.0)
    batch = made.next_batch(network)
    z, other = (network(half, "pay")["out"] for half in (batch.first, batch.second))
    variance = made._anchor.var(unbiased=False)
    anchor = ((z + other) / 2 - batch.anchor).square().mean() / variance
    effect = (z - other).square().mean() / 2 / variance
    loss = made.loss(network, batch)
    assert loss.value.item() == pytest.approx((anchor + 3.0 * effect).item(), rel=1e-5)
    assert loss.metrics["effect"].item() == pytest.approx(10.0 / 29.0, rel=0.3)  # var(3 v_0 - v_1) / var(2 a + 5 w)


def test_with_a_target_the_weights_add_to_one(blocks):
    network, target = Linear(), torch.zeros(N)
    made = learner(network, blocks, target=target, anchor=4.0)
    batch = made.next_batch(network)
    z = torch.cat([network(half, "pay")["out"] for half in (batch.first, batch.second)])
    kept = learner(network, blocks).loss(network, batch._replace(target=None)).value
    fit = z.square().mean()
    assert made.loss(network, batch).value.item() == pytest.approx((0.8 * kept + 0.2 * fit).item(), rel=1e-5)


def test_a_program_that_ignores_the_field_and_says_the_average_loses_nothing(blocks):
    made = learner(Linear(), blocks, draws=4000)
    right = Linear((2.0, 0.0, 0.0, 5.0))
    batch = made.next_batch(right)
    loss = made.loss(right, batch)
    assert loss.metrics["effect"].item() == 0.0
    assert loss.value.item() < 0.01
    constant = Linear((0.0, 0.0, 0.0, 0.0))
    assert made.loss(constant, batch).value.item() > 0.5  # the effect is gone, and so is everything else
    assert made.loss(Linear(), batch).value.item() > 1.0


def test_a_replacement_is_a_whole_block_of_a_training_row(blocks):
    made = learner(Linear(), blocks, batch=50)
    batch = made.next_batch(Linear())
    real = {tuple(row) for row in blocks["v"].tolist()}
    assert all(tuple(row) in real for half in (batch.first, batch.second) for row in half["v"].tolist())
    for name in ("a", "w"):
        assert torch.equal(batch.first[name], batch.second[name])
    assert not torch.equal(batch.first["v"], batch.second["v"])
    own = (blocks["a"][:, 0, None] == batch.first["a"][:, 0]).int().argmax(0)
    assert (blocks["v"][own] == batch.first["v"]).all(1).float().mean() < 0.1


def test_two_fields_are_replaced_independently(blocks):
    """v_0 and w move together in the rows; only apart does it show that the program uses their difference."""
    together = {**blocks, "w": blocks["v"][:, :1].clone()}
    network = Linear((2.0, 1.0, 0.0, -1.0))
    made = learner(network, together, ("v", "w"))
    batch = made.next_batch(network)
    assert made.loss(network, batch).metrics["effect"].item() == pytest.approx(2.0 / 4.0, rel=0.4)
    assert torch.corrcoef(torch.stack([batch.first["v"][:, 0], batch.first["w"][:, 0]]))[0, 1].abs() < 0.3


def test_the_control_keeps_everything(blocks):
    network, target = Linear(), torch.zeros(N)
    made = learner(network, blocks, target=target, resample=False)
    assert made.forbidden == ()
    batch = made.next_batch(network)
    assert torch.equal(batch.first["v"], batch.second["v"])
    loss = made.loss(network, batch)
    assert loss.metrics["anchor"].item() == pytest.approx(0.0, abs=1e-10)
    assert loss.metrics["effect"].item() == 0.0
    assert loss.value.item() == pytest.approx(loss.metrics["fit"].item() / 21)


def test_a_field_that_the_task_does_not_read_is_none_of_its_business(blocks):
    made = learner(Linear(), {**blocks, "other": blocks["a"]}, ("other", "w"))
    assert made.forbidden == ("w",)
    assert set(made.next_batch(Linear()).first) == {"a", "v", "w"}


def test_outputs_of_any_spread_weigh_alike():
    """Twice the network's scale, the same loss; a constant output is kept in its own units."""
    g = torch.Generator().manual_seed(0)
    blocks = {"a": torch.randn(N, 1, generator=g), "v": torch.randn(N, 2, generator=g),
              "w": torch.randn(N, 1, generator=g)}  # fmt: skip
    losses = []
    for scale in (1.0, 1000.0):
        network = Linear(tuple(scale * w for w in (2.0, 3.0, -1.0, 5.0)))
        made = learner(network, blocks)
        losses.append(made.loss(network, made.next_batch(network)).value.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    constant = Linear((0.0, 0.0, 0.0, 0.0))
    made = learner(constant, blocks)
    batch = made.next_batch(constant)
    assert made.loss(constant, batch).value.item() == 0.0
    assert np.isfinite(made.loss(Linear(), batch).value.item())


def test_batches_depend_on_seed_and_count_only(blocks):
    first, second = learner(Linear(), blocks), learner(Linear(), blocks)
    first.next_batch(Linear())
    later = first.next_batch(Linear())
    second.set_state({"drawn": 1})
    again = second.next_batch(Linear())
    assert all(torch.equal(later.first[k], again.first[k]) for k in later.first)
    assert first.get_state() == second.get_state() == {"drawn": 2}
