"""SAC: its losses are SB3's, each objective moves only its own parameters, its gradient by hand is autograd's."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import PendulumEnv
from gymnasium.envs.registration import EnvSpec
from small_off_policy import build, copy_trunk, fill, shake, transitions
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from pellucid.core.errors import SpecError
from pellucid.core.random import stream
from pellucid.rl.sac import SAC
from pellucid.rl.sac_gradient import squashed, squashed_by_hand
from pellucid.runs.policies import greedy


def network_and_learner(**section: Any) -> tuple[Any, Any]:
    assembly = build("sac", **section)
    (learner,) = assembly.learners
    assert isinstance(learner, SAC)
    return assembly.program.network, learner


@torch.no_grad()
def copy_sb3(network: Any, theirs: Any) -> dict[str, torch.Tensor]:
    """Take over actor, critics and temperature; returns the target critics' weights."""
    copy_trunk(network, [m for m in theirs.actor.latent_pi if isinstance(m, torch.nn.Linear)])
    network.heads["_act"]["policy"].load_state_dict(theirs.actor.mu.state_dict())
    network.heads["_act"]["log_std"].load_state_dict(theirs.actor.log_std.state_dict())
    critic, target = network.critic("act"), {}
    critic.log_temperature.copy_(theirs.log_ent_coef)
    for module in (theirs.critic, theirs.critic_target):
        twins = [[m for m in q if isinstance(m, torch.nn.Linear)] for q in module.q_networks]
        for i, pair in enumerate(zip(*twins, strict=True)):
            target[f"weight{i}"] = torch.stack([m.weight for m in pair]).clone()
            target[f"bias{i}"] = torch.cat([m.bias for m in pair]).clone()
        if module is theirs.critic:
            critic.load_state_dict({**target, "log_temperature": critic.log_temperature})
    return target


@pytest.mark.parametrize("activation", ["relu", "general"])
def test_losses_equal_those_of_sb3(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same batch, weights, target weights and noise: 1e-5; by hand and by autograd."""
    sb3 = importlib.import_module("stable_baselines3")
    from stable_baselines3.common.buffers import ReplayBufferSamples

    net = {"net_arch": [16, 16]}
    theirs = sb3.SAC("MlpPolicy", "Pendulum-v1", policy_kwargs=net, learning_rate=0.0, gamma=0.97, device="cpu", seed=0)
    theirs._setup_learn(1)
    shake(theirs.critic, seed=1)
    shake(theirs.critic_target, seed=2)
    with torch.no_grad():
        theirs.actor.log_std.bias.fill_(-1.0)
        theirs.log_ent_coef.fill_(-0.7)

    network, learner = network_and_learner(discount=0.97)
    learner.target = copy_sb3(network, theirs)
    if activation == "general":
        monkeypatch.setattr("pellucid.rl.sac.plain_view", lambda *_: None)
    rows = transitions(40, 3)
    action = np.random.default_rng(1).uniform(-1, 1, (40, 1)).astype(np.float32)
    fill(learner, action, rows)
    generator = stream(0, "sac/act/draw", 0)
    at = generator.integers(40, size=16)
    noise = list(torch.from_numpy(generator.standard_normal((2, 16, 1), dtype=np.float32)))
    batch = learner.next_batch(network)
    torch.testing.assert_close(batch.action, torch.from_numpy(action[at]))

    tensors = [torch.from_numpy(x[at]) for x in (rows["obs"], action, rows["following_obs"])]
    dones, rewards = (torch.from_numpy(rows[k][at].astype(np.float32))[:, None] for k in ("terminated", "reward"))
    samples = ReplayBufferSamples(*tensors, dones, rewards)
    theirs.replay_buffer.sample = lambda *_, **__: samples
    monkeypatch.setattr("torch.distributions.normal._standard_normal", lambda *_, **__: noise.pop(0))
    theirs.train(1, 16)
    want = {k.removeprefix("train/"): v for k, v in theirs.logger.name_to_value.items()}
    whole = want["critic_loss"] + want["actor_loss"] + want["ent_coef_loss"]
    assert abs(want["ent_coef_loss"]) > 0.01

    value, metrics = learner.loss(network, batch)
    found = [(float(value.detach()), metrics)]
    by_hand = learner.gradients(network, batch)
    assert (by_hand is None) == (activation == "general")
    found += [] if by_hand is None else [(by_hand.value, by_hand.metrics)]
    for total, logged in found:
        assert float(logged["critic_loss"]) == pytest.approx(want["critic_loss"], rel=1e-5)
        assert float(logged["actor_loss"]) == pytest.approx(want["actor_loss"], rel=1e-5)
        assert float(logged["temperature"]) == pytest.approx(want["ent_coef"], rel=1e-6)
        assert total == pytest.approx(whole, rel=1e-5)


def test_the_squashed_density_is_that_of_torch_and_holds_at_the_edge() -> None:
    g = torch.Generator().manual_seed(0)
    policy, log_std, noise = torch.randn(3, 50, 2, generator=g, dtype=torch.float64)
    action, log_prob = squashed(policy, 0.3 * log_std, noise)
    theirs = TransformedDistribution(Normal(policy, (0.3 * log_std).exp()), [TanhTransform(cache_size=0)])
    torch.testing.assert_close(log_prob, theirs.log_prob(action).sum(1))
    raw = {"policy": policy.float().numpy(), "log_std": (0.3 * log_std).float().numpy()}
    mine = squashed_by_hand(raw, noise.float().numpy())
    np.testing.assert_allclose(mine[0], action.numpy(), atol=1e-6)
    np.testing.assert_allclose(mine[1], log_prob.numpy(), rtol=1e-4, atol=1e-5)
    far, one = torch.tensor([[40.0]]), torch.tensor([[1.0]])
    density = squashed(far, 0.0 * far, one)[1]
    assert float(density) == pytest.approx(-0.5 - 0.918939 - 2.0 * (np.log(2.0) - 41.0), rel=1e-6)


@pytest.mark.parametrize("temperature", [None, 0.3])
def test_each_objective_moves_only_its_own_parameters(temperature: float | None) -> None:
    """The gradient of the sum is that of three losses, each with the others' parameters held fixed."""
    network, learner = network_and_learner(temperature=temperature)
    shake(network)
    batch = learner.next_batch(network)
    critic = network.critic("act")
    actors = [p for n, p in network.named_parameters() if not n.startswith("critics.")]
    state = network.state(batch.blocks, "act")
    raw = network.actor(batch.blocks, "act")
    action, log_prob = squashed(raw["policy"], raw["log_std"], batch.noise)
    alpha = float(critic.log_temperature.detach().exp()) if temperature is None else temperature
    of_actor = torch.autograd.grad((alpha * log_prob - critic(state, action).min(0).values).mean(), actors)
    of_critic = torch.autograd.grad(
        0.5 * (critic(state, batch.action) - batch.target).square().mean(1).sum(), list(critic.values().values())
    )
    found = torch.autograd.grad(
        learner.loss(network, batch).value, [*actors, *critic.values().values()], retain_graph=True
    )
    torch.testing.assert_close(found, (*of_actor, *of_critic), rtol=1e-4, atol=1e-6)
    value = learner.loss(network, batch).value
    (of_temperature,) = torch.autograd.grad(value, [critic.log_temperature], allow_unused=True)
    if temperature is None:
        torch.testing.assert_close(of_temperature, -(log_prob.detach().mean() - 1.0)[None])
    else:
        assert of_temperature is None


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("temperature", [None, 0.3])
def test_gradient_by_hand_equals_autograd(activation: str, temperature: float | None) -> None:
    network, learner = network_and_learner(activation=activation, temperature=temperature)
    shake(network)
    batch = learner.next_batch(network)
    with torch.no_grad():
        middle = network.actor(batch.blocks, "act")["log_std"].median()
        network.heads["_act"]["log_std"].bias += 2.0 - 1e-3 - middle  # the clamp acts in half of the rows
    found, loss = learner.gradients(network, batch), learner.loss(network, batch)
    assert found.value == pytest.approx(float(loss.value.detach()), rel=1e-5)
    wanted = torch.autograd.grad(loss.value, found.parameters)
    for mine, theirs in zip(found.gradients, wanted, strict=True):
        scale = float(theirs.abs().max()) + 1e-3
        np.testing.assert_allclose(mine.numpy() / scale, theirs.numpy() / scale, atol=1e-5)


def test_the_target_follows_at_its_rate() -> None:
    network, learner = network_and_learner(target_rate=0.1)
    learner.next_batch(network)
    start = {name: x.clone() for name, x in learner.target.items()}
    shake(network)
    learner.after_step(network, {})
    for name, p in network.critic("act").values().items():
        torch.testing.assert_close(learner.target[name], 0.9 * start[name] + 0.1 * p.detach())


def test_the_program_acts_in_the_environments_units() -> None:
    assembly = build("sac")
    assembly.trainer.run(assembly.config)
    program = assembly.finish()
    task = program.task("act")
    assert (task.unit, task.outputs) == ("action", ("action_0", "value"))
    network, obs = program.network, transitions(20, 3)["obs"] * 3.0
    blocks = assembly.learners[0].collector.split(obs)
    out = program(blocks, "act")
    with torch.no_grad():
        mean = torch.tanh(network.actor(blocks, "act")["policy"])
        value = network.critic("act")(network.state(blocks, "act"), mean).min(0).values
    torch.testing.assert_close(out, torch.cat([2.0 * mean, value[:, None]], 1))  # Pendulum's torque is within ±2
    names = dict(zip(task.inputs, obs.T[:, :, None], strict=True))
    np.testing.assert_allclose(greedy(program, task)(names, 0), out[:, :1].numpy(), atol=1e-6)


def test_experience_is_remembered_in_unit_actions() -> None:
    network, learner = network_and_learner()
    seen = []
    step = learner.env.step
    learner.env.step = lambda action: seen.append(action) or step(action)
    learner.next_batch(network)
    remembered = learner.collector.memory.action[:40]
    np.testing.assert_allclose(np.concatenate(seen), 2.0 * remembered, atol=1e-6)
    assert np.abs(remembered).max() <= 1.0
    assert remembered.std() == pytest.approx(3**-0.5, abs=0.1)  # the warm-up is uniform


class Unbounded(PendulumEnv):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))


def test_unsuitable_actions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match=r"sac cannot act in 'CartPole-v1'.*discrete"):
        build("sac", env="CartPole-v1")
    monkeypatch.setitem(gymnasium.registry, "Unbounded-v0", EnvSpec("Unbounded-v0", entry_point=Unbounded))
    with pytest.raises(SpecError, match=r"sac cannot act in 'Unbounded-v0'.*unbounded"):
        build("sac", env="Unbounded-v0")
