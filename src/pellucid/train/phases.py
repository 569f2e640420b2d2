"""Rates that change at given updates: what population-based training finds, and what a person may write by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from pellucid.train.learner import State


class Phase(NamedTuple):
    """From this update on: the learning rate's factor, and the weight decay (None: as it is)."""

    update: int
    factor: float
    weight_decay: float | None


class Phases:
    """A `Part` of the training loop.

    Args:
        set_rates: (factor, weight decay), from the next update on.
        phases: in their order; the first may begin at update 0.
    """

    def __init__(self, set_rates: Callable[[float, float | None], None], phases: Sequence[Phase]) -> None:
        self.set_rates, self.phases, self.done = set_rates, list(phases), 0
        self._set()

    def penalty(self) -> Tensor | None:
        return None

    def after_step(self, update: int) -> None:
        self.done = update + 1
        if any(phase.update == self.done for phase in self.phases):
            self._set()

    def get_state(self) -> State:
        return {"done": self.done}

    def set_state(self, state: State) -> None:
        self.done = int(state["done"])
        self._set()

    def _set(self) -> None:
        begun = [phase for phase in self.phases if phase.update <= self.done]
        if begun:
            self.set_rates(begun[-1].factor, begun[-1].weight_decay)
