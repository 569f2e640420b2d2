"""DQN: its loss is SB3's, its options are their papers', its gradient by hand is autograd's."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from small_off_policy import build, copy_trunk, fill, shake, transitions
from torch.nn.functional import smooth_l1_loss

from pellucid.core.errors import SpecError
from pellucid.nn.outputs import action_values
from pellucid.rl.dqn import DQN
from pellucid.runs.policies import greedy, rollout


def network_and_learner(**section: Any) -> tuple[Any, Any]:
    assembly = build("dqn", **section)
    (learner,) = assembly.learners
    assert isinstance(learner, DQN)
    return assembly.program.network, learner


def test_loss_equals_that_of_sb3() -> None:
    """On the same batch, weights and target weights: 1e-5."""
    sb3 = importlib.import_module("stable_baselines3")
    from stable_baselines3.common.buffers import ReplayBufferSamples

    net = {"net_arch": [16, 16]}
    theirs = sb3.DQN("MlpPolicy", "CartPole-v1", policy_kwargs=net, learning_rate=0.0, gamma=0.97, device="cpu", seed=0)
    theirs._setup_learn(1)
    shake(theirs.q_net)
    shake(theirs.q_net_target, seed=1)

    network, learner = network_and_learner(double=False, discount=0.97)
    rows = transitions(40, 4)
    action = np.random.default_rng(1).integers(2, size=40)
    fill(learner, action, rows)
    learner.target = {}  # Q' first, then Q, through the same network
    for module in (theirs.q_net_target, theirs.q_net):
        *trunk, head = [m for m in module.q_net if isinstance(m, torch.nn.Linear)]
        copy_trunk(network, trunk)
        network.heads["_act"]["q"].load_state_dict(head.state_dict())
        if not learner.target:
            learner.target = {name: p.detach().clone() for name, p in network.named_parameters()}

    batch = learner.next_batch(network)
    at = learner._index
    tensors = [torch.from_numpy(x[at]) for x in (rows["obs"], action, rows["following_obs"])]
    dones, rewards = (torch.from_numpy(rows[k][at].astype(np.float32))[:, None] for k in ("terminated", "reward"))
    samples = ReplayBufferSamples(tensors[0], tensors[1][:, None], tensors[2], dones, rewards)
    theirs.replay_buffer.sample = lambda *_, **__: samples
    theirs.train(1, 16)
    want = theirs.logger.name_to_value["train/loss"]
    assert float(learner.loss(network, batch).value.detach()) == pytest.approx(want, rel=1e-5)
    assert learner.gradients(network, batch).value == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("duelling", [False, True])
@pytest.mark.parametrize("activation", ["relu", "silu"])  # by hand, by autograd
def test_targets_in_closed_form(double: bool, duelling: bool, activation: str) -> None:
    network, learner = network_and_learner(double=double, duelling=duelling, activation=activation)
    rows = transitions(40, 4)
    fill(learner, np.zeros(40, dtype=np.int64), rows)
    shake(network, 1.0)
    target = {name: p.detach().clone() for name, p in network.named_parameters()}
    learner.target = dict(target)
    following = learner.collector.split(rows["following_obs"])
    with torch.no_grad():
        frozen = action_values(network(following, "act")).numpy()
        shake(network, 1.0, seed=5)
        online = action_values(network(following, "act")).numpy()
    assert 0.0 < (frozen.argmax(1) != online.argmax(1)).mean() < 1.0
    batch = learner.next_batch(network)
    assert (learner._view is None) == (activation == "silu")
    chosen = (online if double else frozen).argmax(1)
    want = rows["reward"] + 0.99 * ~rows["terminated"] * frozen[np.arange(40), chosen]
    np.testing.assert_allclose(batch.target.numpy(), want[learner._index], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("huber", [1.0, 2.5, None])
@pytest.mark.parametrize("duelling", [False, True])
def test_gradient_by_hand_equals_autograd(duelling: bool, huber: float | None) -> None:
    network, learner = network_and_learner(duelling=duelling, huber=huber, activation="tanh", env="Acrobot-v1")
    shake(network)
    batch = learner.next_batch(network)
    g = torch.Generator().manual_seed(1)
    q = action_values(network(batch.blocks, "act")).detach()[torch.arange(16), batch.action]
    batch = batch._replace(
        weight=torch.rand(16, generator=g) + 0.1, target=q + 1.5 * (huber or 1.0) * torch.randn(16, generator=g)
    )
    found, loss = learner.gradients(network, batch), learner.loss(network, batch)
    error = learner._error
    assert 0.1 < (np.abs(error) > (huber or 1.0)).mean() < 0.9, "both branches of Huber's loss must be exercised"
    assert found.value == pytest.approx(float(loss.value.detach()), rel=1e-5)
    wanted = torch.autograd.grad(loss.value, found.parameters)
    for mine, theirs in zip(found.gradients, wanted, strict=True):
        scale = float(theirs.abs().max()) + 1e-3
        np.testing.assert_allclose(mine.numpy() / scale, theirs.numpy() / scale, atol=5e-6)


@pytest.mark.parametrize("huber", [1.0, None])
def test_a_weighted_loss_is_the_weighted_mean(huber: float | None) -> None:
    network, learner = network_and_learner(huber=huber)
    batch = learner.next_batch(network)
    weight = torch.linspace(0.1, 1.0, 16)
    q = action_values(network(batch.blocks, "act"))[torch.arange(16), batch.action]
    squared = 0.5 * (q - batch.target).square()
    each = squared if huber is None else smooth_l1_loss(q, batch.target, reduction="none")
    torch.testing.assert_close(learner.loss(network, batch._replace(weight=weight)).value, (weight * each).mean())


def test_importance_weights_reach_the_loss_and_their_exponent_rises_to_one() -> None:
    """w = (N P)^-β / max, β from 0.4 to 1 over 10 updates, with the priorities of a hand-made memory."""
    network, learner = network_and_learner(priority={"exponent": 0.6, "correction": 0.4, "updates": 10})
    rows = transitions(40, 4)
    fill(learner, np.zeros(40, dtype=np.int64), rows)
    size = np.linspace(0.1, 4.0, 40)
    for updates, beta in ((0, 0.4), (5, 0.7), (10, 1.0), (30, 1.0)):
        learner.collector.memory.reprioritise(np.arange(40), size)
        learner._updates = updates
        batch = learner.next_batch(network)
        chance = (size + 1e-6) ** 0.6 / ((size + 1e-6) ** 0.6).sum()
        weight = ((40 * chance) ** -beta)[learner._index]
        np.testing.assert_allclose(batch.weight.numpy(), weight / weight.max(), rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "silu"])  # by hand, by autograd
def test_n_step_double_duelling_targets_in_closed_form(activation: str) -> None:
    """All options at once: R over up to three steps, then γ^k Q'(s_k, argmax Q)."""
    network, learner = network_and_learner(
        double=True, duelling=True, replay={"size": 60, "warmup": 40, "n_step": 3}, activation=activation, discount=0.9
    )
    rows = transitions(40, 4)
    memory, envs = learner.collector.memory, learner.env.num_envs
    for i in range(0, 40, envs):  # four environments side by side, ten steps each, ends where `terminated`
        part = slice(i, i + envs)
        no, yes = np.zeros(envs, dtype=bool), np.ones(envs, dtype=bool)
        args = (rows[k][part] for k in ("reward", "following_obs", "terminated"))
        memory.add(rows["obs"][part], np.zeros(envs, dtype=np.int64), *args, no, yes)
    learner.collector._due = 10**6
    shake(network, 1.0)
    learner.target = {name: p.detach().clone() for name, p in network.named_parameters()}
    following = learner.collector.split(rows["following_obs"])
    with torch.no_grad():
        frozen = action_values(network(following, "act")).numpy()
        shake(network, 1.0, seed=5)
        online = action_values(network(following, "act")).numpy()
    batch = learner.next_batch(network)
    ended = 0
    for row, target in zip(learner._index, batch.target.numpy(), strict=True):
        want, factor, at = 0.0, 1.0, row
        for k in range(3):
            at = row + k * envs
            want += factor * rows["reward"][at]
            factor *= 0.9
            if rows["terminated"][at] or at + envs >= 40:
                break
        ended += bool(rows["terminated"][at])
        want += 0.0 if rows["terminated"][at] else factor * frozen[at, online[at].argmax()]
        assert target == pytest.approx(want, rel=1e-4, abs=1e-5)
    assert 0 < ended < 16


@pytest.mark.parametrize(("rate", "every"), [(1.0, 3), (0.25, 2)])
def test_the_target_moves_when_it_should(rate: float, every: int) -> None:
    network, learner = network_and_learner(target={"rate": rate, "every": every})
    learner.next_batch(network)
    start = {name: x.clone() for name, x in learner.target.items()}
    shake(network)
    for update in range(1, every + 1):
        assert all(torch.equal(learner.target[name], start[name]) for name in start), update
        learner.after_step(network, {})
    for name, p in network.named_parameters():
        torch.testing.assert_close(learner.target[name], start[name] + rate * (p.detach() - start[name]))


def test_priorities_are_the_errors_of_the_batch() -> None:
    network, learner = network_and_learner(priority={"exponent": 1.0})
    batch = learner.next_batch(network)
    learner.loss(network, batch)
    q = action_values(network(batch.blocks, "act")).detach()[torch.arange(16), batch.action]
    learner.after_step(network, {})
    tree = learner.collector.memory.tree
    found = tree.sums[tree.leaves + learner._index]
    np.testing.assert_allclose(found, (q - batch.target).abs().numpy() + 1e-6, rtol=1e-5)


def test_exploration_falls_linearly_and_the_rest_is_greedy() -> None:
    network, learner = network_and_learner(explore={"start": 0.8, "end": 0.0, "steps": 100})
    shake(network)
    learner._prepare(network)
    rows = transitions(4000, 4)
    blocks = learner.collector.split(rows["obs"])
    with torch.no_grad():
        best = action_values(network(blocks, "act")).argmax(1).numpy()
    for steps, exploration in ((0, 0.8), (20, 0.16), (25, 0.0)):  # of each of four environments
        learner.collector.steps = steps
        assert learner.exploration == pytest.approx(exploration)
        action = learner._behaviour(network)(blocks, np.random.default_rng(0))
        assert (action != best).mean() == pytest.approx(exploration / 2, abs=0.02)  # half of the random ones agree


def test_the_program_gives_values_and_their_maximum() -> None:
    for duelling in (False, True):
        assembly = build("dqn", duelling=duelling)
        assembly.trainer.run(assembly.config)
        program = assembly.finish()
        task = program.task("act")
        assert (task.unit, task.outputs) == ("return", ("action_0", "action_1", "value"))
        out = program(assembly.learners[0].collector.split(transitions(20, 4)["obs"]), "act")
        torch.testing.assert_close(out[:, 2], out[:, :2].max(1).values)
        returns = [rollout("CartPole-v1", greedy(program, task), range(900, 905)).returns for _ in range(2)]
        np.testing.assert_array_equal(*returns)


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(SpecError, match=r"dqn cannot act in 'Pendulum-v1'.*continuous"):
        build("dqn", env="Pendulum-v1")
