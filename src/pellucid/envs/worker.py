"""What runs in a worker process: it builds its share of the batch and does what it is told."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from pellucid.core.errors import EnvironmentFault, SpecError
from pellucid.envs import states
from pellucid.envs.market import State
from pellucid.envs.memory import Memory
from pellucid.envs.names import at, env_id_of, observation_fields, readers
from pellucid.envs.singles import RowFault, Singles, raised

LOOK_S = 0.5  # how often a worker looks whether its parent still lives


def serve(pipe: Connection, inherited: list[Connection], recipe: Any, share: range, parent: int) -> None:
    """Build `share` of the batch by `recipe`, then obey until told to close or the pipe is.

    Args:
        pipe: to the parent.
        inherited: the parent's own ends, which a forked process holds as well: open, they would hide its death.
        parent: its process id.
    """
    _settle(inherited, parent)
    share_of = Share(share)
    try:
        pipe.send(_attempt(share_of.build, recipe))
        while True:
            command, argument = pipe.recv()
            if command == "close":
                break
            pipe.send(_attempt(getattr(share_of, command), argument))
    except (EOFError, OSError):  # the parent is gone
        pass
    finally:
        share_of.close()


def _settle(inherited: list[Connection], parent: int) -> None:
    """Ctrl-C is the parent's business; output streams of its own, whose locks no thread of the parent can hold."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for end in inherited:
        end.close()
    for name, number in (("stdout", 1), ("stderr", 2)):
        with contextlib.suppress(OSError):  # closed
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _attempt(call: Any, argument: Any) -> tuple[str, Any]:
    """("ok", the result), or what went wrong in plain words, since not every error can be sent."""
    try:
        return "ok", call(argument)
    except SpecError as error:
        return "spec", (error.what, error.where, error.mend)
    except RowFault as error:
        return "fault", (error.index, error.what, error.mend, isinstance(error.__cause__, EnvironmentFault))
    except EnvironmentFault as error:
        return "fault", (None, error.what, error.mend, True)
    except Exception as error:
        return "fault", (None, raised(error), "repair the environment", False)


class Share:
    """Some environments of the batch; the methods are the commands."""

    def __init__(self, share: range) -> None:
        self.rows = slice(share.start, share.stop)
        self.count = len(share)
        self.env: VectorEnv[Any, Any, Any] | None = None

    def build(self, recipe: Any) -> dict[str, Any]:
        env = self.env = recipe.build(self.count)
        self._leaves = readers(env.single_observation_space, env_id_of(env))
        mode = env.unwrapped.autoreset_mode if hasattr(env.unwrapped, "autoreset_mode") else None
        self._mode = AutoresetMode(mode or env.metadata.get("autoreset_mode"))
        return {
            "spaces": (env.single_observation_space, env.single_action_space),
            "fields": observation_fields(env),
            "env_id": env_id_of(env),
            "mode": self._mode,
            "resumable": states.resumable(env),
        }

    def memory(self, given: tuple[str, int, int, int]) -> None:
        """Map the arrays that all share."""
        assert self.env is not None
        path, n, workers, mine = given
        self._memory = Memory.open(path, self._leaves, self.env.single_action_space, n, workers)
        self._beat = self._memory.beat[mine]
        if isinstance(self.env, Singles):
            self.env.beat = self._beat

    def reset(self, given: tuple[Any, Any]) -> None:
        assert self.env is not None
        seed, options = given
        self._called()
        obs, _ = self.env.reset(seed=seed, options=options)
        self._put(self._memory.obs, obs)

    def step(self, _: None) -> None:
        assert self.env is not None
        memory, rows = self._memory, self.rows
        self._called()
        obs, reward, terminated, truncated, infos = self.env.step(memory.actions[rows].copy())
        memory.reward[rows], memory.terminated[rows], memory.truncated[rows] = reward, terminated, truncated
        if self._mode is AutoresetMode.SAME_STEP:
            for i in np.flatnonzero(terminated | truncated).tolist():
                for leaf in self._leaves:
                    memory.final[leaf.path][rows.start + i] = at(infos["final_obs"][i], leaf.path)
        self._put(memory.obs, obs)

    def get(self, _: None) -> State:
        return states.get_state(self.env)

    def set(self, state: State) -> None:
        states.set_state(self.env, state)

    def close(self) -> None:
        if self.env is not None:
            self.env.close()

    def _called(self) -> None:
        """A batch of its own counts once a call; single environments count themselves."""
        if not isinstance(self.env, Singles):
            self._beat[:] = self._beat[0] + 1, -1

    def _put(self, to: dict[Any, Any], obs: Any) -> None:
        for leaf in self._leaves:
            values = np.asarray(at(obs, leaf.path))
            target = to[leaf.path][self.rows]
            if values.shape != target.shape or not np.can_cast(values.dtype, target.dtype, "same_kind"):
                raise RowFault(
                    None,
                    f"returned '{leaf.name}' as {values.dtype} of shape {values.shape}; "
                    f"its space makes that {target.dtype} of shape {target.shape}",
                    "return what its space declares",
                )
            target[...] = values
