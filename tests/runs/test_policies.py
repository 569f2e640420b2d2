"""Policies: the replay over prices is the environment walked greedily; rollouts add up what the environment paid."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

from pellucid.assemble import problem
from pellucid.core.errors import SchemaError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.envs.vectorise import make
from pellucid.runs.artefact import load_program
from pellucid.runs.policies import POSITION, action_dimension, greedy, replay_policy, rollout, visited, with_position
from tiny_programs import market_spec


@pytest.fixture(scope="module")
def trader(fitted_market):
    store = fitted_market.store
    program = load_program(store, store.resolve("market"))
    return program, program.tasks["trade"], problem(market_spec().within(fitted_market.folder)).rows


class Policy:
    """Scores by a function of all observed values, under names of its own. Implements `core.program.Program`."""

    def __init__(self, score, names, actions=2, space="discrete", **options):
        outputs = (*[f"action_{i}" for i in range(actions)], "value")
        self.task = Task("act", "control", tuple(names), outputs, "logit", "negative_reward", (),
                         {"space": space, "actions": actions, **options})  # fmt: skip
        self.schema, self.tasks = Schema(tuple(Field(n) for n in names), {"act": ()}), {"act": self.task}
        self.score = score

    def encode(self, rows):
        return {n: torch.as_tensor(rows.column(n)).reshape(len(rows), -1) for n in self.task.inputs}

    def __call__(self, blocks, task):
        return self.score(torch.cat([blocks[n] for n in self.task.inputs], 1).double())


BIAS = (0.0, 1.0, 0.0)  # so that all three positions are taken


def moody(program):
    """A trader whose choices depend on the position that it holds, so that the walk matters."""
    held = program.network.encoders["_position"].project.weight
    with torch.no_grad():
        held.copy_(torch.randn(held.shape, generator=torch.Generator().manual_seed(1)))
        policy = program.network.heads["_trade"]["policy"]
        policy.weight.copy_(torch.randn(policy.weight.shape, generator=torch.Generator().manual_seed(2)))
        policy.bias.copy_(torch.tensor(BIAS))
    return program


def test_the_replay_is_the_environment_walked_greedily(fitted_market, trader):
    _, task, rows = trader
    store = fitted_market.store
    program = moody(load_program(store, store.resolve("market")))
    part = rows.take(slice(100, 260))
    found = replay_policy(program, task, part)
    assert {0.0, -1.0, 1.0} == set(POSITION[found.action])
    env = make("pellucid/StockTrading-v0", 1, 0, {"rows": part, "cost_bps": task.options["cost_bps"]})
    choose, obs = greedy(program, task), env.reset()
    for t in range(len(part) - 1):
        assert obs["position"][0, 0] == found.held[t]
        action = choose(obs, t)
        assert action[0] == found.action[t]
        step = env.step(action)
        assert step.reward[0] == pytest.approx(found.net[t], abs=1e-12)
        obs = step.obs
    assert step.truncated[0]
    state = with_position(part, found.held)
    outputs = program(program.encode(state), "trade").double().numpy()
    assert np.allclose(outputs, found.outputs, atol=1e-6)
    assert np.array_equal(visited(program, task, part).fields["position"][:, 0], found.held)


def test_a_day_without_a_next_return_has_no_reward(trader):
    program, task, rows = trader
    assert np.isnan(rows.extra["next_return"][-1])
    net = replay_policy(program, task, rows).net
    assert np.isnan(net[-1])
    assert np.isfinite(net[:-1]).all()


def by_hand(seed):
    """CartPole, pushed towards where the pole leans."""
    env = gymnasium.make("CartPole-v1")
    obs, _ = env.reset(seed=seed)
    total, first = 0.0, obs
    while True:
        obs, reward, terminated, truncated, _ = env.step(int(obs[2] + obs[3] > 0))
        total += reward
        if terminated or truncated:
            return total, first


def leaning(x):
    lean = x[:, 2:3] + x[:, 3:4]
    return torch.cat([-lean, lean, 0 * lean], 1)


NAMES = ("cart_position", "cart_velocity", "pole_angle", "pole_velocity")


def test_a_rollout_adds_up_what_the_environment_paid():
    policy = Policy(leaning, NAMES)
    found = rollout("CartPole-v1", greedy(policy, policy.task), range(7, 17), keep=10)
    expected = [by_hand(seed) for seed in range(7, 17)]
    assert found.returns.tolist() == [total for total, _ in expected]
    assert found.lengths.tolist() == found.returns.tolist()
    assert len(found.states) == 10
    assert found.states.keys[0] == "CartPole-v1/seed=7/step=0"
    assert found.states.fields["pole_angle"][0, 0] == pytest.approx(expected[0][1][2])
    alone = rollout("CartPole-v1", greedy(policy, policy.task), range(9, 10))
    assert alone.returns[0] == found.returns[2]  # an episode is named by its seed, whatever is played beside it
    short = rollout("CartPole-v1", greedy(policy, policy.task), range(7, 10), limit=5)
    assert short.lengths.tolist() == [5.0, 5.0, 5.0]


def test_a_policy_from_elsewhere_is_fed_in_order():
    ours, theirs = Policy(leaning, NAMES), Policy(leaning, ("x", "v", "angle", "spin"))
    backwards = Policy(lambda x: leaning(x.flip(1)), NAMES[::-1])  # by name, whatever the order
    returns = [rollout("CartPole-v1", greedy(p, p.task), range(5)).returns.tolist() for p in (ours, theirs, backwards)]
    assert returns[0] == returns[1] == returns[2]
    short = Policy(leaning, ("x", "v", "angle"))
    with pytest.raises(SchemaError, match="reads 3 values \\(x, v, angle\\), the environment gives 4"):
        rollout("CartPole-v1", greedy(short, short.task), range(2))


def test_continuous_actions_are_clipped_to_the_box():
    policy = Policy(lambda x: torch.cat([100.0 * x[:, :1], x[:, :1]], 1), ("cos_theta", "sin_theta", "velocity"), 1,
                    "box", low=[-2.0], high=[2.0])  # fmt: skip
    choose = greedy(policy, policy.task)
    obs = {n: np.array([[1.0], [-1.0], [0.001]], dtype=np.float32) for n in policy.task.inputs}
    assert choose(obs, 0)[:, 0].tolist() == pytest.approx([2.0, -2.0, 0.1])
    assert rollout("Pendulum-v1", choose, range(2), limit=20).lengths.tolist() == [20.0, 20.0]


def test_the_number_of_actions():
    assert action_dimension(Policy(leaning, NAMES).task) == 2
    bare = Task("t", "control", ("x",), ("a", "b", "value"), "logit", "negative_reward")
    assert action_dimension(bare) == 2


def test_rows_of_states_keep_their_keys(trader):
    _, _, rows = trader
    states = with_position(rows.take(slice(0, 4)), [0.0, 1.0, -1.0, 0.0])
    assert isinstance(states, Rows)
    assert states.keys.tolist() == rows.keys[:4].tolist()
    assert states.fields["position"].shape == (4, 1)
    assert "position" not in rows.fields
