"""How a program is trained: the loop, its budget, what is averaged, how numbers are computed."""

from __future__ import annotations

import itertools
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from pellucid.spec.images import AugmentSpec
from pellucid.spec.section import Count, OpenShare, Positive, Section, Share
from pellucid.spec.text import TransferSpec


class BudgetSpec(Section):
    """Further ends of one training; a fit trains once a fold and once more."""

    epochs: Count | None = Field(
        default=None, description="passes over the training rows instead of `updates`; schedules follow"
    )
    seconds: Positive | None = Field(
        default=None, description="then it ends at a checkpoint; schedules do not follow the clock"
    )


class AverageSpec(Section):
    """Averages of the weights over the updates; the averages are judged and kept, the weights are trained."""

    kind: Literal["none", "ema", "swa"] = Field(
        default="none", description="ema: exponential; swa: equal, of every update from `start` on"
    )
    decay: OpenShare = Field(default=0.999, description="of ema, at most; less at first")
    start: Share = Field(default=0.75, description="share of the updates that are done when swa begins")


class ComputeSpec(Section):
    """How the numbers of an update are computed."""

    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of the products of supervised tasks; weights, losses and answers stay float32; "
        "float16 is refused: a CPU has no products of it",
    )
    accumulate: Count = Field(
        default=1, description="parts of a batch that are worked through one after the other: less memory"
    )


class EarlyStopSpec(Section):
    """When to end, by rows that are held out of training (supervised tasks)."""

    held_out: OpenShare | None = Field(
        default=None, description="share of the training rows by which the best weights are chosen; null: the last ones"
    )
    refit: bool = Field(
        default=True, description="then train again from the start on all rows, for as many passes as were best"
    )
    patience: Count = Field(default=16, description="passes over the rows without a better held-out loss: then it ends")
    passes: Count | None = Field(
        default=None,
        description="passes over the rows at most, before the training on all of them; null: any number",
    )


class PhaseSpec(Section):
    """Rates from some point of the training on."""

    start: Share = Field(description="share of the updates that are done by then")
    lr: Positive | None = Field(default=None, description="learning rate at its highest; null: as before")
    weight_decay: float | None = Field(default=None, gt=0, description="null: as before")


class PhasedSpec(Section):
    """Rates that change on the way, as population-based training finds them."""

    phases: list[PhaseSpec] = Field(default=[], description="in their order, each from its `start` on")

    @field_validator("phases")
    @classmethod
    def _increasing(cls, value: list[PhaseSpec]) -> list[PhaseSpec]:
        if any(b.start <= a.start for a, b in itertools.pairwise(value)):
            raise PydanticCustomError("increasing", "phases whose starts increase")
        return value


class TrainSpec(Section):
    """The training loop."""

    updates: Count = Field(default=1500, description="optimiser updates")
    batch: Count | Literal["auto"] = Field(
        default=256, description="rows per update (supervised tasks); auto: by the rows and the network's size"
    )
    noise: float = Field(default=0.0, ge=0, le=10, description="sd of noise on the inputs of supervised batches")
    optimiser: Literal[
        "sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion", "muon", "schedule_free", "sam"
    ] = "adamw"
    lr: Positive = Field(default=1e-3, description="learning rate at its highest")
    weight_decay: float = Field(default=1e-2, ge=0, description="decoupled, on matrices only")
    schedule: Literal["constant", "linear", "cosine", "one_cycle"] = Field(
        default="constant", description="of the learning rate after the warm-up"
    )
    warmup: Share = Field(default=0.0, description="share of the updates over which the learning rate rises")
    clip: Positive | None = Field(default=1.0, description="largest norm of a task's gradient; null: none")
    combine: Literal["sum", "upgrad"] = Field(
        default="sum", description="how the tasks' gradients are combined on the shared trunk"
    )
    early_stop: EarlyStopSpec = EarlyStopSpec()
    augment: AugmentSpec = AugmentSpec()
    transfer: TransferSpec = TransferSpec()
    phased: PhasedSpec = PhasedSpec()
    budget: BudgetSpec = BudgetSpec()
    average: AverageSpec = AverageSpec()
    compute: ComputeSpec = ComputeSpec()
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="networks of this size are fastest on a CPU")
    checkpoint_every: Count = Field(default=100, description="updates between checkpoints")
