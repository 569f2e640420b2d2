"""The sections of series: many rows in time, one or several series in long format, forecast several steps ahead."""

from __future__ import annotations

import itertools
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from pellucid.spec.reading import ReadSpec
from pellucid.spec.section import Count, OpenShare, Positive, Section

FUTURE = "future"  # the name of the targets
# Steps of a year, a week or a day after which a series of that frequency is expected to look alike.
SEASONS = {"hour": 24, "day": 7, "weekday": 5, "week": 52, "month": 12, "quarter": 4, "year": 1}
Frequency = Literal["hour", "day", "weekday", "week", "month", "quarter", "year"]


class StepSpec(Section):
    """The time between two rows of a series."""

    frequency: Frequency | None = Field(
        default=None, description="weekday: Monday to Friday; null: what the times of the first series suggest"
    )
    season: Count | None = Field(
        default=None, le=1000, description="steps of one season; null: a day of hours, a week of days, else a year"
    )
    gaps: Literal["refuse", "carry"] = Field(
        default="refuse",
        description="steps without a row or a target: an error that names them, or the last value stands in for what "
        "is read there, counted in the evidence, and nothing is learned from it or judged by it",
    )
    calendar: bool = Field(default=True, description="the program reads where in the season it is")


class SeriesData(Section):
    """One series, or many in long format: a row holds one step of one series."""

    kind: Literal["series"]
    source: str = Field(min_length=1, description="a file or pattern, a URL or a database, as of a table")
    query: str | None = Field(default=None, min_length=1, description="of a database: a table's name, or a SELECT")
    read: ReadSpec = ReadSpec()
    target: str = Field(min_length=1, description="the column to forecast: a number")
    time: str = Field(min_length=1, description="the column of a row's moment: 2024-02-29, 2024-02, 2024Q1, 2024, ...")
    group: str | None = Field(
        default=None, min_length=1, description="the column that names the series; null: only one"
    )
    known: list[str] = Field(
        default=[], description="numbers that are known ahead (prices, holidays): given for the steps to come, too"
    )
    past: list[str] = Field(default=[], description="numbers that are known up to the present only")
    window: int = Field(default=24, ge=2, le=2000, description="steps before the present that the program sees")
    horizon: int = Field(default=1, ge=1, le=500, description="steps ahead that are forecast, each by itself")
    transform: Literal["none", "log"] = Field(
        default="none", description="log: of positive series whose swings grow with their level"
    )
    step: StepSpec = StepSpec()


class HorizonsTask(Section):
    """Quantiles of a series' next steps."""

    kind: Literal["horizons"]
    quantiles: list[OpenShare] = Field(
        default=[0.1, 0.5, 0.9], min_length=1, description="increasing, within (0, 1), the median among them"
    )
    metric: Literal["pinball", "mase"] = Field(
        default="pinball",
        description="by which rows are judged: of all quantiles or of the median, over the series' own mean step of "
        "one season",
    )
    start: Literal["combined", "naive"] = Field(
        default="combined",
        description="what the network corrects: a mix of linear forecasters fitted first, or the last value",
    )
    widen: bool = Field(
        default=True, description="widen the outer quantiles by what earlier folds missed (conformal prediction)"
    )
    weight: Positive = Field(default=1.0, description="factor of this task's loss")

    @field_validator("quantiles")
    @classmethod
    def _increasing(cls, value: list[float]) -> list[float]:
        if any(b <= a for a, b in itertools.pairwise(value)) or 0.5 not in value:
            raise PydanticCustomError("increasing", "increasing numbers, each once, 0.5 among them")
        return value
