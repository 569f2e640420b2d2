"""Gradual unfreezing: the layers of a pretrained encoder are trained from the top down (Howard & Ruder 2018)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from pellucid.train.learner import State


class Unfreezing:
    """A `Part` of the training loop.

    Args:
        depths: name -> (parameter, how many layers lie above it).
        layers: how many there are; the embeddings lie below all of them.
        updates: after which everything is trained.
    """

    def __init__(self, depths: Mapping[str, tuple[nn.Parameter, int]], layers: int, updates: int) -> None:
        self.depths, self.layers, self.updates = dict(depths), layers, max(1, updates)
        self.update = 0

    def begin(self) -> None:
        """Nothing of the encoder is trained before the first update."""
        self._open(0)

    def penalty(self) -> Tensor | None:
        return None

    def after_step(self, update: int) -> None:
        self._open(update + 1)

    def _open(self, update: int) -> None:
        self.update = update
        lowest = (update * (self.layers + 1)) // self.updates  # so many from the top are trained
        for parameter, depth in self.depths.values():
            parameter.requires_grad_(depth < lowest)

    def get_state(self) -> State:
        return {"update": self.update}

    def set_state(self, state: State) -> None:
        self._open(int(state["update"]))
