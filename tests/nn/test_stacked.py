"""Many members in one forward pass give what each gives alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.network import Network
from pellucid.nn.stacked import Stacked


def network(activation: str = "tanh", normalise: bool = True) -> Network:
    net = Network(
        {"x": 3, "y": 2, "unread": 4},
        {"act": ("x", "y"), "other": ("unread",)},
        {"act": {"policy": 2, "value": 1, "log_std": 2}, "other": {"out": 1}},
        width=8,
        depth=2,
        activation=activation,
        normalise=("x", "y") if normalise else (),
        seed=1,
    )
    net.observe({"x": torch.randn(50, 3) * 3 + 1})
    return net


def test_only_what_the_policy_depends_on():
    names = set(Stacked(network(), "act", "policy").parameters)
    assert names == {
        "encoders._x.project.weight",
        "encoders._y.project.weight",
        "bias",
        "trunk.1.weight",
        "trunk.1.bias",
        "heads._act.policy.weight",
        "heads._act.policy.bias",
    }


@pytest.mark.parametrize(("activation", "plain"), [("tanh", True), ("relu", True), ("silu", False)])
@pytest.mark.parametrize("normalise", [True, False])
@torch.no_grad()
def test_each_member_as_if_alone(activation, plain, normalise):
    net = network(activation, normalise)
    stacked = Stacked(net, "act", "policy")
    assert stacked.plain == plain
    P, k = 5, 3
    g = np.random.default_rng(0)
    vectors = (stacked.centre() + 0.3 * g.standard_normal((P, len(stacked.centre())))).astype(np.float32)
    blocks = {name: torch.from_numpy(g.normal(size=(P * k, w)).astype(np.float32)) for name, w in (("x", 3), ("y", 2))}
    together = stacked.forward(stacked.split(vectors), blocks)
    stacked.plain = False
    assert np.allclose(together, stacked.forward(stacked.split(vectors), blocks), atol=2e-6)
    assert together.shape == (P * k, 2)
    for i in range(P):
        for name, weight in stacked.split(vectors[i]).items():
            dict(net.named_parameters())[name].copy_(torch.from_numpy(weight))
        rows = slice(i * k, (i + 1) * k)
        alone = net({name: block[rows] for name, block in blocks.items()}, "act")["policy"].numpy()
        assert np.allclose(together[rows], alone, atol=2e-6)


def test_frozen_weights_are_not_stacked():
    net = network()
    net.bias.requires_grad_(False)
    stacked = Stacked(net, "act", "policy")
    assert not stacked.plain
    assert "bias" not in stacked.parameters
    blocks = {"x": torch.zeros(2, 3), "y": torch.zeros(2, 2)}
    assert stacked.forward(stacked.split(np.stack([stacked.centre()] * 2)), blocks).shape == (2, 2)
