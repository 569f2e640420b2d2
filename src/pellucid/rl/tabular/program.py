"""A table of action values as a Program: explained, judged and diffed like any other policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task

STATE = "state"  # as `envs.names` calls a discrete observation
CLOCK = "elapsed"  # steps since the episode began, which `runs.policies.rollout` counts


class TabularProgram:
    """Acts greedily on Q. It reads the state, one-hot as environments give it, or its number; with a clock, time too.

    Args:
        Q: value of every action in every state, (S, A); or at every time, (T, S, A), and later than that as at T - 1.
        env: id of the environment, for evidence.
        discount: with which Q was found.
        actions: names of the actions.
        task: name of the task.
        options: more of the task's options (algorithm, env_options).
    """

    def __init__(
        self,
        Q: npt.NDArray[np.float64],
        *,
        env: str = "",
        discount: float = 1.0,
        actions: tuple[str, ...] = (),
        task: str = "policy",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if Q.ndim not in (2, 3) or not Q.size or not np.isfinite(Q).all():
            raise DataError(
                f"Q has the shape {Q.shape} or holds NaN.", where="TabularProgram", mend="give Q (S, A) or (T, S, A)"
            )
        self.Q = torch.from_numpy(np.array(Q, dtype=np.float64))
        S, A = Q.shape[-2:]
        self.timed = Q.ndim == 3
        names = actions or tuple(f"action_{i}" for i in range(A))
        outputs = (*names, "value")
        declared_options: dict[str, Any] = {
            **(options or {}),
            "env": env,
            "discount": discount,
            "space": "discrete",
            "actions": A,
            "action_names": list(names),
        }
        fields: tuple[Field, ...] = (Field(STATE, "numeric", S, "one-hot", f"one of {S} states"),)
        if self.timed:
            declared_options["clock"] = CLOCK
            fields += (Field(CLOCK, "numeric", 1, "steps", "since the episode began"),)
        inputs, baselines = tuple(field.name for field in fields), ("random", "best_constant_action")
        declared = Task(task, "control", inputs, outputs, "return", "negative_reward", baselines, declared_options)
        self._tasks = {task: declared}
        self._schema = Schema(fields, {task: tuple(Field(o, "numeric", 1, "return") for o in outputs)})

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self._tasks

    def task(self, name: str) -> Task:
        """The task by name."""
        if name not in self._tasks:
            raise SchemaError(f"no task '{name}'.", where="TabularProgram", mend=f"'{next(iter(self._tasks))}'")
        return self._tasks[name]

    def parameter_count(self) -> int:
        """Numbers in the table."""
        return self.Q.numel()

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """The block of the state, one-hot (n, S), and of the clock, (n, 1)."""
        values, S = np.asarray(rows.column(STATE)), self.Q.shape[-2]
        if values.ndim == 1 or (values.shape[1] == 1 and S > 1):
            number = values.reshape(-1).astype(np.int64)
            if len(number) and not ((number >= 0) & (number < S)).all():
                raise SchemaError(f"a state is not within 0..{S - 1}.", where="field 'state'", mend="give its number")
            values = np.eye(S, dtype=np.float32)[number]
        if values.shape[1] != S:
            raise SchemaError(
                f"the state has {values.shape[1]} values, the table {S} states.",
                where="field 'state'",
                mend="give the state's number, or one-hot as the environment does",
            )
        blocks = {STATE: torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))}
        if self.timed:
            elapsed = np.asarray(rows.column(CLOCK), dtype=np.float32).reshape(-1, 1)
            if not (np.isfinite(elapsed) & (elapsed >= 0.0)).all():
                raise SchemaError("a time is negative or NaN.", where=f"field '{CLOCK}'", mend="steps since the start")
            blocks[CLOCK] = torch.from_numpy(elapsed)
        return blocks

    def __call__(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """Value of every action, then the largest of them, (n, A + 1)."""
        self.task(task)
        if self.timed:
            time = blocks[CLOCK][:, 0].long().clamp(0, len(self.Q) - 1)
            values = self.Q[time, blocks[STATE].argmax(1)]
        else:
            values = blocks[STATE].double() @ self.Q
        return torch.cat([values, values.max(1, keepdim=True).values], dim=1)
