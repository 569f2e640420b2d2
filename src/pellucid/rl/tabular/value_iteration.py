"""Value iteration (Bellman 1957): repeat V <- max_a (R + discount * P V) until nothing changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, TrainingFault
from pellucid.envs.finite import MDP

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """What an exact method found.

    Args:
        Q: value of every action in every state, (S, A).
        V: value of every state, (S,).
        policy: the best action (the first among equals), (S,).
        residual: the largest |T V - V|, T the Bellman operator.
        iterations: sweeps, or policies tried.
        discount: of rewards, per step.
        value: expected value of a start state.
    """

    Q: Floats
    V: Floats
    policy: npt.NDArray[np.int64]
    residual: float
    iterations: int
    discount: float
    value: float


def backup(Q: Floats, epsilon: float = 0.0) -> Floats:
    """Value of every state, (S,): of the best action, or of acting at random a share `epsilon` of the time."""
    value: Floats = (1.0 - epsilon) * Q.max(1) + epsilon * Q.mean(1)
    return value


def bellman_residual(mdp: MDP, V: Floats, discount: float, epsilon: float = 0.0) -> float:
    """The largest |T V - V|: zero for the optimal value and for no other."""
    return float(np.abs(backup(mdp.R + discount * mdp.ahead(V), epsilon) - V).max())


def value_iteration(
    mdp: MDP, discount: float, *, epsilon: float = 0.0, tolerance: float = 1e-10, sweeps: int = 1_000_000
) -> Solution:
    """The optimal values, to a Bellman residual of at most `tolerance`.

    Args:
        mdp: its time limit is not looked at: see `finite_horizon` for that.
        discount: below one; at one, only where the best policy ends every episode.
        epsilon: values of the best policy among those that act at random a share `epsilon` of the time, which is what
            SARSA learns.
        tolerance: of the residual. |V - V*| is at most tolerance * discount / (1 - discount) after it.
    Raises:
        TrainingFault: the residual does not get there: values that grow without end, or rewards too large for it.
    """
    check_discount(discount)
    V = np.zeros(mdp.states)
    residual = np.inf
    for sweep in range(1, sweeps + 1):
        new = backup(mdp.R + discount * mdp.ahead(V), epsilon)
        residual, V = float(np.abs(new - V).max()), new
        # The residual of `new` is at most discount times this one: stop only when the values returned are that good.
        if residual <= tolerance and (left := bellman_residual(mdp, V, discount, epsilon)) <= tolerance:
            return solution(mdp, V, discount, left, sweep, epsilon)
    raise TrainingFault(
        f"value iteration has a residual of {residual:.3g} after {sweeps} sweeps; {tolerance:g} was asked for.",
        where=f"'{mdp.name}', discount {discount}",
        mend="a discount below one, finite_horizon(...), or a larger tolerance",
    )


def solution(mdp: MDP, V: Floats, discount: float, residual: float, iterations: int, epsilon: float = 0.0) -> Solution:
    """Values per state with all that follows from them."""
    Q = mdp.R + discount * mdp.ahead(V)
    best: Any = Q.argmax(1)
    return Solution(Q, V, best, residual, iterations, discount, float(mdp.start @ V))


def check_discount(discount: float) -> None:
    """Refuse what is no discount."""
    if not 0.0 <= discount <= 1.0:
        raise DataError(f"a discount of {discount} is not within [0, 1].", where="discount", mend="0.99, say")
