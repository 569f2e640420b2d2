"""The undiscounted optimum under a time limit, by backward induction on (t, s) (Bellman 1957).

This is what an environment with a time limit really asks for. The best action depends on the steps that are left, so
the best policy that sees only the state may earn a little less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.envs.finite import MDP
from pellucid.rl.tabular.value_iteration import Floats


@dataclass(frozen=True)
class Horizon:
    """Values and decisions at every time.

    Args:
        V: V[t, s] is the most that can still be expected with `len(policy) - t` steps left, (T + 1, S); V[T] = 0.
        policy: the best action (the first among equals), (T, S).
        value: expected return of an episode: the optimum.
    """

    V: Floats
    policy: npt.NDArray[np.int64]
    value: float


def finite_horizon(mdp: MDP, horizon: int | None = None) -> Horizon:
    """The optimum over all policies, those that look at the clock included.

    Args:
        horizon: steps of an episode; by default the MDP's own time limit.
    """
    T = _limit(mdp, horizon)
    V = np.zeros((T + 1, mdp.states))
    policy: npt.NDArray[np.int64] = np.zeros((T, mdp.states), dtype=np.int64)
    for t in range(T - 1, -1, -1):
        Q = mdp.R + mdp.ahead(V[t + 1])
        policy[t], V[t] = Q.argmax(1), Q.max(1)
    return Horizon(V, policy, float(mdp.start @ V[0]))


def expected_return(mdp: MDP, policy: npt.NDArray[Any], horizon: int | None = None) -> float:
    """What a policy earns in an episode on average, exactly: no episode is played.

    Args:
        policy: an action per state (S,), probabilities (S, A) of floats, or an action per time and state (T, S) of
            integers.
        horizon: steps of an episode; by default the MDP's own time limit.
    """
    T = _limit(mdp, horizon)
    policy = np.asarray(policy)
    timed = policy.ndim == 2 and policy.dtype.kind in "iu"
    V = np.zeros(mdp.states)
    P, r = mdp.under(policy[-1] if timed else policy)
    for t in range(T - 1, -1, -1):
        if timed:
            P, r = mdp.under(policy[t])
        V = r + P @ V
    return float(mdp.start @ V)


def _limit(mdp: MDP, horizon: int | None) -> int:
    limit = mdp.horizon if horizon is None else horizon
    if limit is None or limit < 1:
        raise DataError(
            f"'{mdp.name}' has no time limit." if limit is None else f"a horizon of {limit} steps holds no decision.",
            where="horizon",
            mend="give horizon=..., or value_iteration(mdp, 1.0) where the best policy ends every episode",
        )
    return int(limit)
