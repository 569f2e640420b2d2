"""What a correction is measured by: the effect of do(field) and the outputs with the field held fixed.

Measured on the review rows, in the space in which the task is learned (a forecast in units of the trailing
volatility): in raw units the volatility itself would dominate every correlation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.rows import Rows
from pellucid.core.schema import Schema
from pellucid.core.task import Task
from pellucid.evidence.intervals import mean_interval
from pellucid.explain import effect_of_do
from pellucid.nn.outputs import trained_space
from pellucid.nn.program import NetworkProgram
from pellucid.review.diff import correlation

FLOOR = 0.01  # standard deviations of the output: a smaller effect is nothing to forbid
DRAWS = 16
CONSTANT = 1e-6  # a smaller spread of outputs in the training space is rounding
Floats = npt.NDArray[np.float64]


class TrainingSpace:
    """A program seen in the space in which its tasks are learned. Implements `core.program.Program`."""

    def __init__(self, program: NetworkProgram) -> None:
        self.program = program

    @property
    def schema(self) -> Schema:
        return self.program.schema

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self.program.tasks

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        return self.program.encode(rows)

    @torch.no_grad()
    def __call__(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        declared = self.program.task(task)
        return trained_space(declared, self.program.network, blocks)


@dataclass(frozen=True)
class FieldEffect:
    """Effect of do(field) on a task: mean over outputs, in standard deviations of each output, with its interval."""

    value: float
    low: float
    high: float

    @property
    def present(self) -> bool:
        """The whole interval lies above what is too small to matter."""
        return self.low > FLOOR


def field_effect(
    program: NetworkProgram, rows: Rows, donors: Rows, task: str, field: str, *, block: float, seed: int
) -> FieldEffect:
    """Measure it; rows in time order are bootstrapped in blocks."""
    found = effect_of_do(TrainingSpace(program), rows, task, field, donors=donors, draws=DRAWS, seed=seed)
    sd = np.where(found.sd > 1e-9, found.sd, np.inf)
    per_row = (found.per_row / sd).mean(1)
    interval = mean_interval(per_row, block=block, seed=seed, name=f"effect/{task}/{field}")
    return FieldEffect(interval.value, interval.low, interval.high)


def typical_block(program: NetworkProgram, donors: Rows, field: str) -> Tensor:
    """The field's block of the training row that lies nearest to the mean block: a value that really occurred."""
    block = program.encode(donors)[field]
    return block[(block - block.mean(0)).square().sum(1).argmin()][None]


def held_fixed(program: NetworkProgram, rows: Rows, task: str, field: str, block: Tensor) -> Floats:
    """Outputs of the rows with the field's block fixed at one value, shape (n, k)."""
    blocks = program.encode(rows)
    if field in blocks:
        blocks[field] = block.expand(len(rows), -1)
    outputs: Floats = TrainingSpace(program)(blocks, task).double().numpy()
    return outputs


def compare_fixed(names: tuple[str, ...], base: Floats, candidate: Floats) -> list[dict[str, Any]]:
    """Per output: correlation and share of the spread, with the field held fixed; no spread beside a constant base."""
    found = []
    for j, name in enumerate(names):
        a, b = base[:, j], candidate[:, j]
        spread = float(b.std() / a.std()) if a.std() > CONSTANT else None
        found.append({"name": name, "correlation": correlation(a, b), "spread": spread})
    return found
