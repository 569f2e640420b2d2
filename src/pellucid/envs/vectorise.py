"""One convention for learners over every environment and every autoreset mode of Gymnasium.

    NEXT_STEP   the step after the end of an episode is a dummy: its action is ignored, `valid` is false
    SAME_STEP   the step that ends an episode already returns the next one's first observation
    DISABLED    the adapter resets the rows that ended, in the same step

In every mode `Step.obs` is what the next action is chosen from, and `Step.final_obs` holds, in the rows that ended,
the observation that the episode ended with (bootstrap from it on truncation).
"""

from __future__ import annotations

import math
import time
from collections import deque
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from pellucid.core.errors import EnvironmentFault, SpecError
from pellucid.core.schema import Field
from pellucid.envs import states
from pellucid.envs.making import Source, Stepping, make_vector, stepping_of
from pellucid.envs.names import Joined, Obs, env_id_of, observation_fields, readers
from pellucid.envs.singles import RowFault, first_line, raised
from pellucid.envs.watchdog import Hung, Watch
from pellucid.envs.workers import Workers

State = dict[str, Any]
Bools = npt.NDArray[np.bool_]


JAX = "FunctionalJaxVectorEnv"  # Gymnasium's, for phys2d: it resets at the next step, whatever its metadata forget


class Step(NamedTuple):
    """What one step gave, n rows.

    Args:
        obs: field -> (n, width) float32: what the next action is chosen from.
        reward: (n,) float64; 0 where not valid.
        terminated: (n,) the episode ended by itself.
        truncated: (n,) it was cut off: the value of `final_obs` still counts.
        final_obs: as `obs`; in rows that ended, the episode's last observation. The same object as `obs` when none did.
        valid: (n,) false for dummy steps (NEXT_STEP), which must not be learned from.
    """

    obs: Obs
    reward: npt.NDArray[np.float64]
    terminated: Bools
    truncated: Bools
    final_obs: Obs
    valid: Bools


class VectorAdapter:
    """A batch of environments, watched: see the module.

    Args:
        env: the batch.
        env_id: its name in messages and keys.
        seed: `reset` starts from it.
        timeout_s: seconds that one call of the batch may take; worker processes keep time themselves.
        owned: `close` closes the batch.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        env_id: str = "",
        seed: int = 0,
        *,
        timeout_s: float = 60.0,
        owned: bool = True,
    ) -> None:
        self.env, self.env_id, self.seed = env, env_id or env_id_of(env), int(seed)
        self.num_envs = int(env.num_envs)
        self.action_space: spaces.Space[Any] = env.single_action_space
        self.fields: tuple[Field, ...] = observation_fields(env, self.env_id)
        self.mode: AutoresetMode = _mode(env, self.env_id)
        self.resumable: bool = states.resumable(env)
        self.finished: list[tuple[float, int]] = []  # (return, length) in the order of ending; clear it as you read it
        self.steps = 0  # calls of `step` since `reset`
        self.total_steps, self.episodes = 0, 0  # of all environments together, since this object was made
        self.recent: deque[tuple[float, int]] = deque(maxlen=100)  # (return, length) of the latest episodes
        self.obs: Obs = {}  # the latest `Step.obs`
        self.info: dict[str, Any] = {}  # the latest infos, as Gymnasium gave them
        self._readers = readers(env.single_observation_space, self.env_id)
        self._order = tuple(field.name for field in self.fields)
        self._over: Bools = np.zeros(self.num_envs, dtype=np.bool_)  # rows whose next step is a dummy
        self._dummies = False  # there are such rows
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)
        self._kinds = [""] * len(self._readers)  # of numpy's types, as first seen
        self._owned = owned
        first = np.asarray(getattr(self.action_space, "start", 0))
        self._first = first if first.any() else None  # of choices that the environment does not count from 0
        self._watch = None if isinstance(env, Workers) else Watch(self.env_id, timeout_s, getattr(env, "beat", None))

    def reset(self) -> Obs:
        """Start every episode anew from the seed."""
        self.steps = 0
        self._over, self._returns = np.zeros(self.num_envs, dtype=np.bool_), np.zeros(self.num_envs)
        self._dummies = False
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)
        self.finished = []
        raw, self.info = self._guarded(self.env.reset, seed=self.seed)
        self.obs = self._read(raw)
        return self.obs

    def step(self, actions: npt.NDArray[Any]) -> Step:
        """One step of every environment.

        Args:
            actions: (n,) choices counted from 0 for Discrete, (n, k) for MultiDiscrete, (n, k) float32 for Box.
        Raises:
            EnvironmentFault: it raised, or returned NaN, infinity, or another shape than it declares.
        """
        self.steps += 1
        if self._first is not None:
            actions = actions + self._first
        raw, reward, terminated, truncated, self.info = self._guarded(self.env.step, actions)
        valid, reward = ~self._over, self._flat(reward, "reward")
        if self._dummies:
            reward = np.where(valid, reward, 0.0)
        if not (math.isfinite(reward @ reward) or np.isfinite(reward).all()):
            row = int(np.argmin(np.isfinite(reward)))
            raise self._fault("returned NaN or infinity as reward", row=row)
        terminated = self._flat(terminated, "terminated").astype(np.bool_) & valid
        truncated = self._flat(truncated, "truncated").astype(np.bool_) & valid
        done = terminated | truncated
        obs = self._read(raw)
        final, some = obs, bool(done.any())
        if some:
            obs, final = self._begin_again(obs, done)
        self._count(reward, done, valid, some)
        if self.mode is AutoresetMode.NEXT_STEP:
            self._over, self._dummies = done, some
        self.obs = obs
        return Step(obs, reward, terminated, truncated, final, valid)

    def get_state(self) -> State:
        """Everything that the next steps depend on: nested dict of arrays and JSON values.

        Raises:
            SpecError: the environment is not `resumable`.
        """
        return {
            "env": states.get_state(self.env),
            "obs": {name: values.copy() for name, values in self.obs.items()},
            "over": self._over.copy(),
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
            "steps": self.steps,
            "finished": [[total, length] for total, length in self.finished],
        }

    def set_state(self, state: State) -> None:
        """Go on from what `get_state` wrote down; `obs` is the observation to act on."""
        states.set_state(self.env, state["env"])
        self.obs = {name: np.array(state["obs"][name], dtype=np.float32) for name in self._order}
        self._over = np.array(state["over"], dtype=np.bool_)
        self._dummies = bool(self._over.any())
        self._returns = np.array(state["returns"], dtype=np.float64)
        self._lengths = np.array(state["lengths"], dtype=np.int64)
        self.steps = int(state["steps"])
        self.finished = [(float(total), int(length)) for total, length in state["finished"]]

    def close(self) -> None:
        """Release what the environment holds; one that was given as an object stays as it is."""
        if self._owned:
            self.env.close()

    def _begin_again(self, obs: Obs, done: Bools) -> tuple[Obs, Obs]:
        """(obs to act on, final obs) after a step in which the rows `done` ended."""
        if self.mode is AutoresetMode.NEXT_STEP:
            return obs, obs
        if self.mode is AutoresetMode.DISABLED:
            raw, _ = self._guarded(self.env.reset, options={"reset_mask": done.copy()})
            return self._read(raw), obs
        rows = np.flatnonzero(done)
        given = self.info.get("final_obs")
        if given is None or any(given[i] is None for i in rows):
            raise self._fault("ended an episode without 'final_obs' in its infos", "SAME_STEP autoreset requires it")
        final = {name: values.copy() for name, values in obs.items()}
        for i in rows:
            for name, values in self._read(_batch_of_one(given[i]), 1).items():
                final[name][i] = values[0]
        return obs, final

    def _count(self, reward: npt.NDArray[np.float64], done: Bools, valid: Bools, some: bool) -> None:
        self._returns += reward
        self._lengths += valid
        self.total_steps += int(np.count_nonzero(valid))
        if some:
            for i in np.flatnonzero(done).tolist():
                self.finished.append((float(self._returns[i]), int(self._lengths[i])))
                self.recent.append(self.finished[-1])
                self.episodes += 1
            self._returns[done], self._lengths[done] = 0.0, 0

    def _read(self, raw: Any, rows: int | None = None) -> Obs:
        found = Joined()
        for j, reader in enumerate(self._readers):
            try:
                block = reader.read(raw)
            except (TypeError, ValueError, KeyError, IndexError) as error:
                raise self._fault(
                    f"returned '{reader.name}' that does not fit its space ({first_line(error).removesuffix('.')})",
                    "`pellucid check env` shows more",
                ) from error
            block = self._checked(block, j, self.num_envs if rows is None else rows)
            start = 0
            for field in reader.fields:
                found[field.name] = block[:, start : start + field.width]
                start += field.width
        if len(self._readers) == 1:
            found.array = block
            return found
        return {name: found[name] for name in self._order}

    def _checked(self, block: npt.NDArray[Any], j: int, rows: int) -> npt.NDArray[np.float32]:
        """The block of reader `j` as float32, if it is one."""
        reader, kind = self._readers[j], block.dtype.kind
        if kind not in "fiub":
            raise self._fault(
                f"returned '{reader.name}' as {block.dtype}, no numbers", "return what its space declares"
            )
        if block.shape != (rows, reader.width):
            raise self._fault(
                f"returned '{reader.name}' of shape {block.shape}; its space makes that {(rows, reader.width)}",
                "return what its space declares",
            )
        if kind != self._kinds[j]:
            if self._kinds[j]:
                said = f"returned '{reader.name}' as {block.dtype}, and other numbers before"
                raise self._fault(said, "return one type")
            self._kinds[j] = kind
        if kind == "f" and not _finite(block):
            row, column = (int(n) for n in np.argwhere(~np.isfinite(block))[0])
            name = reader.name if len(reader.fields) == 1 else reader.fields[column].name
            raise self._fault(f"returned NaN or infinity in '{name}'", row=row)
        return block.astype(np.float32)  # a copy: the environment may reuse its buffer

    def _flat(self, values: Any, name: str) -> npt.NDArray[Any]:
        out = np.asarray(values)
        if out.shape != (self.num_envs,) or out.dtype.kind not in "fiub":
            raise self._fault(
                f"returned '{name}' of shape {out.shape} and type {out.dtype}", f"return {self.num_envs} numbers"
            )
        return out.astype(np.float64, copy=False) if name == "reward" else out

    def _guarded(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        watch = self._watch
        try:
            if watch is None:
                return call(*args, **kwargs)
            watch.thread, watch.since = get_ident(), time.monotonic()
            try:
                return call(*args, **kwargs)
            finally:
                watch.since = None
        except RowFault as error:
            if isinstance(error.__cause__, EnvironmentFault):  # in its own words
                raise EnvironmentFault(error.what, where=self._where(error.index), mend=error.mend) from error
            raise self._fault(error.what, error.mend, row=error.index) from error
        except Hung:
            assert watch is not None
            beat = getattr(self.env, "beat", None)
            raise self._fault(
                f"has not returned for {watch.timeout_s:g} s",
                "raise env_timeout if it is only slow; with `workers` it is ended in any case",
                row=None if beat is None else int(beat[1]),
            ) from None
        except EnvironmentFault as error:
            raise EnvironmentFault(error.what, where=self._where(), mend=error.mend) from error
        except Exception as error:
            raise self._fault(raised(error)) from error

    def _fault(self, what: str, mend: str = "repair the environment", row: int | None = None) -> EnvironmentFault:
        return EnvironmentFault(f"environment '{self.env_id}' {what}.", where=self._where(row), mend=mend)

    def _where(self, row: int | None = None) -> str:
        one = "" if row is None else f", environment {row} of {self.num_envs} (seed {self.seed + row})"
        return f"'{self.env_id}', step {self.steps}, seed {self.seed}{one}"


def make(
    source: Source,
    num_envs: int = 1,
    seed: int = 0,
    kwargs: dict[str, Any] | None = None,
    *,
    own_seeds: bool = False,
    stepping: Stepping | None = None,
) -> VectorAdapter:
    """A watched batch of environments.

    Args:
        source: a Gymnasium id, an Env, a VectorEnv, or a callable that makes either.
        num_envs: how many.
        seed: environment i starts from seed + i; an environment that brings its own batch may draw all beginnings from
            one generator instead.
        kwargs: for an id or a callable: what the environment is made with.
        own_seeds: take no such batch, so that an episode is the same whatever stands beside it (slower).
        stepping: in this process or in others; without it, as `making.using` says, else in this one.
    Raises:
        SpecError: an unknown id (the nearest is given), or an environment that cannot be made so.
    """
    how = stepping or stepping_of(source)
    env, env_id, owned = make_vector(source, num_envs, kwargs or {}, own_seeds, how)
    return VectorAdapter(env, env_id, seed, timeout_s=how.timeout_s, owned=owned)


def _mode(env: VectorEnv[Any, Any, Any], env_id: str) -> AutoresetMode:
    mode = env.metadata.get("autoreset_mode")
    if isinstance(env.unwrapped, SyncVectorEnv):
        mode = env.unwrapped.autoreset_mode
    if mode is None and any(kind.__name__ == JAX for kind in type(env.unwrapped).__mro__):
        mode = AutoresetMode.NEXT_STEP
    try:
        return mode if isinstance(mode, AutoresetMode) else AutoresetMode(mode)
    except ValueError:
        raise SpecError(
            f"environment '{env_id}' does not say how it resets (metadata['autoreset_mode'] is {mode!r}).",
            where="envs.make",
            mend="declare one of gymnasium.vector.AutoresetMode in its metadata",
        ) from None


def _finite(block: npt.NDArray[Any]) -> bool:
    flat = block.reshape(-1)  # a product with itself is quicker than looking at each; a huge one only overflows
    return math.isfinite(flat @ flat) or bool(np.isfinite(block).all())


def _batch_of_one(obs: Any) -> Any:
    if isinstance(obs, dict):
        return {name: _batch_of_one(part) for name, part in obs.items()}
    if isinstance(obs, tuple):
        return tuple(_batch_of_one(part) for part in obs)
    return np.asarray(obs)[None]
