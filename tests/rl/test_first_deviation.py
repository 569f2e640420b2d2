"""A Gaussian policy begins with the deviation that its section names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pellucid.assemble import assemble, problem
from pellucid.rl.ppo import PPO
from pellucid.spec.presets import env_spec


@pytest.mark.parametrize("log_std", [0.0, -1.5])
def test_actions_of_the_first_rollout_are_spread_so(log_std: float) -> None:
    overrides = (f"tasks.policy.ppo.log_std={log_std}", "tasks.policy.ppo.num_envs=8")
    assembly = assemble(problem(env_spec("Pendulum-v1", algorithm="ppo", overrides=overrides)), None, seed=0)
    learner = assembly.learners[0]
    assert isinstance(learner, PPO)
    action = learner._collect(assembly.program.network).action
    # The mean action is near zero at first: heads start near zero.
    wanted = math.exp(log_std)
    error = 4 * wanted / math.sqrt(2 * len(action))  # four standard errors of a deviation
    assert abs(float(np.std(action)) - wanted) < error
