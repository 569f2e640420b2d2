"""The margin of a decision: the score of the action that was taken less that of the best other one.

A margin has Shapley values of its own. They are the differences of the two actions' values, but their errors are not:
both scores come from the same evaluations and move together. So pairs of actions are outputs of the game itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.program import Joined, Program, Randomised
from pellucid.core.rows import Rows
from pellucid.core.schema import Schema
from pellucid.core.task import Task

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def components(task: Task) -> tuple[slice, ...]:
    """The outputs of each choice that an action consists of; empty where actions are no choices."""
    space, actions = task.options.get("space"), int(task.options.get("actions", len(task.outputs) - 1))
    if task.kind != "control" or space not in ("discrete", "multi_discrete"):
        return ()
    sizes = [int(n) for n in task.options["nvec"]] if space == "multi_discrete" else [actions]
    ends = np.cumsum(sizes).tolist()
    return tuple(slice(end - size, end) for end, size in zip(ends, sizes, strict=True) if size > 1)


def margin_names(task: Task) -> tuple[str, ...]:
    """`margin`; of several choices at once `margin_0`, `margin_1`, ..."""
    several = components(task)
    return ("margin",) if len(several) == 1 else tuple(f"margin_{i}" for i in range(len(several)))


class Decided(NamedTuple):
    """What was chosen, and the best other choice, as positions among the outputs, shape (n, components) each."""

    chosen: Ints
    runner_up: Ints


def decided(task: Task, outputs: Floats, taken: npt.NDArray[np.int64] | None = None) -> Decided:
    """The decisions on n rows.

    Args:
        outputs: of the program, shape (n, k).
        taken: the actions that were taken, (n,) or (n, components); without them those of the highest score.
    """
    chosen, second = [], []
    for i, part in enumerate(components(task)):
        scores = outputs[:, part].copy()
        given = None if taken is None else taken.reshape(len(outputs), -1)[:, i]
        best = scores.argmax(1) if given is None else np.asarray(given, dtype=np.int64)
        np.put_along_axis(scores, best[:, None], -np.inf, axis=1)
        chosen.append(best + part.start)
        second.append(scores.argmax(1) + part.start)
    empty = np.empty((len(outputs), 0), dtype=np.int64)
    return Decided(np.stack(chosen, 1) if chosen else empty, np.stack(second, 1) if second else empty)


class Paired:
    """A program of one task, with the differences of pairs of its outputs as further outputs.

    Args:
        program: what is explained.
        task: the name of its task.
        pairs: positions of outputs, shape (p, 2): the first less the second.
    """

    def __init__(self, program: Program, task: str, pairs: Ints) -> None:
        self.program = program
        self._first, self._second = torch.from_numpy(pairs[:, 0].copy()), torch.from_numpy(pairs[:, 1].copy())
        declared = program.tasks[task]
        names = tuple(f"{declared.outputs[a]} - {declared.outputs[b]}" for a, b in pairs.tolist())
        self._tasks = {task: replace(declared, outputs=(*declared.outputs, *names))}

    @property
    def schema(self) -> Schema:
        return self.program.schema

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self._tasks

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        return self.program.encode(rows)

    def __call__(self, blocks: dict[str, Tensor], task: str) -> Tensor:
        return self._with_pairs(self.program(blocks, task))

    def joined(self, task: str, widths: Mapping[str, int]) -> Callable[[Tensor], Tensor]:
        """The program's own way with blocks side by side, or its usual one."""
        if isinstance(self.program, Joined):
            own = self.program.joined(task, widths)
            return lambda x: self._with_pairs(own(x))

        def answer(x: Tensor) -> Tensor:
            parts = torch.split(x, list(widths.values()), dim=1)
            with torch.no_grad():
                return self(dict(zip(widths, parts, strict=True)), task)

        return answer

    def _with_pairs(self, out: Tensor) -> Tensor:
        return torch.cat([out, out[:, self._first] - out[:, self._second]], dim=1) if len(self._first) else out


class PairedNetwork(Paired):
    """The same of a program that can forget what it learned, so that the check by random weights is made of it too."""

    def __init__(self, program: Program, task: str, pairs: Ints) -> None:
        super().__init__(program, task, pairs)
        self._pairs = pairs

    def randomised(self, seed: int) -> Paired:
        assert isinstance(self.program, Randomised)
        return Paired(self.program.randomised(seed), next(iter(self.tasks)), self._pairs)


def paired(program: Program, task: str, pairs: Ints) -> Paired:
    """A program with the differences of pairs of its outputs."""
    return PairedNetwork(program, task, pairs) if isinstance(program, Randomised) else Paired(program, task, pairs)
