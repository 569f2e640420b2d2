"""Global importance: what it costs to shuffle a field (Breiman 2001), and mean absolute Shapley values.

The first asks what the program's accuracy rests on and needs the truth; the second what its outputs rest on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.schema import PARTS, Grain
from pellucid.explain.columns import Array, Columns
from pellucid.explain.estimate import Progress
from pellucid.explain.explanation import Explanation

if TYPE_CHECKING:
    import pandas as pd

Loss = Callable[[Array], Array]  # outputs (n, k) -> loss of each row (n,)


@dataclass(frozen=True, eq=False)
class Importance:
    """One number per player, most important first.

    Args:
        players: names, shape (d,). values, error: importance and its standard error, shape (d,).
        method, task, unit: what was measured. rows_n, evaluations, seed: how.
    """

    players: tuple[str, ...]
    values: Array
    error: Array
    method: str
    task: str
    unit: str
    rows_n: int
    evaluations: int
    seed: int

    def to_frame(self) -> pd.DataFrame:
        """One line per player: player, value, error."""
        import pandas as pd

        return pd.DataFrame({"player": self.players, "value": self.values, "error": self.error})

    def to_json(self) -> dict[str, Any]:
        said = {n: getattr(self, n) for n in ("method", "task", "unit", "rows_n", "evaluations", "seed")}
        arrays = {"players": list(self.players), "values": self.values.tolist(), "error": self.error.tolist()}
        return {"kind": "importance", **said, **arrays}

    def text(self, *, k: int = 12) -> str:
        """A few lines for the terminal."""
        unit = f" ({self.unit})" if self.unit else ""
        names, largest = max(map(len, self.players)), max(float(np.abs(self.values).max()), 1e-300)
        lines = [f"{self.task}: {self.method}{unit}"]
        for name, value, error in list(zip(self.players, self.values, self.error, strict=True))[:k]:
            lines.append(
                f"  {name:<{names}}  {value:+.3g} ± {error:.1g}  {'█' * round(20 * max(value, 0) / largest)}".rstrip()
            )
        lines += [f"  ... {len(self.players) - k} more"] if len(self.players) > k else []
        return "\n".join([*lines, f"  {self.rows_n} rows; {self.evaluations} evaluations; seed {self.seed}"])


def permutation_importance(
    program: Program,
    rows: Rows,
    task: str,
    *,
    loss: Loss,
    unit: str = "",
    repeats: int = 5,
    grain: Grain = "field",
    parts: int = PARTS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Importance:
    """How much the mean loss rises when the values of a field are shuffled among the rows.

    Args:
        rows: with a known truth, best ones that no training has seen.
        loss: of each row, from the outputs; the truth is in it. unit: of the loss.
        repeats: shuffles per player.
        grain: players are whole fields; lag groups of series and values of wide observations (`group`); or patches of
            pictures and segments of series, `parts` in number (`part`).
        progress: told (players done, players in all).
    Raises:
        DataError: fewer than two rows, or a loss of another shape.
    """
    where = "explain.permutation_importance(...)"
    columns = Columns(program, task, where=where)
    known = columns.reference(rows)
    if len(known) < 2 or repeats < 1:
        raise DataError("shuffling needs two rows and one repeat at least.", where=where, mend="give more")
    before = _losses(loss, columns.outputs(known), where)
    if grain == "field":
        players = [(field.name, np.flatnonzero(columns.owner == i)) for i, field in enumerate(columns.fields)]
    else:
        players = [(one.name, one.columns) for one in columns.units(grain, parts)]
    rise = np.empty((len(players), repeats, len(known)))
    for p, (name, at) in enumerate(players):
        for r in range(repeats):
            order = stream(seed, f"explain/shuffle/{name}", r).permutation(len(known))
            shuffled = known.copy()
            shuffled[:, at] = known[np.ix_(order, at)]
            rise[p, r] = _losses(loss, columns.outputs(shuffled), where) - before
        if progress is not None:
            progress(p + 1, len(players))
    values, error = rise.mean((1, 2)), rise.mean(1).std(1, ddof=1) / np.sqrt(len(known))
    order = np.argsort(-values, kind="stable")
    return Importance(
        players=tuple(players[i][0] for i in order),
        values=values[order],
        error=error[order],
        method=f"rise of the loss when shuffled, {repeats} times",
        task=task,
        unit=unit,
        rows_n=len(known),
        evaluations=columns.evaluations,
        seed=seed,
    )


def _losses(loss: Loss, outputs: Array, where: str) -> Array:
    found = np.asarray(loss(outputs), dtype=np.float64)
    if found.shape != (len(outputs),) or not np.isfinite(found).all():
        raise DataError(
            f"the loss of {len(outputs)} rows has shape {found.shape}, or is not finite.",
            where=where,
            mend="return one finite number per row",
        )
    return found


def shapley_importance(explanation: Explanation, *, output: str | int = 0) -> Importance:
    """Mean absolute Shapley values over the rows of an explanation, with the rows' spread as their error."""
    at = explanation.output(output)
    size = np.abs(explanation.values[:, :, at])
    n = len(size)
    if n == 0:
        raise DataError(
            "the explanation has no rows.", where="explain.shapley_importance(...)", mend="explain some rows"
        )
    spread = size.var(0, ddof=1) / n if n > 1 else np.zeros(size.shape[1])
    own = np.square(explanation.error[:, :, at]).sum(0) / n**2
    values, error = size.mean(0), np.sqrt(np.maximum(spread, own))  # the rows' spread already holds the values' noise
    order = np.argsort(-values, kind="stable")
    return Importance(
        players=tuple(explanation.players[i] for i in order),
        values=values[order],
        error=error[order],
        method=f"mean absolute Shapley value of {explanation.outputs[at]}",
        task=explanation.task,
        unit=explanation.unit,
        rows_n=n,
        evaluations=explanation.evaluations,
        seed=explanation.seed,
    )
