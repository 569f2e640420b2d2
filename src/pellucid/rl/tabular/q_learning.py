"""Q-learning (Watkins 1989): off-policy, Q(s, a) += alpha * (r + discount * max_a' Q(s', a') - Q(s, a)).

The step size is n(s, a)^-power, n counting visits, which converges with probability one for 1/2 < power <= 1 and fast
for powers below one (Even-Dar & Mansour 2003). A truncated step bootstraps, a terminated one does not.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.random import derive, stream

Floats = npt.NDArray[np.float64]


def q_learning(
    env: gymnasium.Env[Any, Any], discount: float, *, steps: int, seed: int, epsilon: float = 0.3, power: float = 0.7
) -> Floats:
    """Learn Q* from `steps` steps of an environment with finite states and actions.

    Args:
        env: with Discrete observations and actions; `MDPEnv(mdp)`, say.
        discount: of rewards, per step.
        epsilon: share of random actions; 1.0 explores most evenly, and Q-learning does not mind.
        power: of the step size.
    Returns:
        Q, (S, A); zero where never visited.
    """
    Q, visits = tables(env)
    generator = stream(seed, "q_learning")
    s = _begin(env, derive(seed, "q_learning/env"))
    for _ in range(steps):
        a = explore(Q[s], epsilon, generator)
        following, reward, terminated, truncated, _ = env.step(a)
        target = float(reward) + (0.0 if terminated else discount * float(Q[following].max()))
        visits[s, a] += 1.0
        Q[s, a] += visits[s, a] ** -power * (target - Q[s, a])
        s = _begin(env, None) if terminated or truncated else int(following)
    return Q


def tables(env: gymnasium.Env[Any, Any]) -> tuple[Floats, Floats]:
    """(Q, visits), both zero, (S, A).

    Raises:
        DataError: the environment is not finite.
    """
    sizes = [getattr(space, "n", None) for space in (env.observation_space, env.action_space)]
    if None in sizes or any(getattr(space, "start", 0) != 0 for space in (env.observation_space, env.action_space)):
        raise DataError(
            f"observations {env.observation_space} and actions {env.action_space} are no table.",
            where="a tabular learner",
            mend="give an environment with Discrete observations and actions, counted from 0",
        )
    shape = (int(sizes[0] or 0), int(sizes[1] or 0))
    return np.zeros(shape), np.zeros(shape)


def explore(q: Floats, epsilon: float, generator: np.random.Generator) -> int:
    """Epsilon-greedy: a random action with probability epsilon, else the best (the first among equals)."""
    if generator.random() < epsilon:
        return int(generator.integers(len(q)))
    return int(q.argmax())


def _begin(env: gymnasium.Env[Any, Any], seed: int | None) -> int:
    return int(env.reset(seed=seed)[0])
