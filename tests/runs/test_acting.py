"""Actions of a policy: the same for one observation as among many, drawn as its distribution says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.core.errors import SchemaError, SpecError
from pellucid.nn.program import NetworkProgram
from pellucid.runs.acting import act
from pellucid.spec.presets import env_spec


def policy(env: str, algorithm: str = "ppo") -> NetworkProgram:
    spec = env_spec(env, algorithm=algorithm, overrides=("network.width=16",))
    program = assemble(problem(spec), None, seed=1).finish()
    program.network.eval()
    with torch.no_grad():  # opinions of its own: heads start near zero
        for parameter in program.network.heads.parameters():
            parameter.mul_(30.0)
    return program


def test_one_observation_is_answered_as_among_many() -> None:
    program = policy("CartPole-v1")
    task = program.task("policy")
    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    many = act(program, task, obs)
    assert set(many.tolist()) == {0, 1}
    assert [act(program, task, row) for row in obs] == many.tolist()
    assert isinstance(act(program, task, obs[0]), int)
    by_field = {name: obs[:, i] for i, name in enumerate(task.inputs)}
    assert (act(program, task, by_field) == many).all()
    assert (act(program, task, pd.DataFrame(by_field)) == many).all()
    assert act(program, task, {name: float(v[3]) for name, v in by_field.items()}) == many[3]
    assert act(program, task, obs[:1]).shape == (1,)


def test_numbers_of_states_are_one_hot() -> None:
    program = policy("FrozenLake-v1")
    task = program.task("policy")
    many = act(program, task, np.arange(16))
    assert [act(program, task, state) for state in range(16)] == many.tolist()
    assert (act(program, task, np.eye(16, dtype=np.float32)) == many).all()
    assert len(set(many.tolist())) > 1


def test_drawn_actions_are_as_likely_as_the_policy_says() -> None:
    program = policy("CartPole-v1")
    task = program.task("policy")
    obs = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
    logits = program(program.encoding.encode_fields({n: obs[:, [i]] for i, n in enumerate(task.inputs)}), "policy")
    chance = float(torch.softmax(logits[0, :2], 0)[1])
    assert 0.05 < chance < 0.95
    drawn = act(program, task, np.repeat(obs, 20_000, axis=0), deterministic=False, seed=5)
    assert drawn.mean() == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / 20_000))
    some = np.repeat(obs, 200, axis=0)
    first = act(program, task, some, deterministic=False, seed=5)
    assert (first == act(program, task, some, deterministic=False, seed=5)).all()
    assert (first != act(program, task, some, deterministic=False, seed=6)).any()
    assert (first != act(program, task, some, deterministic=False, seed=5, step=1)).any()


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_continuous_actions_lie_in_their_box(algorithm: str) -> None:
    program = policy("Pendulum-v1", algorithm)
    task = program.task("policy")
    obs = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    greedy = act(program, task, obs)
    drawn = act(program, task, obs, deterministic=False)
    assert greedy.shape == drawn.shape == (30, 1)
    assert np.abs(drawn).max() <= 2.0
    assert np.abs(drawn - greedy).min() > 0.0
    np.testing.assert_allclose(act(program, task, obs[7]), greedy[7], atol=1e-6)


@pytest.mark.parametrize(
    ("observation", "said"),
    [
        (np.zeros(3), "reads 4 values"),
        (np.zeros((2, 5)), "reads 4 values"),
        (np.float64(1.0), "reads 4 values"),
        ({"cart_position": 0.0}, "lacks 'cart_velocity'"),
        (pd.DataFrame({"cart_position": [0.0]}), "lacks 'cart_velocity'"),
    ],
)
def test_another_observation_is_refused(observation: Any, said: str) -> None:
    program = policy("CartPole-v1")
    with pytest.raises(SchemaError, match=said):
        act(program, program.task("policy"), observation)


def test_what_has_no_distribution_is_not_sampled() -> None:
    program = policy("CartPole-v1", "dqn")
    task = program.task("policy")
    assert act(program, task, np.zeros(4)) in (0, 1)
    with pytest.raises(SpecError, match="cannot be sampled: its outputs are values of actions"):
        act(program, task, np.zeros(4), deterministic=False)
