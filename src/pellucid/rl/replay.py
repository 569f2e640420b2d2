"""Replay memory: a ring of transitions in fixed arrays, n-step returns, uniform or prioritised draws.

Every transition keeps its own successor, so an episode that was cut off still bootstraps from its true last
observation. `following` links the transitions of one environment; an n-step return is summed along it when it is drawn:

    R = r_0 + γ r_1 + ... + γ^(k-1) r_(k-1),  target = R + γ^k V(s_k), without V after a terminal state

with k = n, or fewer where the episode ended or the newest transition was reached. Prioritised draws follow Schaul et
al. 2016 (proportional variant): P(i) = p_i^α / Σ p^α with weights (N P(i))^-β, divided by the largest of the batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pellucid.train.learner import State

Array = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
SMALLEST = 1e-6  # added to an error, so that no transition is lost for good
STORED = ("obs", "action", "reward", "following_obs", "terminated", "following")


class Draw(NamedTuple):
    """Rows of the memory.

    Args:
        rows: positions in the memory, shape (n,).
        obs, following_obs: joined observations, shape (n, w); the latter is what the return bootstraps from.
        action: (n,) integers, or (n, k).
        reward: the n-step return without the bootstrap, shape (n,).
        discount: of the bootstrap, 0 after a terminal state, shape (n,).
        weight: importance weights, shape (n,); ones when uniform.
    """

    rows: Index
    obs: Array
    action: npt.NDArray[Any]
    reward: Array
    discount: Array
    following_obs: Array
    weight: Array


class SumTree:
    """Sums over a binary tree, so that a draw in proportion takes log2(capacity) steps. Sums are recomputed, not
    adjusted: they do not drift.

    Args:
        capacity: number of leaves.
    """

    def __init__(self, capacity: int) -> None:
        self.leaves = 1 << max(1, capacity - 1).bit_length()
        self.sums = np.zeros(2 * self.leaves)

    @property
    def total(self) -> float:
        return float(self.sums[1])

    def set(self, index: Index, value: npt.NDArray[np.float64]) -> None:
        """Set leaves (n,); of an index given twice, the last value counts."""
        node = index + self.leaves
        self.sums[node] = value
        while node[0] > 1:  # all leaves are equally deep; recomputing a sum twice does no harm
            node = node >> 1
            self.sums[node] = self.sums[2 * node] + self.sums[2 * node + 1]

    def find(self, point: npt.NDArray[np.float64]) -> Index:
        """The leaf in whose part of [0, total) each point lies."""
        node: Index = np.ones(len(point), dtype=np.int64)
        rest = point.copy()
        while node[0] < self.leaves:
            node = 2 * node
            left = self.sums[node]
            # never into an empty subtree, whatever rounding says
            right = (rest >= left) & (self.sums[node + 1] > 0.0)
            rest -= np.where(right, left, 0.0)
            node += right
        return node - self.leaves


class Replay:
    """The memory.

    Args:
        capacity: transitions kept.
        width: columns of a joined observation.
        actions: dimensions of a continuous action, or 0 for integers.
        num_envs: environments that feed it.
        discount: γ.
        steps: n of the n-step return.
        exponent: α of prioritised draws; 0 draws uniformly.
    """

    def __init__(
        self,
        capacity: int,
        width: int,
        actions: int,
        num_envs: int,
        *,
        discount: float,
        steps: int = 1,
        exponent: float = 0.0,
    ) -> None:
        self.capacity, self.discount, self.steps, self.exponent = max(capacity, 2 * num_envs), discount, steps, exponent
        n = self.capacity
        self.obs: Array = np.zeros((n, width), dtype=np.float32)
        self.following_obs: Array = np.zeros((n, width), dtype=np.float32)
        self.action: npt.NDArray[Any] = (
            np.zeros((n, actions), dtype=np.float32) if actions else np.zeros(n, dtype=np.int64)
        )
        self.reward: Array = np.zeros(n, dtype=np.float32)
        self.terminated: Flags = np.zeros(n, dtype=np.bool_)
        self.following: Index = np.full(n, -1, dtype=np.int64)
        self.latest: Index = np.full(num_envs, -1, dtype=np.int64)  # of each environment's running episode
        self.size, self.position = 0, 0
        self.tree = SumTree(n) if exponent > 0.0 else None
        self.largest = 1.0  # priority of what was never drawn: the largest so far

    def add(
        self,
        obs: Array,
        action: npt.NDArray[Any],
        reward: npt.NDArray[Any],
        following_obs: Array,
        terminated: Flags,
        truncated: Flags,
        valid: Flags,
    ) -> None:
        """One step of every environment, n rows; rows that are not valid (dummy steps) are left out."""
        rows: Any = slice(None) if valid.all() else np.flatnonzero(valid)
        envs: Index = np.arange(len(valid))[rows]
        at = (self.position + np.arange(len(envs))) % self.capacity
        self.obs[at], self.action[at], self.reward[at] = obs[rows], action[rows], reward[rows]
        self.following_obs[at], self.terminated[at] = following_obs[rows], terminated[rows]
        self.following[at] = -1
        before = self.latest[envs]
        self.following[before[before >= 0]] = at[before >= 0]
        self.latest[envs] = np.where(terminated[rows] | truncated[rows], -1, at)
        self.position = (self.position + len(envs)) % self.capacity
        self.size = min(self.size + len(envs), self.capacity)
        if self.tree is not None and len(envs):
            self.tree.set(at, np.full(len(at), self.largest**self.exponent))

    def draw(self, n: int, generator: np.random.Generator, correction: float = 0.0) -> Draw:
        """Rows with replacement.

        Args:
            n: how many.
            generator: of the draw.
            correction: β of the importance weights (prioritised draws).
        """
        weight: Array = np.ones(n, dtype=np.float32)
        if self.tree is None:
            index: Index = generator.integers(self.size, size=n)
        else:
            # one point from each of n equal parts, as in the paper
            index = self.tree.find((np.arange(n) + generator.random(n)) * (self.tree.total / n))
            chance = self.tree.sums[self.tree.leaves + index] / self.tree.total
            raw = (self.size * chance) ** -correction
            weight = (raw / raw.max()).astype(np.float32)
        reward, last, discount = self._returns(index)
        return Draw(index, self.obs[index], self.action[index], reward, discount, self.following_obs[last], weight)

    def _returns(self, index: Index) -> tuple[Array, Index, Array]:
        """(return without bootstrap, its last transition, discount of the bootstrap)."""
        reward, last = self.reward[index], index
        discount: Array = np.full(len(index), self.discount, dtype=np.float32)
        for _ in range(self.steps - 1):
            ahead = self.following[last]
            there = ahead >= 0
            last = np.where(there, ahead, last)
            reward = reward + np.where(there, discount * self.reward[last], np.float32(0.0))
            discount = np.where(there, discount * np.float32(self.discount), discount)
        return reward, last, np.where(self.terminated[last], np.float32(0.0), discount)

    def reprioritise(self, index: Index, error: npt.NDArray[Any]) -> None:
        """After an update: the priority of a transition is the size of its temporal-difference error."""
        if self.tree is None:
            return
        priority = np.abs(error).astype(np.float64) + SMALLEST
        self.largest = max(self.largest, float(priority.max()))
        self.tree.set(index, priority**self.exponent)

    def begin_anew(self) -> None:
        """The environments were reset: the next steps do not follow the last ones."""
        self.latest[:] = -1

    def get_state(self) -> State:
        """Live views of what is filled; write or copy them at once."""
        state: State = {name: getattr(self, name)[: self.size] for name in STORED}
        leaves = None if self.tree is None else self.tree.sums[self.tree.leaves : self.tree.leaves + self.size]
        return state | {
            "latest": self.latest,
            "size": self.size,
            "position": self.position,
            "largest": self.largest,
            "priorities": leaves,
        }

    def set_state(self, state: State) -> None:
        self.size, self.position = int(state["size"]), int(state["position"])
        self.largest = float(state["largest"])
        self.latest[:] = state["latest"]
        for name in STORED:
            getattr(self, name)[: self.size] = state[name]
        if self.tree is not None:
            self.tree = SumTree(self.capacity)
            if self.size:
                self.tree.set(np.arange(self.size), np.asarray(state["priorities"]))
