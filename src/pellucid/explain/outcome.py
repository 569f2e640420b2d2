"""What a policy's return rests on: an experiment, not an attribution.

Shapley values of a critic tell what a *prediction* rests on; whether the policy would earn less without a feature is
another question (Beechey et al. 2023, 2025: SVERL). Here the same episodes are played again while the policy sees
another state's values in a feature's place, and the returns are compared pair by pair.

This file holds the result; episodes are played by whoever has an environment (`runs.outcomes`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.schema import Player
from pellucid.explain.filed import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, npt.NDArray[Any]]

ANEW = (
    "hidden: at every step the policy sees, in the feature's place, its values in another of {n:,} states that it "
    "visits itself, drawn anew; the environment goes on with the real ones"
)


class Hidden(NamedTuple):
    """What hiding one feature did to the outcome.

    Args:
        feature: its name.
        value: mean outcome with the feature hidden.
        change, low, high: mean paired difference, hidden less seen, with its interval. Negative: it is needed.
    """

    feature: str
    value: float
    change: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """The interval excludes zero."""
        return not self.low <= 0.0 <= self.high


@dataclass(frozen=True)
class Outcome:
    """Outcomes with each feature hidden, beside the outcome with all of them seen. No Shapley values.

    Args:
        task, env: whose outcome, where.
        unit: of every number: `return of an episode`, or `return of a day`.
        seen, low, high: mean outcome with everything seen, and its interval.
        hidden: one entry a feature, the most needed first.
        n: pairs behind every difference; pairs: what they are.
        hiding: what hiding means, in a sentence.
        method: how the intervals were found. Each feature has its own; they are not joint.
        seed: of what is drawn in the feature's place, and of the intervals.
        warnings: what may be wrong with it, in sentences.
    """

    task: str
    env: str
    unit: str
    seen: float
    low: float
    high: float
    hidden: tuple[Hidden, ...]
    n: int
    pairs: str
    hiding: str
    method: str
    seed: int
    warnings: tuple[str, ...] = ()

    def __getitem__(self, feature: str) -> Hidden:
        for one in self.hidden:
            if one.feature == feature:
                return one
        raise KeyError(feature)

    def to_frame(self) -> pd.DataFrame:
        """One line per feature: feature, value, change, low, high."""
        import pandas as pd

        return pd.DataFrame([one._asdict() for one in self.hidden], columns=list(Hidden._fields))

    def to_json(self) -> dict[str, Any]:
        plain = {**asdict(self), "warnings": list(self.warnings)}
        return {"kind": "outcome", **plain, "hidden": [one._asdict() for one in self.hidden]}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Outcome:
        if raw.get("kind") != "outcome":
            raise DataError("this is no outcome.", where="Outcome.from_json(...)", mend="give what to_json() wrote")
        kept = {name: value for name, value in raw.items() if name != "kind"}
        hidden = tuple(Hidden(**one) for one in raw["hidden"])
        return cls(**{**kept, "hidden": hidden, "warnings": tuple(raw["warnings"])})

    def save(self, path: str | Path) -> Path:
        """Write it as JSON."""
        return write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Outcome:
        """Read what `save` wrote."""
        return cls.from_json(read_json(path, where="Outcome.load(...)"))

    def text(self) -> str:
        """A few lines for the terminal."""
        names = max(map(len, (one.feature for one in self.hidden)), default=0)
        lines = [
            f"{self.task} in {self.env}: {self.unit}",
            f"  {'all seen':<{names}}  {self.seen:.4g} ({self.low:.4g} to {self.high:.4g})",
        ]
        for one in self.hidden:
            verdict = "" if one.shown else "  no difference shown"
            interval = f"{one.change:+.4g} ({one.low:+.4g} to {one.high:+.4g})"
            lines.append(f"  {one.feature:<{names}}  {one.value:.4g}, {interval}{verdict}")
        lines += [f"  {self.hiding}", f"  {self.n} pairs: {self.pairs}; {self.method}"]
        return "\n".join([*lines, *(f"  note: {warning}" for warning in self.warnings)])


def hide(seen: Columns, player: Player, donors: Rows, seed: int, step: int) -> Columns:
    """Observations with a player's values replaced by those of states drawn from `donors`.

    Args:
        seen: field -> (n, width).
        step: with the seed and the player, keys the draw.
    """
    n, mixed = len(seen[player.field]), dict(seen)
    which = stream(seed, f"explain/hidden/{player.name}", step).integers(len(donors), size=n)
    for part in (player, *player.others):  # fields of a group come from the same state
        other = np.asarray(donors.column(part.field))[which].reshape(n, -1)
        values = np.asarray(seen[part.field]).reshape(n, -1).copy()
        columns = part.within(values.shape[1])
        values[:, columns] = other[:, columns]
        mixed[part.field] = values
    return mixed
