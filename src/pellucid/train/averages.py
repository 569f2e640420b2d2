"""Averages of the weights over the updates, kept in a copy: the trained weights are never switched in place.

    ema    x <- d x + (1 - d) w, with d = min(decay, (1 + t) / (10 + t)) after t updates
    swa    x <- x + (w - x) / n, over the n weights from `start` on (Izmailov et al. 2018); w itself before

Buffers are those of the trained network.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn

from pellucid.train.learner import State


class Averages:
    """A `Part` of the training loop.

    Args:
        network: what is trained; `shadow` is its copy with the averages.
        kind: "ema" or "swa".
        decay: of ema.
        start: updates that are done when swa begins.
    """

    def __init__(self, network: nn.Module, kind: Literal["ema", "swa"], *, decay: float, start: int) -> None:
        self.network, self.kind, self.decay, self.start = network, kind, decay, start
        self.shadow = deepcopy(network)
        self.update = self.count = 0

    def penalty(self) -> Tensor | None:
        return None

    @torch.no_grad()
    def after_step(self, update: int) -> None:
        self.update += 1
        if self.kind == "ema":
            share = 1.0 - min(self.decay, (1.0 + self.update) / (10.0 + self.update))
        else:
            self.count += self.update > self.start
            share = 1.0 / max(self.count, 1)
        for mean, weight in zip(self.shadow.parameters(), self.network.parameters(), strict=True):
            if share == 1.0:
                mean.copy_(weight)
            else:
                mean.lerp_(weight, share)
        self._buffers()

    @torch.no_grad()
    def restart(self) -> None:
        """Training begins again."""
        self.update = self.count = 0
        for mean, weight in zip(self.shadow.parameters(), self.network.parameters(), strict=True):
            mean.copy_(weight)
        self._buffers()

    def _buffers(self) -> None:
        for mine, its in zip(self.shadow.buffers(), self.network.buffers(), strict=True):
            mine.copy_(its)

    def get_state(self) -> State:
        return {"update": self.update, "count": self.count, "shadow": dict(self.shadow.state_dict())}

    def set_state(self, state: State) -> None:
        self.update, self.count = int(state["update"]), int(state["count"])
        self.shadow.load_state_dict(state["shadow"])
