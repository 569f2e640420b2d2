"""A batch of environments in worker processes, which are watched and always ended.

Each process holds a share of the batch and steps it as it would be stepped here, so the results are the same. Actions,
observations and rewards lie in one file that is mapped by all (in memory where the system has /dev/shm) and has no name
any more when the first step is made; commands and rare things (states, errors) go through pipes.

An environment that raises, that does not return in time or whose process dies is a `RowFault`. A worker ends when told
so, when its pipe closes, and when its parent is gone, whatever the environment is doing then.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import time
import warnings
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pellucid.core.errors import EnvironmentFault, SpecError
from pellucid.core.schema import Field
from pellucid.envs.memory import Memory, create
from pellucid.envs.names import readers
from pellucid.envs.singles import RowFault, nested
from pellucid.envs.worker import serve

Array = npt.NDArray[Any]
FAST_S = 1.0  # a worker that was told to end, or terminated, has this long


class Builder(Protocol):
    """What makes a worker's share (`making.Recipe`)."""

    def build(self, count: int) -> VectorEnv[Any, Any, Any]: ...


class Workers(VectorEnv[Any, Any, Any]):
    """See the module.

    Args:
        recipe: what each worker builds its share by.
        num_envs: in all.
        processes: how many, at most `num_envs`.
        timeout_s: seconds that one call of one environment may take.
    Raises:
        SpecError: it cannot be made.
    """

    def __init__(self, recipe: Builder, num_envs: int, processes: int, timeout_s: float) -> None:
        self.num_envs, self.timeout_s = num_envs, timeout_s
        self.memory: Memory | None = None
        edges = np.linspace(0, num_envs, processes + 1).astype(int).tolist()
        self.shares = [range(a, b) for a, b in itertools.pairwise(edges)]
        self.processes: list[Any] = []
        self.pipes: list[Connection] = []
        self.finalizer = weakref.finalize(self, _end_all, os.getpid(), self.processes, self.pipes)
        try:
            self._start(recipe)
            met = self._replies("be made", range(processes))
            self._agree(met)
            self._share_memory()
        except RowFault as error:
            self.finalizer()
            raise SpecError(f"the environment {error.what}.", where="envs.make (workers)", mend=error.mend) from error
        except BaseException:
            self.finalizer()
            raise

    def _start(self, recipe: Builder) -> None:
        fork = sys.platform == "linux"  # elsewhere a fork is not safe, and what is made must be importable
        context: Any = multiprocessing.get_context("fork" if fork else "spawn")
        for share in self.shares:
            mine, theirs = context.Pipe()
            inherited = [*self.pipes, mine] if fork else []
            process = context.Process(
                target=serve, args=(theirs, inherited, recipe, share, os.getpid()), daemon=True, name="pellucid-env"
            )
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: none is in the way
                    process.start()
            except (AttributeError, TypeError, OSError) as error:  # a spawned process cannot be given a lambda
                mine.close()
                raise SpecError(
                    f"no worker process can be started: {error}.",
                    where="envs.make (workers)",
                    mend="give an id, or a function at the top of a module; or use workers: 0",
                ) from error
            finally:
                theirs.close()
            self.processes.append(process)
            self.pipes.append(mine)

    def _agree(self, met: list[dict[str, Any]]) -> None:
        """Spaces and the rest, from the first worker."""
        first = met[0]
        self.single_observation_space, self.single_action_space = first["spaces"]
        self.fields: tuple[Field, ...] = first["fields"]
        self.env_id: str = first["env_id"]
        self.mode: AutoresetMode = first["mode"]
        self.spec = gymnasium.registry.get(self.env_id)
        self.resumable = all(share["resumable"] for share in met)
        self.metadata = {"autoreset_mode": self.mode}
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        if any(share["spaces"] != first["spaces"] for share in met):
            raise SpecError(
                "environments of one batch have different spaces.",
                where=f"environment '{self.env_id}'",
                mend="let the callable make one kind of environment",
            )

    def _share_memory(self) -> None:
        leaves = readers(self.single_observation_space, self.env_id)
        n, count = self.num_envs, len(self.shares)
        path, memory = create(leaves, self.single_action_space, n, count)
        try:
            self._ask("memory", [(path, n, count, i) for i in range(count)])
        finally:
            with contextlib.suppress(OSError):  # where an open file cannot be removed, it is left to the system
                Path(path).unlink()
        self.memory = memory
        self._obs = nested(self.single_observation_space, memory.obs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin anew; environment i from seed + i."""
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed
        mask = None if options is None else options.get("reset_mask")
        asked = []
        for share in self.shares:
            cut = slice(share.start, share.stop)
            mine = seed if len(self.shares) == 1 else None if seeds is None else list(seeds[cut])
            rest = options if mask is None or options is None else {**options, "reset_mask": mask[cut].copy()}
            asked.append((mine, rest))
        touched = [i for i, s in enumerate(self.shares) if mask is None or bool(mask[s.start : s.stop].any())]
        self._ask("reset", [asked[i] for i in touched], touched)
        return self._obs, {}

    def step(self, actions: Array) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """One step of every environment; the observation's arrays are overwritten by the next call."""
        memory = self.memory
        assert memory is not None
        memory.actions[:] = actions
        self._ask("step", [None] * len(self.shares))
        infos: dict[str, Any] = {}
        done = memory.terminated | memory.truncated
        if self.mode is AutoresetMode.SAME_STEP and done.any():
            final = np.full(self.num_envs, None, dtype=object)
            for i in np.flatnonzero(done).tolist():
                rows = {path: values[i].copy() for path, values in memory.final.items()}
                final[i] = nested(self.single_observation_space, rows)
            infos["final_obs"] = final
        return self._obs, memory.reward.copy(), memory.terminated.copy(), memory.truncated.copy(), infos

    def get_state(self) -> dict[str, Any]:
        """The state of every share."""
        return {"shares": self._ask("get", [None] * len(self.shares))}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` wrote down."""
        self._ask("set", list(state["shares"]))

    def close_extras(self, **kwargs: Any) -> None:
        """End every worker."""
        self.finalizer()

    def _ask(self, command: str, arguments: list[Any], who: Sequence[int] | None = None) -> list[Any]:
        """Every worker, or some, does a command at the same time; what they answer."""
        who = range(len(self.shares)) if who is None else who
        for i, argument in zip(who, arguments, strict=True):
            with contextlib.suppress(OSError):  # it is dead, which `_replies` tells better
                self.pipes[i].send((command, argument))
        return self._replies(command, who)

    def _replies(self, command: str, who: Sequence[int]) -> list[Any]:
        waiting = {self.pipes[i]: i for i in who}
        answers: dict[int, Any] = {}
        beats = dict.fromkeys(who, (-1, 0.0))  # calls that a worker has begun, and when that was first seen
        while waiting:
            for pipe in wait(list(waiting), timeout=min(1.0, self.timeout_s / 4)):
                assert isinstance(pipe, Connection)
                i = waiting.pop(pipe)
                answers[i] = self._answer(i, pipe)
            now = time.monotonic()
            for i in waiting.values():
                count = self._beat(i)[0]
                if beats[i][0] != count:
                    beats[i] = (count, now)
                elif now - beats[i][1] > self.timeout_s:
                    row = self._beat(i)[1]
                    self.finalizer()  # what the others still answer would be taken for answers to later commands
                    raise RowFault(
                        row,
                        f"has not returned for {self.timeout_s:g} s"
                        + (f" (to {command})" if command not in ("step", "reset") else ""),
                        "repair the environment, or raise env_timeout if it is only slow",
                    )
        for i in who:  # when several fail at once, the first of them is told, whichever answered first
            if isinstance(answers[i], BaseException):
                raise answers[i]
        return [answers[i] for i in who]

    def _answer(self, i: int, pipe: Connection) -> Any:
        """What a worker sends, or how it ended; an error is returned, so that the others are heard as well."""
        try:
            kind, value = pipe.recv()
        except (EOFError, OSError):
            self.processes[i].join(FAST_S)
            code = self.processes[i].exitcode
            how = f"was killed by {_signal(-code)}" if code is not None and code < 0 else f"ended with exit code {code}"
            return RowFault(
                self._beat(i)[1],
                f"took its process with it, which {how}",
                "repair the environment; the system's log may say more (out of memory?)",
            )
        if kind == "ok":
            return value
        if kind == "spec":
            return SpecError(value[0], where=value[1], mend=value[2])
        index, what, mend, own = value
        fault = RowFault(None if index is None else self.shares[i].start + index, what, mend)
        if own:
            fault.__cause__ = EnvironmentFault(what, mend=mend)
        return fault

    def _beat(self, i: int) -> tuple[int, int | None]:
        """(calls that a worker has begun, the environment that it called last: None in a batch of its own)."""
        if self.memory is None:
            return 0, None
        count, row = (int(n) for n in self.memory.beat[i])
        return count, None if row < 0 else self.shares[i].start + row


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _end_all(owner: int, processes: list[Any], pipes: list[Connection]) -> None:
    """Ask, then terminate, then kill: whatever an environment is doing, its process is gone afterwards."""
    if os.getpid() != owner:  # a forked process holds copies, and they are not its own to end
        return
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.send(("close", None))
    deadline = time.monotonic() + FAST_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for end in ("terminate", "kill"):
        left = [process for process in processes if process.is_alive()]
        for process in left:
            getattr(process, end)()
        for process in left:
            process.join(FAST_S)
    for pipe in pipes:
        pipe.close()
