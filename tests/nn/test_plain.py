"""The hand-written path gives autograd's numbers."""

import numpy as np
import pytest
import torch

from pellucid.adapt import build
from pellucid.nn.network import Network
from pellucid.nn.plain import plain_view


def made(activation: str, normalise: tuple[str, ...] = ()) -> tuple[Network, dict[str, torch.Tensor]]:
    network = Network(
        {"a": 3, "b": 1, "c": 2},
        {"act": ("a", "b", "c"), "other": ("a",)},
        {"act": {"policy": 4, "value": 1}, "other": {"out": 2}},
        width=16,
        depth=3,
        activation=activation,
        normalise=normalise,
        seed=3,
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():  # away from the near-zero heads of a fresh network
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    blocks = {name: torch.randn(12, w, generator=generator) for name, w in (("a", 3), ("b", 1), ("c", 2))}
    network.observe(blocks)
    return network, blocks


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("normalise", [(), ("a", "c")])
def test_forward_and_backward_equal_autograd(activation: str, normalise: tuple[str, ...]) -> None:
    network, blocks = made(activation, normalise)
    view = plain_view(network, "act")
    assert view is not None
    raw = network(blocks, "act")
    fast = view.forward(blocks)
    for name, value in raw.items():
        np.testing.assert_allclose(fast[name], value.detach().numpy(), atol=1e-6)
        np.testing.assert_allclose(view.answers(blocks)[name], fast[name], atol=1e-6)
    weights = {name: torch.randn_like(value) for name, value in raw.items()}
    total = sum((raw[name] * weights[name]).sum() for name in raw)
    wanted = torch.autograd.grad(total, view.parameters)
    for mine, theirs in zip(view.backward({n: w.numpy() for n, w in weights.items()}), wanted, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), atol=2e-6, rtol=1e-5)


def test_it_sees_every_update_of_the_weights() -> None:
    network, blocks = made("tanh")
    view = plain_view(network, "act")
    assert view is not None
    before = view.forward(blocks)["policy"].copy()
    with torch.no_grad():
        network.bias.add_(0.5)
    np.testing.assert_allclose(view.forward(blocks)["policy"], network(blocks, "act")["policy"].detach(), atol=1e-6)
    assert np.abs(view.forward(blocks)["policy"] - before).max() > 1e-3


def test_anything_that_is_not_plain_takes_autograd() -> None:
    network, _ = made("tanh")
    delta = build("lora", {"rank": 1})
    delta.attach(network)
    assert plain_view(network, "act") is None
    delta.detach()
    assert plain_view(network, "act") is not None
    network.bias.requires_grad_(False)
    assert plain_view(network, "act") is None
    assert plain_view(torch.nn.Linear(2, 2), "act") is None
    assert plain_view(made("silu")[0], "act") is None
