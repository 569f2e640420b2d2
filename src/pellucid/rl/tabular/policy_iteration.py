"""Policy iteration (Howard 1960): value of a policy by a linear system, then the policy that is greedy for it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, eye_array
from scipy.sparse.linalg import MatrixRankWarning, spsolve

from pellucid.core.errors import DataError
from pellucid.envs.finite import MDP
from pellucid.rl.tabular.value_iteration import Floats, Solution, bellman_residual, check_discount, solution

TIE = 1e-12  # a gain below this times the largest value is rounding: without it, equals take turns for ever


def policy_value(mdp: MDP, policy: npt.NDArray[Any], discount: float) -> Floats:
    """Value of a policy, (S,): (I - discount * P_pi)^-1 r_pi.

    Args:
        policy: an action per state (S,), or probabilities (S, A).
    Raises:
        DataError: undiscounted, and some episode under this policy never ends.
    """
    check_discount(discount)
    P, r = mdp.under(policy)
    if discount == 1.0 and not _ends(P):
        raise DataError(
            "without a discount this policy has no value: from some states no episode ever ends.",
            where=f"policy_value, '{mdp.name}'",
            mend="a discount below one, or expected_return(...) under a time limit",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", MatrixRankWarning)
        value: Floats = np.atleast_1d(spsolve(csc_array(eye_array(mdp.states) - discount * P), r))
    return value


def policy_iteration(mdp: MDP, discount: float, *, first: npt.NDArray[np.int64] | None = None) -> Solution:
    """The optimal values; ends after finitely many policies, each at least as good as the one before.

    Args:
        first: the policy to begin with, (S,); action 0 everywhere by default. Undiscounted, it must end every episode.
    """
    policy = np.zeros(mdp.states, dtype=np.int64) if first is None else np.array(first, dtype=np.int64)
    rows = np.arange(mdp.states)
    tried = 0
    while True:
        V = policy_value(mdp, policy, discount)
        tried += 1
        Q = mdp.R + discount * mdp.ahead(V)
        better = Q.max(1) > Q[rows, policy] + TIE * max(1.0, float(np.abs(V).max()))
        if not better.any():
            return solution(mdp, V, discount, bellman_residual(mdp, V, discount), tried)
        policy = np.where(better, Q.argmax(1), policy)


def _ends(P: Any) -> bool:
    """From every state there is a way to the end, along transitions of P and what its rows lack to one."""
    reaches = np.asarray(P.sum(axis=1)).ravel() < 1.0 - 1e-12
    links = (P > 0).astype(np.float64)
    while True:
        wider = reaches | (links @ reaches.astype(np.float64) > 0.0)
        if (wider == reaches).all():
            return bool(reaches.all())
        reaches = wider
