"""One trial: settings, how its loss fell on the way, and how it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from pellucid.search.space import Params

State = Literal["done", "pruned", "failed"]
RUNGS = 9  # times in a trial at which its loss is looked at: 3 * 3, for hyperband's thirds


@dataclass(frozen=True)
class Trial:
    """What is known of a trial that ended.

    Args:
        number: 0 is the spec as it stands.
        params: its settings by dotted path.
        state: "done", "pruned" (ended early) or "failed" (its loss was not finite, or the settings do not go together).
        curve: mean held-out loss at each rung that it reached; the last is its loss.
        why: of a failure.
        seconds: wall clock, for the time limit.
        marks: what a pruner remembers of it.
    """

    number: int
    params: Params
    state: State
    curve: tuple[float, ...]
    why: str = ""
    seconds: float = 0.0
    marks: dict[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """Its last loss; infinite when it failed."""
        return self.curve[-1] if self.state != "failed" and self.curve else math.inf

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "params": self.params,
            "state": self.state,
            "curve": list(self.curve),
            "why": self.why,
            "seconds": round(self.seconds, 3),
            "marks": self.marks,
        }

    @staticmethod
    def from_json(raw: dict[str, Any]) -> Trial:
        return Trial(
            int(raw["number"]),
            dict(raw["params"]),
            raw["state"],
            tuple(float(v) for v in raw["curve"]),
            str(raw["why"]),
            float(raw["seconds"]),
            dict(raw["marks"]),
        )


def best_of(trials: list[Trial]) -> Trial | None:
    """The finished trial of least loss; of equal ones the earliest, so that the spec as it stands wins a tie."""
    done = [trial for trial in trials if trial.state == "done" and math.isfinite(trial.loss)]
    return min(done, key=lambda trial: (trial.loss, trial.number), default=None)
