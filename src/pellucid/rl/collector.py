"""What off-policy learners share: they step the environments now and then and keep every transition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.random import stream
from pellucid.data.blocks import SideBySide
from pellucid.envs.vectorise import VectorAdapter
from pellucid.nn.network import Network
from pellucid.rl.replay import Replay
from pellucid.train.learner import State

Blocks = Mapping[str, Tensor]
Action = npt.NDArray[Any]
Act = Callable[[Blocks, np.random.Generator], Action]  # n observations -> n actions as they are remembered


@dataclass(frozen=True)
class Pace:
    """How experience and updates alternate.

    Args:
        warmup: environment steps with random actions before the first update.
        steps: steps of every environment between rounds of updates.
        updates: updates per round.
    """

    warmup: int
    steps: int
    updates: int


class Collector:
    """Environments and their memory.

    Args:
        env: the vectorised environment.
        encode: observations to blocks.
        fields: what the task reads, in the order in which the memory joins it.
        pace: see `Pace`.
        name: of the random streams.
        seed: of actions.
        memory: columns of a joined observation -> the memory.
    """

    def __init__(
        self,
        env: VectorAdapter,
        encode: Callable[[dict[str, Any]], Mapping[str, Tensor]],
        fields: tuple[str, ...],
        pace: Pace,
        *,
        name: str,
        seed: int,
        memory: Callable[[int], Replay],
    ) -> None:
        self.env, self.encode, self.fields, self.pace, self.name, self.seed = env, encode, fields, pace, name, seed
        blank = {f.name: np.zeros((1, f.width), dtype=np.float32) for f in env.fields}
        encoded = encode(blank)
        ends = np.cumsum([0, *(encoded[field].shape[1] for field in fields)]).tolist()
        self._spans = {f: slice(a, b) for f, a, b in zip(fields, ends[:-1], ends[1:], strict=True)}
        self.memory = memory(ends[-1])
        self.steps = 0  # of every environment, so far
        self._due = 0  # updates left in this round
        self._obs: npt.NDArray[np.float32] | None = None  # joined: what the next action is chosen from
        self._returns: list[float] = []  # of the last 100 finished episodes
        self._metrics: dict[str, float] = {}

    @property
    def env_steps(self) -> int:
        """Steps of all environments together."""
        return self.steps * self.env.num_envs

    def metrics(self) -> dict[str, float]:
        """The mean return of the last 100 episodes, once there is one."""
        return self._metrics

    def before_update(self, network: Network, act: Act, random: Act, legal: Callable[[Action], Action]) -> None:
        """Step the environments when this round's updates are done.

        Args:
            act, random: the learner's behaviour, and that of the warm-up.
            legal: remembered actions -> what the environment takes.
        """
        if self._due == 0:
            first = self.steps == 0
            rounds = max(1, -(-self.pace.warmup // self.env.num_envs)) if first else self.pace.steps
            seen = [self._step(random if first else act, legal) for _ in range(rounds)]
            self._remember([float(total) for total, _ in self.env.finished])
            self.env.finished.clear()
            if any(network.architecture["normalise"]):
                network.observe(self.split(np.concatenate(seen), network.bias.device))
            self._due = self.pace.updates
        self._due -= 1

    def _remember(self, returns: list[float]) -> None:
        self._returns = (self._returns + returns)[-100:]
        self._metrics = {"episode_return": float(np.mean(self._returns))} if self._returns else {}

    def split(self, joined: npt.NDArray[np.float32], device: torch.device | None = None) -> Blocks:
        """Blocks by field of joined observations: views, or copies on another device."""
        blocks = SideBySide(joined, self._spans)
        if device is None or device.type == "cpu":
            return blocks
        return {name: block.to(device) for name, block in blocks.items()}

    def _join(self, obs: dict[str, Any]) -> npt.NDArray[np.float32]:
        blocks = self.encode(obs)
        return np.concatenate([blocks[field].numpy() for field in self.fields], axis=1)

    def _step(self, act: Act, legal: Callable[[Action], Action]) -> npt.NDArray[np.float32]:
        if self._obs is None:
            self._obs = self._join(self.env.reset())
        obs = self._obs
        action = act(self.split(obs), stream(self.seed, self.name, self.steps))
        step = self.env.step(legal(action))
        self._obs = self._join(step.obs)
        following = self._obs if step.final_obs is step.obs else self._join(step.final_obs)
        self.memory.add(obs, action, step.reward, following, step.terminated, step.truncated, step.valid)
        self.steps += 1
        return obs

    def get_state(self) -> State:
        return {
            "env": self.env.get_state() if self.env.resumable and self._obs is not None else None,
            "obs": self._obs,
            "memory": self.memory.get_state(),
            "steps": self.steps,
            "due": self._due,
            "returns": self._returns,
        }

    def set_state(self, state: State) -> None:
        self.steps, self._due, self._returns = int(state["steps"]), int(state["due"]), []
        self._remember(list(state["returns"]))
        self.memory.set_state(state["memory"])
        if state["env"] is not None:
            self._obs = np.asarray(state["obs"])
            self.env.set_state(state["env"])
        else:  # not resumable exactly: fresh episodes, and the caller says so
            self._obs = None
            self.memory.begin_anew()
