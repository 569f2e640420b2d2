"""Encoded rows as one matrix for baselines, within a bound of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Index, Rows
from pellucid.core.task import TABLE_KINDS, Task
from pellucid.data.columns import side_by_side
from pellucid.data.images import averaged

SINGLE = 5_000_000  # numbers of a matrix from which on it is one of single precision
MANY = 10_000_000  # and from which on training rows are drawn
PIECE = 20_000  # rows encoded at a time
SIDE = 16  # pixels: baselines see larger pictures averaged to this


def encoded(program: Program, task: Task, rows: Rows, index: Index) -> npt.NDArray[Any]:
    """The inputs of a task side by side, shape (n, columns): float64, of very many float32."""
    first = _side_by_side(program, task, rows.take(index[:PIECE]))
    single = len(index) * first.shape[1] > SINGLE
    matrix = np.empty((len(index), first.shape[1]), dtype=np.float32 if single else np.float64)
    matrix[: len(first)] = first
    for start in range(PIECE, len(index), PIECE):
        part = slice(start, start + PIECE)
        matrix[part] = _side_by_side(program, task, rows.take(index[part]))
    return matrix


def fewer(train: Index, columns: int, seed: int) -> Index:
    """The rows that baselines are fitted on: all, or a random part when they would take more memory than the fit."""
    most = MANY // max(columns, 1)
    if len(train) <= most:
        return train
    return np.sort(stream(seed, "evidence/baseline rows").permutation(train)[:most])


def told_fewer(rows: Rows, folds: Sequence[tuple[Program, Index]]) -> list[str]:
    """Notes when baselines were fitted on a part of the training rows, or saw pictures smaller than they are.

    Args:
        folds: the program of each fold and its training rows.
    """
    notes = []
    for field in folds[0][0].schema.inputs if folds else ():
        if field.kind == "image" and max(field.shape) > SIDE:
            notes.append(f"baselines saw '{field.name}' averaged to at most {SIDE} x {SIDE} pixels")
    for program, train in folds:
        for task in program.tasks.values():
            if task.kind not in TABLE_KINDS:
                continue
            kept = len(fewer(train, columns_of(program, task, rows), 0))
            if kept < len(train):
                few = f"baselines were fitted on {kept:,} of {len(train):,} training rows, drawn at random: memory"
                return [*notes, few]
    return notes


def columns_of(program: Program, task: Task, rows: Rows) -> int:
    """Width of the matrix."""
    return int(_side_by_side(program, task, rows.take(slice(0, 1))).shape[1])


def _side_by_side(program: Program, task: Task, rows: Rows) -> npt.NDArray[np.float32]:
    blocks = program.encode(rows)
    return side_by_side(_seen(program, name, blocks[name]) for name in task.inputs)


def _seen(program: Program, name: str, block: Tensor) -> Tensor:
    """A block as baselines see it: large pictures averaged."""
    field = program.schema[name]
    return averaged(block, field.shape, SIDE) if field.kind == "image" else block


def texts_of(
    program: Program, task: Task, train: Rows, test: Rows
) -> tuple[dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]], tuple[int, ...]]:
    """For `TableContext`: the texts of a task, and the columns that come from none; nothing of a task without texts."""
    schema, start = program.schema, 0
    texts: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}
    plain: list[int] = []
    if all(schema[name].kind != "text" for name in task.inputs):
        return {}, ()
    blocks = program.encode(test.take(slice(0, 1)))
    for name in task.inputs:
        width = side_by_side([_seen(program, name, blocks[name])]).shape[1]
        if schema[name].kind == "text":
            texts[name] = (train.column(name), test.column(name))
        else:
            plain += range(start, start + width)
        start += width
    return texts, tuple(plain)
