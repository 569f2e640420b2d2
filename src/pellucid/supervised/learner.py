"""Supervised: minimise the task's loss on rows drawn without replacement, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.data.blocks import beneath, beside, taken
from pellucid.nn.losses import log_loss, loss_of
from pellucid.nn.outputs import ALL as OUTPUTS
from pellucid.nn.outputs import full, trained_space
from pellucid.nn.plain import PlainView, is_plain, plain_view
from pellucid.nn.plain_losses import by_hand
from pellucid.supervised.augment import Augment
from pellucid.train.learner import Gradients, Loss, State

CHUNK = 4096  # rows at a time, outside training


class SupervisedBatch(NamedTuple):
    blocks: Mapping[str, Tensor]
    target: Tensor


class Supervised:
    """The Learner of everything that has a target: the tasks on tables, `forecast` and `volatility`.

    Args:
        task: what is learned.
        blocks: encoded training rows, each (n, columns).
        target: in the training space of `nn.outputs`, shape (n,), or (n, k) of labels; codes of classes.
        batch: rows per update (all rows when fewer).
        held: rows that are held out of training, for `train.early_stop`.
        balanced: every class of a classification counts as much as any other.
        smoothing: of its targets, see `losses.log_loss`.
        noise: standard deviation of Gaussian noise on the encoded inputs, a ridge-like regulariser (Bishop 1995).
        augment: what is done to the pictures of a batch.
        seed: of the shuffles. Epoch e is `stream(seed, "shuffle/<task>", e)`: nothing to save but a counter.
    """

    rowwise = True

    def __init__(
        self,
        task: Task,
        blocks: Mapping[str, Tensor],
        target: Tensor,
        *,
        batch: int,
        seed: int,
        noise: float = 0.0,
        held: SupervisedBatch | None = None,
        balanced: bool = False,
        smoothing: float = 0.0,
        augment: Augment | None = None,
    ) -> None:
        if len(target) == 0:
            raise DataError(
                f"task '{task.name}' has no training rows.",
                where="Supervised(...)",
                mend="give more rows, a shorter window or a smaller review set",
            )
        self.task, self.target, self.held = task, target, held
        self.blocks = beside(blocks, task.inputs)
        self.batch, self.seed, self.noise = min(batch, len(target)), seed, noise
        self._augment = None if augment is None or augment.idle else augment
        self._drawn, self._all = 0, False
        self._order: tuple[int, Tensor] | None = None
        self._viewed: tuple[nn.Module, int, PlainView | None] | None = None
        self._loss = loss_of(task)
        # What is trained may differ from what is judged: the held-out loss stays the task's own.
        self._trained = partial(log_loss, smoothing=smoothing) if smoothing else self._loss
        self._weights = _class_weights(target, len(task.options["classes"])) if balanced else None
        self._by_hand = by_hand(task, smoothing)

    def next_batch(self, network: nn.Module) -> SupervisedBatch:
        per_epoch = max(1, len(self.target) // self.batch)
        epoch, step = divmod(self._drawn, per_epoch)
        if self._order is None or self._order[0] != epoch:
            order = stream(self.seed, f"shuffle/{self.task.name}", epoch).permutation(len(self.target))
            self._order = (epoch, torch.from_numpy(order))
        index = self._order[1][step * self.batch : (step + 1) * self.batch]
        blocks = taken(self.blocks, index)
        if self._augment is not None:
            blocks = self._augment(blocks, stream(self.seed, f"augment/{self.task.name}", self._drawn))
        if self.noise:
            # The noise is part of the batch: the loss of a batch stays a pure function.
            generator = stream(self.seed, f"noise/{self.task.name}", self._drawn)
            blocks = dict(blocks)
            for name, block in blocks.items():
                if not block.is_floating_point():
                    continue  # tokens of a text
                drawn = generator.standard_normal(tuple(block.shape), dtype=np.float32)
                blocks[name] = block + self.noise * torch.from_numpy(drawn)
        self._drawn += 1
        device = next(network.parameters()).device
        if device.type != "cpu":
            blocks = {k: v.to(device) for k, v in blocks.items()}
        return SupervisedBatch(blocks, self.target[index].to(device))

    def loss(self, network: nn.Module, batch: SupervisedBatch) -> Loss:
        members = getattr(network, "members", None)
        if members is None:
            return Loss(self.row_losses(trained_space(self.task, network, batch.blocks), batch.target).mean(), {})
        # Each member of an ensemble learns by its own loss: the mean answer's would let them lean on one another.
        raw = members(batch.blocks, self.task.name)
        count = next(iter(raw.values())).shape[1]
        z = self.training({name: value.flatten(0, 1) for name, value in raw.items()})
        return Loss(self.row_losses(z, batch.target.repeat_interleave(count, dim=0)).mean(), {})

    def gradients(self, network: nn.Module, batch: SupervisedBatch) -> Gradients | None:
        """What autograd would give, by hand, when network and loss are plain."""
        view = self._view_of(network)
        if view is None or self._by_hand is None:
            return None
        losses, slope = self._by_hand(view.forward(batch.blocks)["out"], batch.target.numpy())
        weights: float | npt.NDArray[np.float32] = 1.0 / len(losses)
        if self._weights is not None:
            weights = self._weights.numpy()[batch.target.numpy()] / np.float32(len(losses))
        value = float((losses * weights).sum())
        view.backward({"out": slope * (weights if isinstance(weights, float) else weights[:, None])})
        return Gradients(value, {}, view.parameters, view.gradients, view.vector)

    def _view_of(self, network: nn.Module) -> PlainView | None:
        """The fast path, looked at once an epoch: what is frozen or attached may change in between."""
        epoch = self._order[0] if self._order is not None else -1
        if self._viewed is None or self._viewed[0] is not network:
            self._viewed = (network, epoch, plain_view(network, self.task.name))
        elif self._viewed[1] != epoch:
            view = self._viewed[2]
            view = (
                view if view is not None and is_plain(network, self.task.name) else plain_view(network, self.task.name)
            )
            self._viewed = (network, epoch, view)
        return self._viewed[2]

    def training(self, raw: Mapping[str, Tensor]) -> Tensor:
        """Raw outputs of the heads, each (n, k), in the space of the loss."""
        return OUTPUTS[self.task.form].training(self.task, full(raw))

    def row_losses(self, z: Tensor, target: Tensor) -> Tensor:
        """What is minimised: the rows' losses, weighed by their classes; shape (n,)."""
        each = self._trained(z, target)
        return each if self._weights is None else each * self._weights.to(each.device)[target]

    def judge_losses(self, z: Tensor, target: Tensor) -> Tensor:
        """What the rows held out are judged by, shape (n,)."""
        return self._loss(z, target)

    def take_all(self) -> None:
        """Train on the rows that were held out, too, from the first epoch on."""
        if self.held is None:
            return
        self.blocks = beneath(self.blocks, self.held.blocks)
        self.target = torch.cat([self.target, self.held.target])
        self.held, self._drawn, self._order, self._all = None, 0, None, True

    @torch.no_grad()
    def held_out_loss(self, network: nn.Module) -> float:
        """Of the program's own answer on the rows held out."""
        assert self.held is not None
        total, n = 0.0, len(self.held.target)
        for start in range(0, n, CHUNK):
            part = slice(start, start + CHUNK)
            z = trained_space(self.task, network, dict(taken(self.held.blocks, part)))
            total += float(self._loss(z, self.held.target[part]).sum())
        return total / n

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        return None

    def get_state(self) -> State:
        return {"drawn": self._drawn, **({"all": True} if self._all else {})}

    def set_state(self, state: State) -> None:
        if state.get("all"):
            self.take_all()
        self._drawn, self._order = int(state["drawn"]), None


def _class_weights(target: Tensor, classes: int) -> Tensor:
    """n / (classes n_c): a mean weight of one over the rows; a class without rows never weighs."""
    count = torch.bincount(target.long(), minlength=classes).float()
    return len(target) / ((count > 0).sum() * count.clamp_min(1.0))
