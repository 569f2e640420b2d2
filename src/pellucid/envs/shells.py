"""The two Gymnasium shells of a market game: one environment, and a batch of them.

A game is written once, batched; `MarketEnv` plays it with one player and `MarketVectorEnv` with many, so they cannot
disagree. The vector shell resets in the same step (`AutoresetMode.SAME_STEP`): no row of a rollout is a dummy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pellucid.core.schema import Field
from pellucid.envs.market import Floats, Ints, Obs, State, rng_from, rng_state

METADATA: dict[str, Any] = {"render_modes": [], "discount": 0.95}
BATCH_METADATA: dict[str, Any] = {**METADATA, "autoreset_mode": AutoresetMode.SAME_STEP}


class Walker(Protocol):
    """Where each of n players is (`market.Walk` along a tape, or paths of their own)."""

    def begin(self, which: Ints, rngs: list[np.random.Generator]) -> None: ...
    def advance(self) -> npt.NDArray[np.bool_]: ...  # one day on; true where the episode is over
    def get_state(self) -> State: ...
    def set_state(self, state: State) -> None: ...


class Game(Protocol):
    """n players."""

    @property
    def walk(self) -> Walker: ...

    fields: tuple[Field, ...]
    action_space: spaces.Space[Any]
    observation_space: spaces.Space[Any]

    def begin(self, which: Ints) -> None: ...  # after walk.begin
    def look(self) -> Obs: ...
    def play(self, actions: npt.NDArray[Any]) -> Floats: ...  # rewards of this day; before walk.advance
    def info(self) -> dict[str, npt.NDArray[Any]]: ...
    def get_state(self) -> State: ...
    def set_state(self, state: State) -> None: ...


class MarketEnv(gymnasium.Env[Obs, Any]):
    """One player."""

    metadata: dict[str, Any] = METADATA

    def __init__(self, game: Game, render_mode: str | None = None) -> None:
        self.game, self.render_mode = game, render_mode
        self.fields = game.fields
        self.action_space, self.observation_space = game.action_space, game.observation_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Obs, dict[str, Any]]:
        super().reset(seed=seed)
        one = np.zeros(1, dtype=np.int64)
        self.game.walk.begin(one, [self.np_random])
        self.game.begin(one)
        return self._look(), self._info()

    def step(self, action: Any) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        reward = self.game.play(np.asarray(action)[None])
        truncated = self.game.walk.advance()
        return self._look(), float(reward[0]), False, bool(truncated[0]), self._info()

    def get_state(self) -> State:
        """Everything that the next steps depend on, the generator included."""
        return {"game": self.game.get_state(), "walk": self.game.walk.get_state(), "rng": rng_state(self.np_random)}

    def set_state(self, state: State) -> None:
        self.game.set_state(state["game"])
        self.game.walk.set_state(state["walk"])
        self.np_random = rng_from(state["rng"])

    def _look(self) -> Obs:
        return {name: values[0] for name, values in self.game.look().items()}

    def _info(self) -> dict[str, Any]:
        return {name: values[0].item() for name, values in self.game.info().items()}


class MarketVectorEnv(VectorEnv[Obs, npt.NDArray[Any], npt.NDArray[Any]]):
    """Many players; player i of `reset(seed=s)` is the single environment of `reset(seed=s + i)`."""

    metadata: dict[str, Any] = BATCH_METADATA

    def __init__(self, game: Game, num_envs: int, render_mode: str | None = None) -> None:
        self.game, self.num_envs, self.render_mode = game, num_envs, render_mode
        self.fields = game.fields
        self.single_action_space, self.single_observation_space = game.action_space, game.observation_space
        self.action_space = batch_space(game.action_space, num_envs)
        self.observation_space = batch_space(game.observation_space, num_envs)
        self._rngs: list[np.random.Generator] = []
        self._everyone = np.arange(num_envs, dtype=np.int64)
        self._yes, self._no = np.ones(num_envs, dtype=np.bool_), np.zeros(num_envs, dtype=np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed
        if seeds is not None or not self._rngs:
            old: list[np.random.Generator | None] = [*self._rngs] or [None] * self.num_envs
            given = seeds if seeds is not None else [None] * self.num_envs
            self._rngs = [
                rng if s is None and rng is not None else seeding.np_random(s)[0]
                for s, rng in zip(given, old, strict=True)
            ]
        self._begin(self._everyone)
        return self.game.look(), self._info()

    def step(
        self, actions: npt.NDArray[Any]
    ) -> tuple[Obs, Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        reward = self.game.play(np.asarray(actions))
        truncated = self.game.walk.advance()
        if not truncated.any():
            return self.game.look(), reward, self._no.copy(), truncated, self._info()
        last, last_info = self.game.look(), self.game.info()
        over = np.flatnonzero(truncated)
        final = np.full(self.num_envs, None, dtype=object)
        for i in over.tolist():
            final[i] = {name: values[i] for name, values in last.items()}
        self._begin(over)
        info = self._info() | {"final_obs": final, "_final_obs": truncated.copy()}
        info |= {"final_info": self._masked(last_info, truncated), "_final_info": truncated.copy()}
        return self.game.look(), reward, self._no.copy(), truncated, info

    def get_state(self) -> State:
        """Everything that the next steps depend on, the generators included."""
        return {
            "game": self.game.get_state(),
            "walk": self.game.walk.get_state(),
            "rngs": [rng_state(rng) for rng in self._rngs],
        }

    def set_state(self, state: State) -> None:
        self.game.set_state(state["game"])
        self.game.walk.set_state(state["walk"])
        self._rngs = [rng_from(raw) for raw in state["rngs"]]

    def _begin(self, which: Ints) -> None:
        self.game.walk.begin(which, self._rngs)
        self.game.begin(which)

    def _info(self) -> dict[str, Any]:
        return self._masked(self.game.info(), self._yes)

    @staticmethod
    def _masked(info: dict[str, npt.NDArray[Any]], mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return info | {f"_{name}": mask.copy() for name in info}
