"""The tasks on a table's target: a class, any number of labels, a class of an order, a number."""

from __future__ import annotations

import itertools
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from pellucid.spec.section import OpenShare, Positive, Section

CALIBRATE = "divide the logits by a temperature, fitted on what the folds' fits said of rows they had not seen"
WEIGHT = "factor of this task's loss"


def increasing(value: list[float]) -> list[float]:
    """Raise unless every number is larger than the one before."""
    if any(b <= a for a, b in itertools.pairwise(value)):
        raise PydanticCustomError("increasing", "increasing numbers, each once")
    return value


class ClassifyTask(Section):
    """Predict a class; the target is `data.target`."""

    kind: Literal["classify"]
    calibrate: bool = Field(default=True, description=CALIBRATE)
    weight: Positive = Field(default=1.0, description=WEIGHT)
    class_weights: Literal["equal", "balanced"] = Field(
        default="equal", description="balanced: every class counts as much as any other, and odds are not the data's"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of every target that is spread over all classes"
    )


class MultilabelTask(Section):
    """Predict any number of labels a row: several columns `data.target` of 0 and 1, or one that lists them."""

    kind: Literal["multilabel"]
    separator: str = Field(
        default="|", min_length=1, max_length=3, description="between the labels of a cell, where one column lists them"
    )
    calibrate: bool = Field(default=True, description=CALIBRATE)
    weight: Positive = Field(default=1.0, description=WEIGHT)


class OrdinalTask(Section):
    """Predict a class of an order; the target is `data.target`."""

    kind: Literal["ordinal"]
    order: list[str] = Field(default=[], description="its classes, lowest first; of numbers, by default their own")
    calibrate: bool = Field(default=True, description=CALIBRATE)
    weight: Positive = Field(default=1.0, description=WEIGHT)


class RegressTask(Section):
    """Predict a number, its quantiles or its distribution; the target is `data.target`."""

    kind: Literal["regress"]
    quantiles: list[OpenShare] | None = Field(
        default=None, min_length=1, description="increasing, within (0, 1): these instead of the mean"
    )
    distribution: Literal["normal", "student", "lognormal"] | None = Field(
        default=None, description="its parameters instead of the mean; lognormal for numbers above zero"
    )
    calibrate: bool = Field(
        default=True,
        description="multiply a distribution's scale by a factor, fitted on rows the folds' fits had not seen",
    )
    weight: Positive = Field(default=1.0, description=WEIGHT)

    @field_validator("quantiles")
    @classmethod
    def _increasing(cls, value: list[float] | None) -> list[float] | None:
        return value if value is None else increasing(value)
