"""Small programs with known Shapley values, and a brute-force reference that shares no code with `explain`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task

Array = npt.NDArray[np.float64]
Function = Callable[[Tensor], Tensor]  # (n, d) -> (n, k)


class ToyProgram:
    """A function of d numbers as a program, float64; it records the rows that it was called on.

    Args:
        function: (n, d) -> (n, k), float64.
        d, k: numbers of inputs and outputs.
    """

    def __init__(self, function: Function, d: int, k: int = 1) -> None:
        names, outputs = tuple(f"x{i}" for i in range(d)), tuple(f"y{i}" for i in range(k))
        self.function = function
        self.seen: list[Tensor] = []
        self._schema = Schema(tuple(Field(n) for n in names), {"toy": tuple(Field(n, unit="unit") for n in outputs)})
        self._tasks = {"toy": Task("toy", "regress", names, outputs, "unit", "squared_error")}

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self._tasks

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        return {n: torch.from_numpy(rows.column(n).astype(np.float64).reshape(-1, 1)) for n in self._schema.names}

    def __call__(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        x = torch.cat([blocks[name] for name in self._schema.names], dim=1)
        self.seen.append(x)
        return self.function(x)


def toy_rows(x: Array, prefix: str = "row") -> Rows:
    """Rows of a `ToyProgram` from an array (n, d)."""
    keys = np.asarray([f"{prefix}{i}" for i in range(len(x))], dtype=np.str_)
    return Rows(keys, {f"x{i}": x[:, i] for i in range(x.shape[1])})


def brute_force(function: Function, x: Array, background: Array) -> Array:
    """Shapley values by the definition: the mean gain over all d! orders and all background rows, shape (n, d, k)."""
    n, d = x.shape
    orders = list(permutations(range(d)))
    k = function(torch.from_numpy(background[:1])).shape[1]
    values = np.zeros((n, d, k))
    for i in range(n):
        for order in orders:
            mixed = background.copy()
            last = function(torch.from_numpy(mixed)).numpy().mean(0)
            for player in order:
                mixed = mixed.copy()
                mixed[:, player] = x[i, player]
                now = function(torch.from_numpy(mixed)).numpy().mean(0)
                values[i, player] += now - last
                last = now
    return values / len(orders)


def network(generator: np.random.Generator, d: int, k: int, hidden: int = 16) -> Function:
    """A random two-layer network with strong interactions."""
    first = torch.from_numpy(generator.normal(size=(d, hidden)) * 1.5)
    second = torch.from_numpy(generator.normal(size=(hidden, k)) / hidden**0.5)
    shift = torch.from_numpy(generator.normal(size=hidden))

    def function(x: Tensor) -> Tensor:
        return torch.tanh(x @ first + shift) @ second

    return function
