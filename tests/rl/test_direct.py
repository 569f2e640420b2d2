"""Direct: its loss is minus the environment's own reward; what it can learn in, and what not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pellucid.assemble import Assembly, assemble, problem
from pellucid.core.errors import DataError, SpecError
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.data.planted import simulate
from pellucid.data.prices import windows
from pellucid.envs.planted_trading import PlantedTradingVectorEnv
from pellucid.envs.trading import StockTradingEnv
from pellucid.nn.outputs import band, mean_position, network_inputs, within
from pellucid.rl.direct import Direct, DirectBatch
from pellucid.spec.loader import spec_from


def assembly(seed: int = 0, env: str = "pellucid/PlantedTrading-v0", **options: Any) -> Assembly:
    task = {
        "kind": "control",
        "env": env,
        "algorithm": "direct",
        "env_options": options,
        "direct": {"paths": 8, "steps": 5},
    }
    raw = {"name": "it", "tasks": {"trade": task}, "network": {"width": 16, "depth": 1}}
    return assemble(problem(spec_from(raw, where="test")), None, seed=seed)


def bold(made: Assembly) -> Assembly:
    """Heads start near zero; with larger weights positions are worth looking at."""
    with torch.no_grad():
        for parameter in made.program.network.parameters():
            parameter.mul_(1.5)
        made.program.network.heads["_trade"]["policy"].weight.mul_(60.0)
    return made


def test_the_loss_is_minus_the_reward_of_the_market() -> None:
    """Walked once more through the environment, position by position."""
    made = bold(assembly(actions="box", sigma=1.0, cost=0.7, kind="jumps"))
    learner, program = made.learners[0], made.program
    assert isinstance(learner, Direct)
    batch = learner.next_batch(program.network)
    assert batch.blocks["x"].shape == (8, 6, 1)
    found = learner.loss(program.network, batch)
    env = PlantedTradingVectorEnv(8, "jumps", sigma=1.0, cost=0.7, actions="box", episode_steps=5)
    env.reset(seed=0)
    env.game.walk.path.signal[:] = batch.blocks["x"][:, :, 0].numpy()
    env.game.walk.path.following[:, :5] = batch.following.numpy() * learner.unit
    env.game.position = batch.start[:, 0].double().numpy()
    obs, rewards, moved = env.game.look(), [], []
    for _ in range(5):
        rows = Rows(np.full(8, ""), dict(obs))
        action = program(program.encode(rows), "trade")[:, :1].numpy()
        moved.append(np.abs(action - obs["position"]).mean())
        obs, reward, _, _, _ = env.step(action)
        rewards.append(reward)
    assert float(found.metrics["reward"]) == pytest.approx(np.mean(rewards), rel=1e-5)
    assert float(found.metrics["turnover"]) == pytest.approx(np.mean(moved), rel=1e-5)
    rest = float(found.value.detach()) + np.mean(rewards) / learner.unit
    assert rest == pytest.approx(0.5 * float(found.metrics["value_loss"]), rel=1e-3, abs=1e-6)
    assert np.mean(moved) > 0.01


def test_its_gradient_is_that_of_finite_differences() -> None:
    made = bold(assembly(actions="discrete", cost=0.7, sigma=1.0))
    learner, network = made.learners[0], made.program.network.double()
    batch = learner.next_batch(network)
    batch = DirectBatch(
        {name: block.double() for name, block in batch.blocks.items()}, batch.following.double(), batch.start.double()
    )
    weight = network.heads["_trade"]["policy"].weight
    # The value's target is held fixed in the gradient, so only the policy's head, which it does not read, is compared.
    learner.config = type(learner.config)(learner.config.paths, learner.config.steps, value_weight=0.0)
    (gradient,) = torch.autograd.grad(learner.loss(network, batch).value, [weight])
    for place in [(0, 3), (2, 7)]:
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[place] += step
                values.append(float(learner.loss(network, batch).value))
                weight[place] -= step
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(gradient[place]), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("actions", ["box", "discrete"])
def test_the_error_of_the_value_does_not_pull_at_the_positions(actions: str) -> None:
    made = bold(assembly(actions=actions, cost=0.3))
    learner, network = made.learners[0], made.program.network
    batch = learner.next_batch(network)
    pulls = []
    for weight in (0.0, 1e3):
        learner.config = type(learner.config)(learner.config.paths, learner.config.steps, value_weight=weight)
        pulls.append(torch.autograd.grad(learner.loss(network, batch).value, network.heads["_trade"]["policy"].weight))
    assert bool(pulls[0][0].abs().sum() > 0.0)
    assert torch.allclose(pulls[0][0], pulls[1][0])


def test_the_value_is_fitted_to_discounted_rewards() -> None:
    made = assembly(actions="box")
    learner = made.learners[0]
    assert isinstance(learner, Direct)
    reward, last = torch.tensor([[1.0, 2.0, -1.0]]), torch.tensor([0.5])
    found = learner._to_go(reward, last)[0]
    share, gamma = learner.unit / learner.value_scale, 0.99
    by_hand = [share * (1 + gamma * 2 - gamma**2) + gamma**3 * 0.5, share * (2 - gamma) + gamma**2 * 0.5]
    assert found[:2].tolist() == pytest.approx(by_hand)
    assert learner.value_scale == pytest.approx(100 * learner.unit)


def test_positions_among_short_out_and_long() -> None:
    made = assembly(actions="discrete")
    raw = {"policy": torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])}
    assert mean_position(raw)[:, 0].tolist() == pytest.approx([0.0, 1.0])
    assert made.program.network.architecture["heads"]["trade"] == {"policy": 3, "value": 1}


def test_a_position_is_moved_into_the_band_and_no_further() -> None:
    made = assembly(actions="box")
    task, network = made.program.tasks["trade"], made.program.network
    assert network_inputs(task) == ("x",)
    assert task.inputs == ("x", "position")
    assert network.architecture["inputs"] == {"trade": ["x"]}
    with torch.no_grad():  # whatever is seen: middle 0.1, so much width that the edges are -0.15 and 0.35
        network.heads["_trade"]["policy"].weight.zero_()
        network.heads["_trade"]["policy"].bias.copy_(torch.tensor([0.1, np.log(np.e - 1.0)]))
        network.heads["_trade"]["value"].weight.zero_()
        network.heads["_trade"]["value"].bias.copy_(torch.tensor([0.5, -2.0]))
    held = np.array([-1.0, -0.2, 0.0, 0.9, 1.0])
    rows = Rows(np.full(5, ""), {"x": np.zeros((5, 1), np.float32), "position": held.astype(np.float32)[:, None]})
    out = made.program(made.program.encode(rows), "trade").numpy()
    lower, upper = np.tanh(4 * -0.15), np.tanh(4 * 0.35)
    assert out[:, 0] == pytest.approx(np.clip(held, lower, upper), abs=1e-6)
    assert lower < -0.2
    assert out[:, 1] == pytest.approx(0.5 - 2.0 * held, abs=1e-6)


def test_a_band_is_never_empty_and_only_the_edge_that_moved_it_learns() -> None:
    raw = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * 0.5
    raw.requires_grad_(True)
    lower, upper = band(raw)
    assert bool((lower <= upper).all())
    assert bool((lower.abs() <= 1.0).all() & (upper.abs() <= 1.0).all())
    held = torch.zeros(1000, 1)
    moved = (lower > held) | (upper < held)
    within(held, lower, upper).sum().backward()
    assert raw.grad is not None
    assert torch.equal(raw.grad.abs().sum(1) > 0.0, moved[:, 0])


def test_stretches_of_a_tape_earn_what_the_environment_pays() -> None:
    """Decided on day t, filled on t + 1: rewards of the stepped environment, rearranged."""
    rows = windows(simulate("planted", 400, seed=4)[0], window=6, scale_days=50)
    for fill in ("close", "open"):
        env = StockTradingEnv(rows, cost_bps=20.0, fill=fill)  # type: ignore[arg-type]
        fields, following = env.game.draw(stream(0, "a"), 30, 12)
        assert fields["return"].shape == (30, 12, 6)
        days = [int(np.flatnonzero((env.game.tape.fields["return"] == f).all(1))[0]) for f in fields["return"][:, 0]]
        assert max(days) + 12 <= len(rows) - 2
        for day, earned in zip(days[:3], following[:3], strict=True):
            env.reset(seed=0)
            env.game.walk.day[:] = day
            total = sum(env.step(2)[1] for _ in range(12)) + env.step(1)[1]  # long for 12 decisions, then out
            assert total == pytest.approx(earned.sum() - 2 * 20e-4, abs=1e-9)
    with pytest.raises(DataError, match="do not fit"):
        env.game.draw(stream(0, "a"), 1, 400)


def test_an_environment_that_answers_is_refused() -> None:
    with pytest.raises(SpecError, match="differentiates through a market's own reward"):
        assembly(env="CartPole-v1")
    with pytest.raises(SpecError, match="direct cannot learn in"):
        assembly(env="pellucid/StockPrice-v0")
