"""Early stopping: watch the loss of rows held out of training, keep the best weights, end when they stay the best."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pellucid.train.learner import State


class HeldOut:
    """A `Part` of the training loop (Prechelt 1998).

    Args:
        network: what is trained.
        loss: the held-out loss of the network as it is.
        every: updates between looks.
        patience: looks without a better loss after which training is over.
    """

    def __init__(self, network: nn.Module, loss: Callable[[], float], *, every: int, patience: int) -> None:
        self.network, self.loss, self.every, self.patience = network, loss, every, patience
        self.best, self.best_update, self.update = math.inf, -1, -1
        self.curve: list[list[float]] = []  # [update, loss]
        self._weights: dict[str, Tensor] = {}

    @property
    def enough(self) -> bool:
        """The loss has not improved for `patience` looks."""
        return self.best_update >= 0 and self.update - self.best_update >= self.every * self.patience

    def penalty(self) -> Tensor | None:
        return None

    def after_step(self, update: int) -> None:
        self.update = update
        if (update + 1) % self.every:
            return
        now = self.loss()
        self.curve.append([update + 1.0, now])
        if now < self.best:
            self.best, self.best_update = now, update
            self._weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    @torch.no_grad()
    def restore_best(self) -> None:
        """Put the best weights into the network."""
        if self._weights:
            self.network.load_state_dict(self._weights)

    def get_state(self) -> State:
        best = None if math.isinf(self.best) else self.best
        return {
            "best": best,
            "best_update": self.best_update,
            "update": self.update,
            "curve": self.curve,
            "weights": self._weights,
        }

    def set_state(self, state: State) -> None:
        self.best = math.inf if state["best"] is None else float(state["best"])
        self.best_update, self.update = int(state["best_update"]), int(state["update"])
        self.curve, self._weights = [list(point) for point in state["curve"]], dict(state["weights"])
