"""SARSA (Rummery & Niranjan 1994): on-policy, Q(s, a) += alpha * (r + discount * Q(s', a') - Q(s, a)).

a' is the action that is really taken next, so the values are those of a policy that explores: with a fixed epsilon they
converge to `value_iteration(mdp, discount, epsilon=epsilon).Q`, not to Q*. Step sizes as in `q_learning`.
"""

from __future__ import annotations

from typing import Any

import gymnasium

from pellucid.core.random import derive, stream
from pellucid.rl.tabular.q_learning import Floats, Progress, explore, tables, tell


def sarsa(
    env: gymnasium.Env[Any, Any],
    discount: float,
    *,
    steps: int,
    seed: int,
    epsilon: float = 0.3,
    power: float = 0.7,
    initial: float = 0.0,
    progress: Progress | None = None,
) -> Floats:
    """Learn the values of the best epsilon-greedy policy from `steps` steps of an environment.

    Args, Returns: as of `q_learning`; here `epsilon` decides what is learned.
    """
    Q, visits = tables(env, initial)
    generator = stream(seed, "sarsa")
    s = int(env.reset(seed=derive(seed, "sarsa/env"))[0])
    a = explore(Q[s], epsilon, generator)
    for done in range(steps):
        tell(progress, done)
        following, reward, terminated, truncated, _ = env.step(a)
        then = explore(Q[following], epsilon, generator)
        target = float(reward) + (0.0 if terminated else discount * float(Q[following, then]))
        visits[s, a] += 1.0
        Q[s, a] += visits[s, a] ** -power * (target - Q[s, a])
        if terminated or truncated:
            s = int(env.reset()[0])
            a = explore(Q[s], epsilon, generator)
        else:
            s, a = int(following), then
    return Q
