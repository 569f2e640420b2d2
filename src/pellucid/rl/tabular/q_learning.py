"""Q-learning (Watkins 1989): off-policy, Q(s, a) += alpha * (r + discount * max_a' Q(s', a') - Q(s, a)).

The step size is n(s, a)^-power, n counting visits, which converges with probability one for 1/2 < power <= 1 and fast
for powers below one (Even-Dar & Mansour 2003). A truncated step bootstraps, a terminated one does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.random import derive, stream

Floats = npt.NDArray[np.float64]
Progress = Callable[[int], None]


def q_learning(
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
    """Learn Q* from `steps` steps of an environment with finite states and actions.

    Args:
        env: with Discrete observations and actions; `MDPEnv(mdp)`, say.
        discount: of rewards, per step.
        epsilon: share of random actions; 1.0 explores most evenly, and Q-learning does not mind.
        power: of the step size.
        initial: value of what was never tried; more than can be earned makes the greedy policy try everything.
        progress: told the steps done, now and then.
    Returns:
        Q, (S, A); `initial` where never visited.
    """
    Q, visits = tables(env, initial)
    generator = stream(seed, "q_learning")
    s = _begin(env, derive(seed, "q_learning/env"))
    for done in range(steps):
        tell(progress, done)
        a = explore(Q[s], epsilon, generator)
        following, reward, terminated, truncated, _ = env.step(a)
        target = float(reward) + (0.0 if terminated else discount * float(Q[following].max()))
        visits[s, a] += 1.0
        Q[s, a] += visits[s, a] ** -power * (target - Q[s, a])
        s = _begin(env, None) if terminated or truncated else int(following)
    return Q


def tell(progress: Progress | None, done: int) -> None:
    """Every ten thousand steps."""
    if progress is not None and done % 10_000 == 0:
        progress(done)


def tables(env: gymnasium.Env[Any, Any], initial: float = 0.0) -> tuple[Floats, Floats]:
    """(Q, visits), (S, A): all `initial`, all zero.

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
    return np.full(shape, initial), np.zeros(shape)


def explore(q: Floats, epsilon: float, generator: np.random.Generator) -> int:
    """Epsilon-greedy: a random action with probability epsilon, else the best (the first among equals)."""
    if generator.random() < epsilon:
        return int(generator.integers(len(q)))
    return int(q.argmax())


def _begin(env: gymnasium.Env[Any, Any], seed: int | None) -> int:
    return int(env.reset(seed=seed)[0])
