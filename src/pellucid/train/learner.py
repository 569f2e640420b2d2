"""The protocols of training: Learner, Part, Combine.

A learner says how one task is learned: it draws the next batch and gives the differentiable loss of a batch.
Supervised learning, PPO, distillation, "learn from this correction": all are learners, trained by one loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from pellucid.core.task import Task

State = dict[str, Any]  # nested dict of arrays and JSON values
Batch = Any  # whatever the learner's own loss understands; noise is part of the batch
Combine = Callable[[Tensor], Tensor]  # J (m tasks, n shared parameters) -> g (n,)


class Loss(NamedTuple):
    """value: the mean over the batch's rows, differentiable; metrics: detached scalars to log."""

    value: Tensor
    metrics: dict[str, Tensor]


class Gradients(NamedTuple):
    """A loss with gradients that a learner worked out itself (see `Learner`). `gradients[i]` is of `parameters[i]`.

    Where they lie side by side in one `vector` in that order, the loop need not join them.
    """

    value: float
    metrics: dict[str, float]
    parameters: list[nn.Parameter]
    gradients: list[Tensor]
    vector: Tensor | None = None


@runtime_checkable
class Learner(Protocol):
    """How a task is learned.

    A learner may also have `gradients(network, batch) -> Gradients | None`: the same numbers as autograd of `loss`,
    faster; None when it cannot (the loop then differentiates `loss`).
    """

    task: Task
    rowwise: bool  # the loss is a mean of independent rows (private and sharded training need that)

    def next_batch(self, network: nn.Module) -> Batch | None:
        """Draw the next batch. Stateful. None: this learner sits the update out."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Pure: the same batch and weights give the same value."""
        ...

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        """Target networks, early stops, priorities."""
        ...

    def get_state(self) -> State:
        """All that resuming needs to be bit-identical."""
        ...

    def set_state(self, state: State) -> None: ...


@runtime_checkable
class Part(Protocol):
    """Something that takes part in training beside the learners: a delta, averaged weights."""

    def penalty(self) -> Tensor | None:
        """Added to the loss after the tasks' gradients are combined."""
        ...

    def after_step(self, update: int) -> None:
        """Called after the optimiser's step; this update's gradients are still there."""
        ...

    def get_state(self) -> State: ...

    def set_state(self, state: State) -> None: ...
