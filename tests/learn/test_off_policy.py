"""DQN learns the exact values of a small process; SAC swings up the pendulum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.envs.finite import from_env
from pellucid.nn.program import NetworkProgram
from pellucid.rl.tabular.policy_iteration import policy_value
from pellucid.rl.tabular.value_iteration import value_iteration
from pellucid.runs.policies import greedy, rollout
from pellucid.spec.loader import spec_from
from pellucid.spec.presets import env_spec
from pellucid.train.loop import Hooks

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

LAKE = {
    "num_envs": 16,
    "steps": 8,
    "updates": 8,
    "discount": 0.9,
    "explore": {"start": 1.0, "end": 1.0},
    "target": {"every": 25},
    "replay": {"warmup": 16_000},
}
FROZEN = {"is_slippery": False}
PENDULUM = {"num_envs": 4}


def learned(
    env: str, algorithm: str, section: dict[str, Any], width: int, depth: int, *, seed: int = 0, **train: Any
) -> NetworkProgram:
    torch.set_num_threads(1)
    options = FROZEN if env == "FrozenLake-v1" else {}
    task = {"kind": "control", "env": env, "algorithm": algorithm, algorithm: section, "env_options": options}
    network = {"width": width, "depth": depth}
    settings = {"optimiser": "adam", "weight_decay": 0.0, **train}
    spec = spec_from({"name": "it", "tasks": {"p": task}, "network": network, "train": settings}, where="test")
    assembly = assemble(problem(spec), None, seed=seed)
    assembly.trainer.run(assembly.config, Hooks(schedule=assembly.schedule))
    return assembly.finish()


def score(program: NetworkProgram, env: str) -> float:
    return float(rollout(env, greedy(program, program.task("p")), range(10**6, 10**6 + 100)).returns.mean())


@pytest.mark.parametrize("options", [{"double": False}, {"duelling": True, "priority": {"exponent": 0.5}}])
def test_dqn_finds_the_values_of_the_frozen_lake(options: dict[str, Any]) -> None:
    """From random behaviour alone: near the exact values, and the greedy policy is worth the optimum."""
    mdp = from_env("FrozenLake-v1", **FROZEN)
    best = value_iteration(mdp, 0.9)
    train = {"updates": 1500, "lr": 3e-3, "schedule": "linear", "clip": 10.0}
    program = learned("FrozenLake-v1", "dqn", {**LAKE, **options}, 64, 1, **train)
    q = program({"state": torch.eye(16)}, "p")[:, :4].double().numpy()
    inside = [s for s in range(16) if s not in (5, 7, 11, 12, 15)]  # no holes, not the goal
    assert np.abs(q - best.Q)[inside].max() < 0.03
    assert policy_value(mdp, q.argmax(1), 0.9)[0] == pytest.approx(best.V[0])


def test_dqn_balances_the_pole_and_stays_there() -> None:
    """With the settings that are taken by name; a tuning seed."""
    torch.set_num_threads(1)
    assembly = assemble(problem(env_spec("CartPole-v1", algorithm="dqn")), None, seed=101)
    assembly.trainer.run(assembly.config, Hooks(schedule=assembly.schedule))
    program = assembly.finish()
    returns = rollout("CartPole-v1", greedy(program, program.task("policy")), range(10**6, 10**6 + 100)).returns
    assert returns.mean() >= 475.0


def test_sac_swings_up_the_pendulum() -> None:
    train = {"updates": 8000, "lr": 5e-4, "clip": None}
    assert score(learned("Pendulum-v1", "sac", PENDULUM, 64, 2, seed=100, **train), "Pendulum-v1") >= -180.0
