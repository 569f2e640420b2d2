"""`attribute`: Shapley values of a program's task on rows, against a background."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, nearest
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.schema import Player, Schema
from pellucid.explain.estimate import Explainer, Progress
from pellucid.explain.exact import exact_values
from pellucid.explain.explanation import Explanation
from pellucid.explain.game import Blocks, Game, declared_task
from pellucid.explain.permutation import passes_for, permutation_values

ALL: dict[str, Explainer] = {
    "exact": exact_values,
    "permutation": permutation_values,
}

AUTO_PLAYERS = 10  # `auto` enumerates at most this many players ...
AUTO_COST = 4  # ... and only if that costs at most four times what sampling would


def attribute(
    program: Program,
    rows: Rows,
    task: str,
    *,
    background: Rows | Blocks,
    method: str = "auto",
    grain: Literal["field", "group"] = "group",
    evaluations: int = 2000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Shapley values with standard errors, all outputs at once.

    Args:
        program: anything that satisfies `core.program.Program`.
        rows: rows to explain, n of them.
        task: one of the program's tasks.
        background: b reference rows (training data; for a policy, states it visits), raw or encoded. The values
            explain how a row's outputs differ from the mean output of these rows. Cost grows with b.
        method: a name in `pellucid.explain.ALL`; `auto` is exact when there are at most 10 players and enumeration
            costs at most four times what sampling would, else permutation.
        grain: players are whole fields, or the named lag groups of a series.
        evaluations: model evaluations per row. Permutation needs two passes over the background, so it spends
            at least 4 b (d - 1), whatever is asked for.
        seed: of the random numbers; a row's numbers do not depend on the other rows.
        progress: told (rows done, rows in all).
    Returns:
        Explanation: values (n, d, k) in the task's unit.
    Raises:
        SchemaError: unknown task or method; fields missing.
        DataError: an empty background; the program returns NaN.
    """
    declared = declared_task(program, task, where="explain.attribute(...)")
    players = program.schema.players(declared.inputs, grain)
    blocks = program.encode(background) if isinstance(background, Rows) else background
    game = Game(program, task, program.encode(rows), blocks, players)
    if method == "auto":
        method = _cheapest(game, evaluations)
    if method not in ALL:
        raise DataError(
            f"no explainer '{method}'; there are auto, {', '.join(ALL)}.",
            where="explain.attribute(method=...)",
            mend=nearest(method, ALL) or "use one of the names above",
        )
    keys = tuple(str(key) for key in rows.keys)
    estimate = ALL[method](game, keys, evaluations=evaluations, seed=seed, progress=progress)
    return Explanation(
        values=estimate.values.numpy(),
        error=estimate.error.numpy(),
        base=estimate.base.numpy(),
        prediction=estimate.prediction.numpy(),
        players=tuple(player.name for player in players),
        outputs=declared.outputs,
        keys=keys,
        inputs=_shown(rows, players, program.schema),
        task=task,
        unit=declared.unit,
        method=f"{method}: {estimate.note}",
        background_n=game.b,
        evaluations=game.evaluations,
        seed=seed,
    )


def _cheapest(game: Game, evaluations: int) -> str:
    sampling = passes_for(evaluations, game.b, game.d) * game.b * 2 * max(1, game.d - 1)
    return "exact" if game.d <= AUTO_PLAYERS and 2**game.d * game.b <= AUTO_COST * sampling else "permutation"


def _shown(rows: Rows, players: list[Player], schema: Schema) -> npt.NDArray[np.object_]:
    """A raw value per row and player: the mean over its lags, the number of a one-hot state, or the category."""
    shown = np.empty((len(rows), len(players)), dtype=object)
    for index, player in enumerate(players):
        raw: npt.NDArray[Any] = rows.column(player.field)
        wide = raw[:, None] if raw.ndim == 1 else raw
        if schema[player.field].kind == "image":
            scale = 255.0 if raw.dtype == np.uint8 else 1.0
            shown[:, index] = [f"mean pixel {value:.2f}" for value in (wide.mean(1) / scale).tolist()]
        elif schema[player.field].unit == "one-hot" and wide.shape[1] > 1:
            shown[:, index] = wide.argmax(1).astype(np.float64).tolist()
        elif raw.dtype.kind in "biuf":
            shown[:, index] = wide[:, player.columns].astype(np.float64).mean(1).tolist()
        else:
            shown[:, index] = ["" if value is None else str(value) for value in wide[:, 0]]
    return shown
