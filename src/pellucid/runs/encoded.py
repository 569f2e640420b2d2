"""Encoded rows as one matrix for baselines, within a bound of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Index, Rows
from pellucid.core.task import Task

SINGLE = 5_000_000  # numbers of a matrix from which on it is one of single precision
MANY = 10_000_000  # and from which on training rows are drawn
PIECE = 20_000  # rows encoded at a time


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
    """A note when baselines were fitted on a part of the training rows.

    Args:
        folds: the program of each fold and its training rows.
    """
    for program, train in folds:
        for task in program.tasks.values():
            if task.kind not in ("classify", "regress"):
                continue
            kept = len(fewer(train, columns_of(program, task, rows), 0))
            if kept < len(train):
                return [f"baselines were fitted on {kept:,} of {len(train):,} training rows, drawn at random: memory"]
    return []


def columns_of(program: Program, task: Task, rows: Rows) -> int:
    """Width of the matrix."""
    return int(_side_by_side(program, task, rows.take(slice(0, 1))).shape[1])


def _side_by_side(program: Program, task: Task, rows: Rows) -> npt.NDArray[np.float32]:
    blocks = program.encode(rows)
    return np.concatenate([blocks[name].numpy() for name in task.inputs], axis=1)
