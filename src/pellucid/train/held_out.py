"""Early stopping: watch the loss of rows held out of training, keep the best weights, end when they stay the best."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pellucid.train.learner import State


class Again(NamedTuple):
    """How training begins again on all rows (Goodfellow, Bengio & Courville 2016, algorithm 7.2).

    Args:
        release: the learner gets all rows.
        restart: network and optimiser as they were at first, and whatever else comes before the first update.
        share: all rows / rows that are trained on at first.
        updates: in all; a second training that does not fit in is left out.
        rise: the first updates of the learning rate's schedule, in which it rises.
    """

    release: Callable[[], None]
    restart: Callable[[], None]
    share: float
    updates: int
    rise: int = 0


class HeldOut:
    """A `Part` of the training loop (Prechelt 1998).

    Args:
        network: what is trained.
        loss: the held-out loss of the network as it is.
        every: updates between looks.
        patience: looks without a better loss after which training is over.
        most: looks after which it is over in any case.
        again: when training is over, it begins again on all rows, and lasts as many epochs as were best.
        settle: chooses by the rows held out what is not trained; called with the best weights in the network.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[], float],
        *,
        every: int,
        patience: int,
        most: int | None = None,
        again: Again | None = None,
        settle: Callable[[], None] | None = None,
    ) -> None:
        self.network, self.loss, self.every, self.patience, self.again = network, loss, every, patience, again
        self.most = most
        self.settle = settle
        self.best, self.best_update, self.update = math.inf, -1, -1
        self.since, self.until = -1, -1  # the second training's first update and its last one
        self.curve: list[list[float]] = []  # [update, loss]
        self._weights: dict[str, Tensor] = {}

    @property
    def enough(self) -> bool:
        """Training is over."""
        return self._patient() if self.until < 0 else self.until <= self.update

    def _patient(self) -> bool:
        """The loss has not improved for `patience` looks, or there were as many as there may be."""
        if self.most is not None and self.update + 1 >= self.every * self.most:
            return True
        return bool(self.curve) and self.update - self.best_update >= self.every * self.patience

    def place(self, update: int) -> int:
        """Where on the learning rate's schedule an update is, from 0.

        The second training begins the schedule again: it rises as in the first, pass by pass, for the passes that were
        best are those of such a rise; and as its end is known, the rest of the schedule ends with it.
        """
        if self.since < 0 or self.again is None:
            return update
        share, rise, updates = self.again.share, self.again.rise, self.again.updates
        here, length = (update - self.since) / share, (self.until + 1 - self.since) / share
        if here < rise or length <= rise:
            return int(here)
        return int(rise + (here - rise) * (updates - rise) / (length - rise))

    def begin(self) -> None:
        """Look at the weights before the first update."""
        self._look()

    def penalty(self) -> Tensor | None:
        return None

    def after_step(self, update: int) -> None:
        self.update = update
        if self.until >= 0:
            return
        if (update + 1) % self.every == 0:
            self._look()
        if self.again is None or not self._patient():
            return
        until = update + round((self.best_update + 1) * self.again.share)
        if until < self.again.updates:  # else the best weights will do: there are many rows
            self.restore_best()
            self.since, self.until, self._weights = update + 1, until, {}
            self.again.release()
            self.again.restart()

    def _look(self) -> None:
        now = self.loss()
        self.curve.append([self.update + 1.0, now])
        if now < self.best:
            self.best, self.best_update = now, self.update
            self._weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    @torch.no_grad()
    def restore_best(self) -> None:
        """Put the best weights into the network."""
        if self._weights:
            self.network.load_state_dict(self._weights)
            if self.settle is not None:
                self.settle()

    def get_state(self) -> State:
        best = None if math.isinf(self.best) else self.best
        return {
            "best": best,
            "best_update": self.best_update,
            "update": self.update,
            "since": self.since,
            "until": self.until,
            "curve": self.curve,
            "weights": self._weights,
        }

    def set_state(self, state: State) -> None:
        self.best = math.inf if state["best"] is None else float(state["best"])
        self.best_update, self.update = int(state["best_update"]), int(state["update"])
        self.since, self.until = int(state.get("since", -1)), int(state["until"])
        if self.until >= 0 and self.again is not None:
            self.again.release()
        self.curve, self._weights = [list(point) for point in state["curve"]], dict(state["weights"])
