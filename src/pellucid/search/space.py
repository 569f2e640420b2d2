"""The settings of a search as dimensions: what a sampler may choose, and what a choice means to the spec."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.spec.searching import RangeSpec

Params = dict[str, Any]  # dotted path -> value


@dataclass(frozen=True)
class Dimension:
    """One setting.

    Args:
        path: dotted, as `--set` has it.
        kind: "float", "int" or "choice".
        low, high: bounds, both included; of a choice 0 and the number of choices - 1.
        log: even over the logarithm.
        choices: of a choice.
    """

    path: str
    kind: str
    low: float
    high: float
    log: bool = False
    choices: tuple[Any, ...] = ()

    def at(self, unit: float) -> Any:
        """The value at a place in [0, 1]: every whole number and every choice has an equal part of it."""
        unit = min(max(unit, 0.0), 1.0)
        if self.kind == "choice":
            return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]
        low, high = self._ends()
        value = low + unit * (high - low)
        value = math.exp(value) if self.log else value
        if self.kind == "int":
            return int(min(max(round(value), self.low), self.high))
        return float(min(max(value, self.low), self.high))

    def place(self, value: Any) -> float:
        """Where in [0, 1] a value lies; the middle of its part for whole numbers and choices."""
        if self.kind == "choice":
            return (self.choices.index(value) + 0.5) / len(self.choices)
        low, high = self._ends()
        return ((math.log(value) if self.log else float(value)) - low) / (high - low)

    def holds(self, value: Any) -> bool:
        """Whether a value can be chosen here."""
        if self.kind == "choice":
            return any(type(value) is type(one) and value == one for one in self.choices)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = isinstance(value, int) or self.kind == "float"
        return bool(number and whole and self.low <= value <= self.high)

    def _ends(self) -> tuple[float, float]:
        low, high = (self.low - 0.5, self.high + 0.5) if self.kind == "int" else (self.low, self.high)
        return (math.log(low), math.log(high)) if self.log else (low, high)


def dimensions(space: Mapping[str, RangeSpec], whole: Sequence[str]) -> tuple[Dimension, ...]:
    """The dimensions of a space, by path, so that the order in which they were written changes nothing.

    Args:
        whole: the paths whose setting is a whole number.
    """
    found = []
    for path in sorted(space):
        given = space[path]
        if given.choices:
            found.append(Dimension(path, "choice", 0, len(given.choices) - 1, choices=tuple(given.choices)))
            continue
        assert given.low is not None
        assert given.high is not None
        kind = "int" if path in whole else "float"
        found.append(Dimension(path, kind, given.low, given.high, given.log))
    return tuple(found)


def drawn(dims: Sequence[Dimension], generator: np.random.Generator) -> Params:
    """Settings drawn evenly."""
    return {dim.path: dim.at(float(u)) for dim, u in zip(dims, generator.random(len(dims)), strict=True)}
