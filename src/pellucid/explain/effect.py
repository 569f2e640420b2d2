"""The effect of do(field): how far the outputs move when one field alone is replaced by other rows' values.

This is what "the program must ignore volume" means, and what a correction has to bring down. The whole block of the
field (all its lags together) is replaced, so that the new values are ones that really occurred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.explain.game import CHUNK, Blocks, declared_task

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Effect:
    """Effect of do(field) on a task's outputs.

    Args:
        field, task, outputs, unit: what was replaced, and what was watched.
        per_row: mean absolute deviation of each row's outputs around their mean over the draws, in the outputs' unit,
            shape (n, k): bootstrap these for an interval.
        sd: standard deviation of the ordinary outputs over the rows, shape (k,).
        draws, donors_n, seed: how it was measured.
    """

    field: str
    task: str
    outputs: tuple[str, ...]
    unit: str
    per_row: Array
    sd: Array
    draws: int
    donors_n: int
    seed: int

    @property
    def raw(self) -> Array:
        """Mean over the rows, in the outputs' unit, shape (k,); zero when the outputs ignore the field."""
        mean: Array = self.per_row.mean(0)
        return mean

    @property
    def relative(self) -> Array:
        """The same as a share of the output's own standard deviation, shape (k,); inf for a moved constant."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.raw == 0.0, 0.0, self.raw / self.sd)


def effect_of_do(
    program: Program, rows: Rows, task: str, field: str, *, donors: Rows, draws: int = 16, seed: int = 0
) -> Effect:
    """The effect of do(field) on every output of a task.

    For each row, the field's block is replaced by those of `draws` random donors; the effect is the mean absolute
    deviation of the output around its mean over the draws, times sqrt(draws / (draws - 1)) because that mean is
    estimated. Absolute, not squared: prices have heavy tails, and a few wild days should not be the whole effect.

    Args:
        rows: rows on which the effect is measured, at least two.
        field: one field of the schema; a field that the task does not read has effect zero.
        donors: rows whose values of the field are put in.
    Raises:
        SchemaError: no such field.
        DataError: fewer than two rows, donors or draws.
    """
    program.schema[field]
    for what, count in (("rows", len(rows)), ("donors", len(donors)), ("draws", draws)):
        if count < 2:
            raise DataError(f"an effect needs at least 2 {what}; {count} given.", where="explain.effect_of_do(...)")
    declared = declared_task(program, task, where="explain.effect_of_do(...)")
    blocks = program.encode(rows)
    ordinary = evaluate_blocks(program, blocks, task)
    n, k = ordinary.shape
    deviation = torch.zeros(n, k, dtype=torch.float64)
    if field in declared.inputs:
        pool = program.encode(donors)[field]
        which = torch.from_numpy(stream(seed, f"explain/do/{field}").integers(len(donors), size=(n, draws)))
        moved = torch.stack([replaced(program, blocks, task, field, pool[which[:, i]]) for i in range(draws)])
        moved = moved - moved[0]  # so that outputs that do not move have effect zero, not a rounding error
        deviation = (moved - moved.mean(0)).abs().mean(0) * (draws / (draws - 1)) ** 0.5
    return Effect(
        field=field,
        task=task,
        outputs=declared.outputs,
        unit=declared.unit,
        per_row=deviation.numpy(),
        sd=ordinary.std(0).numpy(),
        draws=draws,
        donors_n=len(donors),
        seed=seed,
    )


def held_fixed(program: Program, rows: Rows, task: str, field: str, value_blocks: Tensor) -> Tensor:
    """Outputs with a field held at given encoded values.

    Args:
        value_blocks: shape (n, width), or (1, width) for one value in every row.
    Returns:
        shape (n, k), float64.
    Raises:
        SchemaError: no such field, or a block of another width.
    """
    program.schema[field]
    declared_task(program, task, where="explain.held_fixed(...)")
    blocks = program.encode(rows)
    if value_blocks.ndim != 2 or value_blocks.shape[1] != blocks[field].shape[1]:
        raise SchemaError(
            f"the block given for '{field}' has shape {tuple(value_blocks.shape)}; "
            f"({len(rows)}, {blocks[field].shape[1]}) or (1, {blocks[field].shape[1]}) is needed.",
            where="explain.held_fixed(...)",
            mend=f"use program.encode(rows)['{field}']",
        )
    return replaced(program, blocks, task, field, value_blocks.expand(len(rows), -1))


def replaced(program: Program, blocks: Blocks, task: str, field: str, value: Tensor) -> Tensor:
    """Outputs with the block of `field` replaced by `value`, shape (n, k)."""
    return evaluate_blocks(program, {**blocks, field: value}, task)


def evaluate_blocks(program: Program, blocks: Blocks, task: str) -> Tensor:
    """The program on its task's blocks, in calls of at most `CHUNK` rows, shape (n, k), float64."""
    names = program.tasks[task].inputs
    n = len(blocks[names[0]])
    out = torch.empty(n, len(program.tasks[task].outputs), dtype=torch.float64)
    with torch.no_grad():
        for start in range(0, n, CHUNK):
            out[start : start + CHUNK] = program({name: blocks[name][start : start + CHUNK] for name in names}, task)
    return out
