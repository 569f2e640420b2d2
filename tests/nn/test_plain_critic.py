"""Twin critics: batched they are two plain networks; by hand they equal autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.nn.critic import SoftCritic
from pellucid.nn.network import Network
from pellucid.nn.plain_critic import PlainCritic

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def critic(activation: str = "relu", depth: int = 3) -> SoftCritic:
    twins = SoftCritic(3, 2, 16, depth, ACTIVATIONS[activation](), seed=1)
    with torch.no_grad():
        apart = twins(*rows()).diff(dim=0).median()
        getattr(twins, f"bias{depth}")[1] -= apart + 1e-4  # now each is the lesser one in half of the rows
    return twins


def rows(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, generator=g), torch.rand(n, 2, generator=g) * 2.0 - 1.0


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_batch_is_two_networks(depth: int) -> None:
    twins = critic(depth=depth)
    state, action = rows()
    found = twins(state, action)
    for i in range(2):
        h = torch.cat([state, action], 1)
        for layer in range(depth + 1):
            weight, bias = getattr(twins, f"weight{layer}"), getattr(twins, f"bias{layer}")
            h = nn.functional.linear(h, weight[i], bias.view(2, -1)[i])
            h = torch.relu(h) if layer < depth else h
        torch.testing.assert_close(found[i], h[:, 0])
    assert not torch.allclose(found[0], found[1]), "the twins must start apart"


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_by_hand_equals_autograd(activation: str, depth: int) -> None:
    twins = critic(activation, depth)
    state, action = rows()
    action.requires_grad_()
    plain = PlainCritic(twins)
    q = twins(state, action)
    joined = torch.cat([state, action], 1).detach().numpy()
    mine = plain.forward(joined)
    np.testing.assert_allclose(mine, q.detach().numpy(), atol=1e-6)

    by_q = np.random.default_rng(0).normal(size=mine.shape).astype(np.float32)
    wanted = torch.autograd.grad((q * torch.from_numpy(by_q)).sum(), plain.parameters, retain_graph=True)
    for ours, theirs in zip(plain.backward(by_q), wanted, strict=True):
        scale = float(theirs.abs().max())
        np.testing.assert_allclose(ours / scale, theirs.numpy() / scale, atol=1e-6)

    least = q.min(0)
    assert 0 < int(least.indices.sum()) < len(state), "each twin must be the lesser one somewhere"
    (slope,) = torch.autograd.grad(least.values.sum(), action)
    np.testing.assert_allclose(plain.slope_of_least(mine, 2), slope.numpy(), atol=1e-6)


def test_other_weights_are_read_live() -> None:
    twins = critic()
    target = {name: p.detach().clone() for name, p in twins.values().items()}
    plain = PlainCritic(twins, target)
    state, action = rows()
    joined = torch.cat([state, action], 1).numpy()
    before = plain.forward(joined)
    np.testing.assert_allclose(before, twins(state, action).detach().numpy(), atol=1e-6)
    target["bias3"].add_(1.0)
    np.testing.assert_allclose(plain.forward(joined), before + 1.0, atol=1e-6)


def test_a_network_with_critics_gives_their_value_and_survives_json() -> None:
    heads = {"act": {"policy": 2, "log_std": 2}}
    network = Network({"x": 3}, {"act": ("x",)}, heads, width=8, normalise=("x",), critics={"act": 2}, seed=3)
    state, _ = rows()
    network.observe({"x": 5.0 * state + 1.0})
    raw = network({"x": state}, "act")
    both = network.critic("act")(network.state({"x": state}, "act"), torch.tanh(raw["policy"]))
    torch.testing.assert_close(raw["value"][:, 0], both.min(0).values)
    again = Network(**network.architecture, seed=9)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again({"x": state}, "act"), raw)
    alike = Network(**network.architecture, seed=3)
    torch.testing.assert_close(alike.critic("act").state_dict(), network.critic("act").state_dict())
