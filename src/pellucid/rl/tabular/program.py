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


class TabularProgram:
    """Acts greedily on Q. Its one input is the state, one-hot as environments give it, or its number.

    Args:
        Q: value of every action in every state, (S, A).
        env: id of the environment, for evidence.
        discount: with which Q was found.
        actions: names of the actions.
        task: name of the task.
    """

    def __init__(
        self,
        Q: npt.NDArray[np.float64],
        *,
        env: str = "",
        discount: float = 1.0,
        actions: tuple[str, ...] = (),
        task: str = "policy",
    ) -> None:
        if Q.ndim != 2 or not np.isfinite(Q).all():
            raise DataError(f"Q has the shape {Q.shape} or holds NaN.", where="TabularProgram", mend="give Q (S, A)")
        self.Q = torch.from_numpy(np.array(Q, dtype=np.float64))
        S, A = Q.shape
        names = actions or tuple(f"action_{i}" for i in range(A))
        outputs = (*names, "value")
        options: dict[str, Any] = {
            "env": env,
            "discount": discount,
            "space": "discrete",
            "actions": A,
            "action_names": list(names),
        }
        baselines = ("random", "best_constant_action")
        declared = Task(task, "control", (STATE,), outputs, "return", "negative_reward", baselines, options)
        field = Field(STATE, "numeric", S, "one-hot", f"one of {S} states")
        self._tasks = {task: declared}
        self._schema = Schema((field,), {task: tuple(Field(o, "numeric", 1, "return") for o in outputs)})

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self._tasks

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """The block of the state, one-hot (n, S)."""
        values, S = np.asarray(rows.column(STATE)), self.Q.shape[0]
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
        return {STATE: torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))}

    def __call__(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """Value of every action, then the largest of them, (n, A + 1)."""
        if task not in self._tasks:
            raise SchemaError(f"no task '{task}'.", where="TabularProgram", mend=f"'{next(iter(self._tasks))}'")
        values = blocks[STATE].double() @ self.Q
        return torch.cat([values, values.max(1, keepdim=True).values], dim=1)
