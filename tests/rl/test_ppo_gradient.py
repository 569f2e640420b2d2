"""PPO's gradient by hand equals autograd of its loss, through the whole network."""

import numpy as np
import pytest
import torch

from pellucid.core.task import Task
from pellucid.envs.vectorise import make
from pellucid.nn.network import Network
from pellucid.nn.plain import plain_view
from pellucid.rl.ppo import PPO, PPOBatch, PPOConfig


def learner(kind: str) -> tuple[PPO, Network]:
    actions = 3
    options = {"space": kind, "actions": actions, "low": [-1.0] * actions, "high": [1.0] * actions}
    task = Task("act", "control", ("a", "b"), tuple("xyz"), "logit", "negative_reward", (), options)
    heads = {"policy": actions, "value": 1} | ({"log_std": actions} if kind == "box" else {})
    network = Network({"a": 2, "b": 3}, {"act": ("a", "b")}, {"act": heads}, width=8, depth=3, activation="tanh")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.7 * torch.randn(parameter.shape, generator=generator))
    return PPO(task, make("CartPole-v1", 2, 0), lambda obs: obs, PPOConfig(entropy=0.03), seed=0), network


def batch(ppo: PPO, network: Network, kind: str, n: int = 64) -> PPOBatch:
    """Sampled actions with old log-probabilities near the present ones: some ratios are clipped, some are not."""
    from pellucid.rl.distributions import log_prob_and_entropy

    g = torch.Generator().manual_seed(2)
    blocks = {"a": torch.randn(n, 2, generator=g), "b": torch.randn(n, 3, generator=g)}
    with torch.no_grad():
        raw = network(blocks, "act")
        action = torch.randint(3, (n,), generator=g)
        if kind == "box":
            action = raw["policy"] + raw["log_std"].clamp(-5, 2).exp() * torch.randn(n, 3, generator=g)
        now = log_prob_and_entropy(raw, action)[0]
    old = now + 0.3 * torch.randn(n, generator=g)
    return PPOBatch(blocks, action, old, torch.randn(n, generator=g), torch.randn(n, generator=g))


@pytest.mark.parametrize("kind", ["discrete", "box"])
def test_gradient_by_hand_equals_autograd(kind: str) -> None:
    ppo, network = learner(kind)
    rows = batch(ppo, network, kind)
    ppo._view = plain_view(network, "act")
    found = ppo.gradients(network, rows)
    assert found is not None
    loss = ppo.loss(network, rows)
    assert found.value == pytest.approx(float(loss.value.detach()), rel=1e-5)
    for name, value in loss.metrics.items():
        assert found.metrics[name] == pytest.approx(float(value), rel=1e-4, abs=1e-5), name
    assert 0.1 < found.metrics["clip_fraction"] < 0.9, "both branches of the clip must be exercised"
    wanted = torch.autograd.grad(loss.value, found.parameters)
    for mine, theirs in zip(found.gradients, wanted, strict=True):
        scale = float(theirs.abs().max()) + 1e-3
        np.testing.assert_allclose(mine.numpy() / scale, theirs.numpy() / scale, atol=5e-6)


def test_every_trained_parameter_is_covered() -> None:
    _, network = learner("discrete")
    view = plain_view(network, "act")
    assert view is not None
    assert {id(p) for p in view.parameters} == {id(p) for p in network.parameters()}
