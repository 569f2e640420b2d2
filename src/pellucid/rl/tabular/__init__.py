"""Exact and learned solutions of finite Markov decision processes (Sutton & Barto 2018, chapters 3 to 6).

The exact ones are the yardstick of everything else: what a learner reaches is compared with the optimum, not guessed.
"""

from __future__ import annotations

from pellucid.envs.finite import MDP, MDPEnv, from_arrays, from_env, with_horizon
from pellucid.rl.tabular.finite_horizon import Horizon, expected_return, finite_horizon
from pellucid.rl.tabular.policy_iteration import policy_iteration, policy_value
from pellucid.rl.tabular.program import TabularProgram
from pellucid.rl.tabular.q_learning import q_learning
from pellucid.rl.tabular.sarsa import sarsa
from pellucid.rl.tabular.value_iteration import Solution, bellman_residual, value_iteration

__all__ = [
    "MDP",
    "Horizon",
    "MDPEnv",
    "Solution",
    "TabularProgram",
    "bellman_residual",
    "expected_return",
    "finite_horizon",
    "from_arrays",
    "from_env",
    "policy_iteration",
    "policy_value",
    "q_learning",
    "sarsa",
    "value_iteration",
    "with_horizon",
]
