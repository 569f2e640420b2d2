"""Finite Markov decision processes: their arrays, read from an environment or given, and played as an environment.

The arrays say what exact methods need (`rl.tabular`), the environment is what learners meet: both are the same process,
so that a learner can be checked against the exact optimum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from scipy.sparse import csr_array

from pellucid.core.errors import DataError
from pellucid.envs.making import find_spec
from pellucid.envs.market import rng_from, rng_state

Floats = npt.NDArray[np.float64]
SUM = 1e-8  # how far probabilities may be from one


@dataclass(frozen=True)
class MDP:
    """S states, A actions. An ended episode is in no state: what the rows of P lack to one is the chance of the end.

    Args:
        P: row s * A + a holds the probability of each next state *with the episode going on*; sparse, (S * A, S).
        R: expected reward of action a in state s, that of a last step included, (S, A).
        start: probability of beginning in each state, (S,).
        horizon: steps after which an episode is cut off; None: never.
        name: in messages.
    """

    P: Any
    R: Floats
    start: Floats
    horizon: int | None = None
    name: str = "MDP"

    @property
    def states(self) -> int:
        return int(self.R.shape[0])

    @property
    def actions(self) -> int:
        return int(self.R.shape[1])

    def ahead(self, value: Floats) -> Floats:
        """Expected value of the next state, (S, A), from a value per state (S,)."""
        found: Floats = (self.P @ value).reshape(self.R.shape)
        return found

    def under(self, policy: npt.NDArray[Any]) -> tuple[Any, Floats]:
        """(P_pi sparse (S, S), r_pi (S,)) of a policy: an action per state (S,), or probabilities (S, A)."""
        S, A = self.R.shape
        chance = np.asarray(policy)
        if chance.ndim == 1:
            chance = np.eye(A)[chance]
        choose = csr_array((chance.ravel(), np.arange(S * A), np.arange(S + 1) * A), shape=(S, S * A))
        return (choose @ self.P).tocsr(), np.einsum("sa,sa->s", chance, self.R)


def from_arrays(
    P: npt.ArrayLike,
    R: npt.ArrayLike,
    *,
    terminal: npt.ArrayLike | None = None,
    start: npt.ArrayLike | None = None,
    horizon: int | None = None,
    name: str = "MDP",
) -> MDP:
    """An MDP from its arrays.

    Args:
        P: probability of s' after action a in state s, (S, A, S); rows sum to one.
        R: reward, (S,), (S, A) or (S, A, S).
        terminal: states in which an episode is over, (S,) of booleans: nothing is earned in them.
        start: probability of beginning in each state, (S,); by default each non-terminal state alike.
        horizon: steps after which an episode is cut off.
    Raises:
        DataError: shapes that disagree, rows that are no probabilities, NaN.
    """
    p, r = np.asarray(P, dtype=np.float64), np.asarray(R, dtype=np.float64)
    where = f"from_arrays(...), '{name}'"
    if p.ndim != 3 or p.shape[0] != p.shape[2] or 0 in p.shape:
        raise DataError(f"P has the shape {p.shape}, not (S, A, S).", where=where, mend="P[s, a, s'] for every state")
    S, A, _ = p.shape
    if r.shape not in ((S,), (S, A), (S, A, S)) or not np.isfinite(r).all():
        raise DataError(
            f"R has the shape {r.shape} or holds NaN.",
            where=where,
            mend=f"give finite rewards {(S,)}, {(S, A)} or (S, A, S)",
        )
    over = np.zeros(S, dtype=np.bool_) if terminal is None else np.asarray(terminal, dtype=np.bool_)
    first = (~over / max(1, (~over).sum())) if start is None else np.asarray(start, dtype=np.float64)
    sums = p.sum(2)
    bad = np.argwhere(~((np.abs(sums - 1.0) <= SUM) & (p >= 0.0).all(2)))
    if len(bad):
        s, a = bad[0]
        raise DataError(
            f"P[{s}, {a}] is no distribution: its sum is {sums[s, a]:.6g}.", where=where, mend="rows of P sum to one"
        )
    if over.shape != (S,) or first.shape != (S,) or not abs(first.sum() - 1.0) <= SUM or (first < 0.0).any():
        raise DataError(
            f"start has the sum {first.sum():.6g}, terminal the shape {over.shape}.",
            where=where,
            mend=f"start: {S} probabilities that sum to one; terminal: {S} booleans",
        )
    if r.ndim == 3:
        r = np.einsum("sat,sat->sa", p, r)
    r = np.broadcast_to(r[:, None] if r.ndim == 1 else r, (S, A)) * ~over[:, None]
    going_on = p * ~over[:, None, None] * ~over[None, None, :]
    return MDP(csr_array(going_on.reshape(S * A, S)), np.ascontiguousarray(r), first, horizon, name)


def from_env(env: str | gymnasium.Env[Any, Any], **options: Any) -> MDP:
    """The MDP of a toy-text environment (FrozenLake, Taxi, CliffWalking): of its table `P` and its time limit.

    Args:
        env: a Gymnasium id, or an environment whose `unwrapped` has `P[s][a] = [(probability, s', reward, over), ...]`.
        options: of the environment, when an id is given.
    Raises:
        DataError: it has no such table.
    """
    made = gymnasium.make(find_spec(env).id, **options) if isinstance(env, str) else env
    table, first = getattr(made.unwrapped, "P", None), getattr(made.unwrapped, "initial_state_distrib", None)
    name = str(made.spec.id) if made.spec is not None else type(made.unwrapped).__name__
    if table is None or first is None:
        raise DataError(
            f"'{name}' has no table of transitions.",
            where="from_env(...)",
            mend="give a toy-text environment (FrozenLake, Taxi, CliffWalking), or from_arrays(P, R)",
        )
    S, A = len(table), len(table[0])
    R = np.zeros((S, A))
    row, column, chance = [], [], []
    for s in range(S):
        for a in range(A):
            for probability, following, reward, over in table[s][a]:
                R[s, a] += probability * reward
                if not over:
                    row.append(s * A + a)
                    column.append(int(following))
                    chance.append(float(probability))
    P = csr_array((chance, (row, column)), shape=(S * A, S))
    P.sum_duplicates()
    limit = made.spec.max_episode_steps if made.spec is not None else None
    if isinstance(env, str):
        made.close()
    return MDP(P, R, np.asarray(first, dtype=np.float64), limit, name)


class MDPEnv(gymnasium.Env[Any, Any]):
    """An MDP as an environment; the reward of a step is the *expected* reward of its state and action.

    Args:
        mdp: what is played. `horizon` truncates.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, mdp: MDP) -> None:
        self.mdp = mdp
        self.observation_space = spaces.Discrete(mdp.states)
        self.action_space = spaces.Discrete(mdp.actions)
        P = mdp.P.tocsr()
        self._next = [P.indices[a:b] for a, b in zip(P.indptr[:-1], P.indptr[1:], strict=True)]
        self._cumulative = [np.cumsum(P.data[a:b]) for a, b in zip(P.indptr[:-1], P.indptr[1:], strict=True)]
        self._first = np.cumsum(mdp.start)
        self._state, self._steps = 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        at = int(np.searchsorted(self._first, self.np_random.random() * self._first[-1], side="right"))
        self._state, self._steps = at, 0
        return self._state, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        row = self._state * self.mdp.actions + int(action)
        reward = float(self.mdp.R[self._state, int(action)])
        at = int(np.searchsorted(self._cumulative[row], self.np_random.random(), side="right"))
        over = at == len(self._next[row])  # rounding: the last probability of a row that sums to one may fall short
        if over and at and self._cumulative[row][-1] > 1.0 - SUM:
            at, over = at - 1, False
        if not over:
            self._state = int(self._next[row][at])
        self._steps += 1
        late = self.mdp.horizon is not None and self._steps >= self.mdp.horizon
        return self._state, reward, over, late and not over, {}

    def get_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on."""
        return {"state": self._state, "steps": self._steps, "rng": rng_state(self.np_random)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` wrote down."""
        self._state, self._steps = int(state["state"]), int(state["steps"])
        self.np_random = rng_from(state["rng"])


def with_horizon(mdp: MDP, horizon: int | None) -> MDP:
    """The same process, cut off after so many steps."""
    return replace(mdp, horizon=horizon)
