"""A program as a function of the words of one text: there or not. So every explainer explains words.

The row is a 1 per word, the background a single row of 0: the text without words. What stands in place of a word is
part of the value function, and is printed. Coalitions that were asked before are not asked again; the others go to
the program by length, so that little is padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Player, Schema
from pellucid.core.task import Task
from pellucid.explain.game import Game
from pellucid.explain.words import Cut

WORDS = 2048  # of a call: activations of a large encoder stay small, and calls of a small one are still few


class Worded:
    """The words of a row's text as inputs. Implements `core.program.Program`.

    Args:
        program: the program itself.
        row: the row, one.
        task: what is explained. field: the text.
        cut: the text in pieces.
        tree: a hierarchy of them, see `words.tree_of`.
    Attributes:
        asked: coalitions that the program was asked about.
    """

    def __init__(
        self, program: Program, row: Rows, task: str, field: str, cut: Cut, tree: list[tuple[int, int, int]]
    ) -> None:
        self.program, self.row, self.field, self.cut, self.tree = program, row, field, cut, tree
        declared = program.tasks[task]
        self._tasks = {task: replace(declared, inputs=(field,))}
        width = len(cut.pieces)
        self._schema = Schema((Field(field, "series", width),), {task: program.schema.outputs[task]})
        self._known: dict[bytes, npt.NDArray[np.float64]] = {}
        self.asked = 0

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self._tasks

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        return {self.field: torch.from_numpy(np.asarray(rows.column(self.field), dtype=np.float32))}

    def __call__(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """Outputs of texts, shape (n, k), float64."""
        keep = blocks[self.field].numpy() > 0.5
        keys = [row.tobytes() for row in np.packbits(keep, axis=1)]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            index = np.array(sorted(new.values(), key=lambda i: int(keep[i].sum())))
            for key, out in zip([keys[i] for i in index], self._ask(keep[index], task), strict=True):
                self._known[key] = out
            self.asked += len(index)
        return torch.from_numpy(np.stack([self._known[key] for key in keys]))

    def _ask(self, keep: npt.NDArray[np.bool_], task: str) -> npt.NDArray[np.float64]:
        texts = [self.cut.without(kept) for kept in keep.tolist()]
        step, found = max(1, WORDS // max(1, keep.shape[1])), []
        for start in range(0, len(texts), step):
            part = texts[start : start + step]
            fields = {name: np.repeat(values, len(part), axis=0) for name, values in self.row.fields.items()}
            fields[self.field] = np.array(part, dtype=object)
            rows = Rows(np.zeros(len(part), dtype="U1"), fields)
            found.append(self.program(self.program.encode(rows), task).double().numpy())
        return np.concatenate(found)

    def game(self, names: list[str]) -> Game:
        """The game of one row whose players are the pieces."""
        (task,) = self._tasks
        players = [Player(name, self.field, slice(i, i + 1)) for i, name in enumerate(names)]
        there = {self.field: torch.ones(1, len(names))}
        return Game(self, task, there, {self.field: torch.zeros(1, len(names))}, players)
