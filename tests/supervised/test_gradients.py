"""The gradients by hand of plain networks are autograd's, whatever weighs the rows."""

from __future__ import annotations

import pytest
import torch

from pellucid.core.task import Task
from pellucid.nn.network import Network
from pellucid.supervised.learner import Supervised

WIDTHS = {"a": 3, "b": 2}


def made(kind: str, outputs: int, **settings: object) -> tuple[Network, Supervised]:
    classes = [str(i) for i in range(max(2, outputs))]
    options = {"classes": classes} if kind == "classify" else {"mean": 0.0, "sd": 1.0}
    task = Task("y", kind, ("a", "b"), tuple(f"o{i}" for i in range(outputs)), "", "log_loss", options=options)
    network = Network(WIDTHS, {"y": ("a", "b")}, {"y": {"out": outputs}}, width=8, depth=2, activation="relu", seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    blocks = {name: torch.randn(40, width, generator=generator) for name, width in WIDTHS.items()}
    target = torch.arange(40) % len(classes) if kind == "classify" else torch.randn(40, generator=generator)
    target[:20] = target[0]  # classes of different size
    return network, Supervised(task, blocks, target, batch=16, seed=0, **settings)


@pytest.mark.parametrize(
    ("kind", "outputs", "settings"),
    [
        ("regress", 1, {}),
        ("regress", 1, {"noise": 0.5}),
        ("classify", 1, {}),
        ("classify", 4, {"smoothing": 0.1}),
        ("classify", 4, {"balanced": True}),
        ("classify", 1, {"balanced": True, "smoothing": 0.2}),
    ],
)
def test_they_are_autograds(kind: str, outputs: int, settings: dict[str, object]) -> None:
    network, learner = made(kind, outputs, **settings)
    batch = learner.next_batch(network)
    found = learner.gradients(network, batch)
    assert found is not None
    value, _ = learner.loss(network, batch)
    assert found.value == pytest.approx(float(value.detach()), rel=1e-5)
    for mine, theirs in zip(found.gradients, torch.autograd.grad(value, found.parameters), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-4)


def test_a_network_with_a_frozen_weight_takes_autograd_from_the_next_epoch_on() -> None:
    network, learner = made("regress", 1)
    assert learner.gradients(network, learner.next_batch(network)) is not None
    network.bias.requires_grad_(False)
    learner.next_batch(network)
    batch = learner.next_batch(network)  # 40 rows, 16 a batch: the second epoch
    assert learner.gradients(network, batch) is None
