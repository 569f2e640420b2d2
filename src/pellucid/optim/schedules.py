"""Learning-rate schedules: functions of the update counter, never of elapsed time, so that a resumed run repeats."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pellucid.core.errors import SpecError, nearest


def constant(progress: float) -> float:
    """Full rate throughout."""
    return 1.0


def linear(progress: float) -> float:
    """A straight fall to zero."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Half a cosine, from one to zero (Loshchilov & Hutter 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def one_cycle(progress: float) -> float:
    """Up from 1/25 over the first 30 %, then down to almost nothing, both along half a cosine (Smith 2018)."""
    if progress < 0.3:
        return 0.04 + 0.96 * 0.5 * (1.0 - math.cos(math.pi * progress / 0.3))
    return 1e-4 + (1.0 - 1e-4) * 0.5 * (1.0 + math.cos(math.pi * (progress - 0.3) / 0.7))


ALL: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


@dataclass(frozen=True)
class Schedule:
    """update (from 0) -> factor on the learning rate, in (0, 1] before `updates` and then constant.

    Args:
        name: the shape after the warm-up, one of `ALL`.
        updates: length of the run; after it the last factor stays.
        warmup: share of the updates over which the rate rises from almost nothing.
        end: factor that a falling shape ends at.
    """

    name: str = "constant"
    updates: int = 1
    warmup: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ALL:
            raise SpecError(
                f"no schedule '{self.name}'; there are {', '.join(ALL)}.",
                where="Schedule(...)",
                mend=nearest(self.name, ALL) or "use one of the names above",
            )
        if not (self.updates >= 1 and 0.0 <= self.warmup <= 1.0 and 0.0 <= self.end <= 1.0):
            raise SpecError(
                f"updates={self.updates} must be at least 1, warmup={self.warmup} and end={self.end} in [0, 1].",
                where="Schedule(...)",
                mend="warmup is a share of the updates, not a number of them",
            )

    @property
    def rising(self) -> int:
        """Updates of the warm-up."""
        return round(self.warmup * self.updates)

    def __call__(self, update: int) -> float:
        rising = self.rising
        if update < rising:
            return (update + 1) / rising
        falling = max(1, self.updates - rising)
        progress = min(update - rising, falling - 1) / falling
        return self.end + (1.0 - self.end) * ALL[self.name](progress)
