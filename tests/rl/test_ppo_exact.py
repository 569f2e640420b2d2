"""PPO beside Stable-Baselines3's own code on the same batch and weights, and A2C as its simple case."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sb3_twin import LOG_STD, batch_of, descend, task_of, twins

import small_worlds  # noqa: F401 - registers Dials
from pellucid.assemble import assemble, problem
from pellucid.envs.vectorise import make
from pellucid.nn.network import Network
from pellucid.nn.outputs import choices
from pellucid.nn.plain import plain_view
from pellucid.rl.distributions import log_prob_and_entropy
from pellucid.rl.ppo import PPO, PPOBatch, PPOConfig
from pellucid.runs.policies import greedy, rollout
from pellucid.spec.loader import spec_from

SPACES = ["discrete", "multi_discrete", "box"]


def learner(space: str, network: Network, **config: Any) -> PPO:
    ppo = PPO(task_of(space), make("CartPole-v1", 2, 0), lambda obs: obs, PPOConfig(**config), seed=0)
    ppo._view = plain_view(network, "act")
    return ppo


def by_autograd(ppo: PPO, network: Network, batch: PPOBatch) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    loss = ppo.loss(network, batch)
    named = dict(network.named_parameters())
    grads = torch.autograd.grad(loss.value, list(named.values()))
    found = {"loss": float(loss.value.detach()), **{k: float(v) for k, v in loss.metrics.items()}}
    return dict(zip(named, grads, strict=True)), found


def by_hand(ppo: PPO, network: Network, batch: PPOBatch) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    names = {id(p): name for name, p in network.named_parameters()}
    found = ppo.gradients(network, batch)
    assert found is not None
    gradients = {names[id(p)]: g.clone() for p, g in zip(found.parameters, found.gradients, strict=True)}
    return gradients, {"loss": found.value, **found.metrics}


WAYS = [by_autograd, by_hand]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("space", SPACES)
def test_loss_and_gradient_equal_those_of_sb3(space: str, way: Any) -> None:
    """Policy loss, value loss, entropy, their sum, the logged measures and every gradient: 1e-5."""
    settings = {"n_steps": 64, "batch_size": 64, "n_epochs": 1, "normalize_advantage": False}
    weights = {"ent_coef": 0.03, "vf_coef": 0.7, "clip_range": 0.15}
    theirs, network = twins("PPO", space, **settings, **weights)
    ppo = learner(space, network, entropy=0.03, value_weight=0.7, clip=0.15)
    batch = batch_of(network, space, moved=0.3)
    gradients, logged = way(ppo, network, batch)
    wanted, told = descend(theirs, batch)
    assert 0.2 < told["clip_fraction"] < 0.8, "both sides of the clip are needed"
    assert logged["loss"] == pytest.approx(told["loss"], rel=1e-5)
    assert logged["policy_loss"] == pytest.approx(told["policy_gradient_loss"], rel=1e-5, abs=1e-6)
    assert logged["value_loss"] == pytest.approx(told["value_loss"], rel=1e-5)
    assert logged["entropy"] == pytest.approx(-told["entropy_loss"], rel=1e-5)
    assert logged["approx_kl"] == pytest.approx(told["approx_kl"], rel=1e-4)
    assert logged["clip_fraction"] == pytest.approx(told["clip_fraction"])
    assert wanted.keys() == gradients.keys() - {"heads._act.log_std.weight"}  # theirs does not depend on the state
    for name, gradient in wanted.items():
        size = float(gradient.abs().max())
        assert size > 1e-3, name
        torch.testing.assert_close(gradients[name], gradient, atol=1e-5 * max(1.0, size), rtol=1e-5, msg=name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("space", SPACES)
def test_one_epoch_of_one_minibatch_is_a2c(space: str, way: Any) -> None:
    """Huang et al. 2022: while the policy is still the one that acted, the ratio is one and the clip is never met, so
    the gradient is that of -A log pi + v (V - R)^2 - e H; to 1e-6, and Stable-Baselines3's A2C's to 1e-5."""
    theirs, network = twins("A2C", space, ent_coef=0.02, vf_coef=0.4, use_rms_prop=False)
    ppo = learner(space, network, entropy=0.02, value_weight=0.4, epochs=1)
    batch = batch_of(network, space, moved=0.0)
    gradients, logged = way(ppo, network, batch)
    assert logged["clip_fraction"] == 0.0

    raw = network(batch.blocks, "act")
    log_p, entropy = log_prob_and_entropy(raw, batch.action, choices(ppo.task))
    error = (raw["value"][:, 0] - batch.returns).square().mean()
    objective = -(batch.advantage * log_p).mean() + 0.4 * error - 0.02 * entropy.mean()
    named = dict(network.named_parameters())
    for name, g in zip(named, torch.autograd.grad(objective, list(named.values())), strict=True):
        torch.testing.assert_close(gradients[name], g, atol=1e-6, rtol=1e-6, msg=name)

    wanted, told = descend(theirs, batch)
    assert logged["value_loss"] == pytest.approx(told["value_loss"], rel=1e-5)
    assert logged["entropy"] == pytest.approx(-told["entropy_loss"], rel=1e-5)
    for name, gradient in wanted.items():
        assert float(gradient.abs().max()) > 1e-3, name
        torch.testing.assert_close(gradients[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("space", SPACES)
def test_the_policy_gradient_in_closed_form(space: str) -> None:
    """With respect to the heads: A (p - 1[a]) / n for logits; -A (a - m) / s^2 / n and -A ((a - m)^2 / s^2 - 1) / n."""
    _, network = twins("A2C", space, use_rms_prop=False)
    ppo = learner(space, network, entropy=0.0, value_weight=0.0, epochs=1)
    batch = batch_of(network, space, moved=0.0)
    with torch.no_grad():
        raw = {name: x.clone() for name, x in network(batch.blocks, "act").items()}
    for x in raw.values():
        x.requires_grad_()
    loss = ppo.loss(lambda blocks, task: raw, batch).value
    scale = batch.advantage[:, None] / len(batch.advantage)
    with torch.no_grad():
        if space == "box":
            z = (batch.action - raw["policy"]) / torch.tensor(LOG_STD).exp()
            wanted = {"policy": -scale * z / torch.tensor(LOG_STD).exp(), "log_std": -scale * (z.square() - 1.0)}
        else:
            parts, action = choices(ppo.task) or (3,), batch.action.reshape(len(scale), -1)
            taken = [torch.nn.functional.one_hot(a, n) for a, n in zip(action.T, parts, strict=True)]
            chance = [torch.softmax(z, 1) for z in raw["policy"].split(parts, 1)]
            wanted = {"policy": scale * (torch.cat(chance, 1) - torch.cat(taken, 1))}
    for name, g in wanted.items():
        (found,) = torch.autograd.grad(loss, raw[name], retain_graph=True)
        torch.testing.assert_close(found, g, atol=1e-6, rtol=1e-6)


def test_importance_ratios_in_closed_form() -> None:
    """exp(log-probability less the old one) is the quotient of the densities; the policy loss with A = 1 and without a
    clip is minus their mean."""
    g = torch.Generator().manual_seed(3)
    m0, m1, s0, s1 = 0.2, -0.5, 0.8, 1.3
    action = torch.randn(200, 1, generator=g)

    def raw(m: float, s: float) -> dict[str, torch.Tensor]:
        n = len(action)
        return {"policy": torch.full((n, 1), m), "log_std": torch.full((n, 1), math.log(s)), "value": torch.zeros(n, 1)}

    old = log_prob_and_entropy(raw(m0, s0), action)[0]
    a = action[:, 0].double().numpy()
    ratio = s0 / s1 * np.exp((a - m0) ** 2 / (2 * s0**2) - (a - m1) ** 2 / (2 * s1**2))
    batch = PPOBatch({}, action, old, torch.ones(200), torch.zeros(200))
    task = task_of("box")
    ppo = PPO(task, make("CartPole-v1", 2, 0), lambda obs: obs, PPOConfig(clip=1e6), seed=0)
    found = ppo.loss(lambda blocks, task: raw(m1, s1), batch).metrics
    assert float(found["policy_loss"]) == pytest.approx(-ratio.mean(), rel=1e-5)
    assert float(found["approx_kl"]) == pytest.approx((ratio - 1 - np.log(ratio)).mean(), rel=1e-4)
    p, q = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.6, 0.1, 0.3])
    log_ratio = [log_prob_and_entropy({"policy": x.log().expand(3, 3)}, torch.arange(3))[0] for x in (q, p)]
    torch.testing.assert_close((log_ratio[1] - log_ratio[0]).exp(), p / q)


def test_algorithm_a2c_is_that_case() -> None:
    """Every update is a new rollout, whole, with advantages as they are, under the policy that acted; it learns."""
    section = {"num_envs": 16, "steps": 5, "discount": 0.0, "normalise_observations": False}
    task = {"kind": "control", "env": "Dials-v0", "algorithm": "a2c", "a2c": section}
    train = {"updates": 300, "optimiser": "rmsprop", "lr": 1e-2, "weight_decay": 0.0}
    raw = {"name": "dials", "tasks": {"act": task}, "network": {"width": 16}, "train": train}
    assembly = assemble(problem(spec_from(raw, where="test")), None, seed=0)
    (ppo,), network = assembly.learners, assembly.program.network
    assert isinstance(ppo, PPO)
    for _ in range(3):
        batch = ppo.next_batch(network).to(torch.device("cpu"))
        assert len(batch.returns) == 80
        with torch.no_grad():
            value = network(batch.blocks, "act")["value"][:, 0]
        torch.testing.assert_close(batch.advantage, batch.returns - value, atol=1e-5, rtol=1e-5)
        assert float(ppo.loss(network, batch).metrics["approx_kl"]) == pytest.approx(0.0, abs=1e-6)
    assembly.trainer.run(assembly.config)
    found = rollout("Dials-v0", greedy(assembly.program, assembly.program.tasks["act"]), range(10**6, 10**6 + 20))
    assert found.returns.mean() > 55.0  # of 60; the best constant earns 33
