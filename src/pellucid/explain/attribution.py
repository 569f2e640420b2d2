"""`attribute`: Shapley values of a program's task on rows, against a background."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.core.errors import DataError, nearest
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.schema import PARTS, Grain, Player, RowGrain, Schema
from pellucid.explain import budget, doubts
from pellucid.explain.checks import checked
from pellucid.explain.estimate import Estimate, Explainer, Progress
from pellucid.explain.exact import exact_values
from pellucid.explain.explanation import Explanation
from pellucid.explain.game import Blocks, Game, ValueFunction, declared_task
from pellucid.explain.gaussian import gaussian_values
from pellucid.explain.gradients import expected_values, integrated_values
from pellucid.explain.laid import laid_out
from pellucid.explain.owen import owen_values
from pellucid.explain.permutation import permutation_values
from pellucid.explain.regression import regression_values
from pellucid.explain.superpixels import outlined
from pellucid.explain.together import Together, joined_players
from pellucid.explain.tree import tree_values

SHAPLEY: dict[str, Explainer] = {  # of any program
    "exact": exact_values,
    "permutation": permutation_values,
    "regression": regression_values,
}
ALL: dict[str, Explainer] = {
    **SHAPLEY,
    "tree": tree_values,  # of wrapped trees
    "expected_gradients": expected_values,  # of programs with gradients; values of another game
    "integrated_gradients": integrated_values,
    "gaussian": gaussian_values,  # through coalitions; an estimate that is not linear in the program
    "owen": owen_values,  # of a hierarchy; values of another game
}

AUTO_PLAYERS = 10  # `auto` enumerates at most this many players ...
AUTO_COST = 4  # ... and only if that costs at most four times what sampling would
BLOCK = 131_072  # evaluations after which rows are finished: what Ctrl-C can lose


def attribute(
    program: Program,
    rows: Rows,
    task: str,
    *,
    background: Rows | Blocks,
    method: str = "auto",
    grain: RowGrain = "group",
    parts: int = PARTS,
    together: Together | None = None,
    evaluations: int = 2000,
    seconds: float | None = None,
    error: float | None = None,
    value: ValueFunction = "interventional",
    checks: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Shapley values with standard errors, all outputs at once.

    Ctrl-C keeps the rows that are finished, and says so in the explanation's `warnings`; before the first row it is
    raised.

    Args:
        program: anything that satisfies `core.program.Program`.
        rows: rows to explain, n of them.
        task: one of the program's tasks.
        background: b reference rows (training data; for a policy, states it visits), raw or encoded. The values
            explain how a row's outputs differ from the mean output of these rows. Cost grows with b.
        method: a name in `pellucid.explain.ALL`; `auto` is exact when there are at most 10 players and enumeration
            costs at most four times what sampling would, else permutation (of conditional values: regression).
        grain: players are whole fields (`field`), the named lag groups of a series (`group`), or parts (`part`):
            square patches of a picture, segments of equal length of a series; `superpixel`: of each picture those
            that follow its own outlines.
        parts: of a picture or a series, about so many; every pixel or lag by itself when there are no more.
        together: groups of fields that are one player each, by name: {"money": ["income", "debt"]}.
        evaluations: model evaluations per row. Permutation needs two passes over the background, so it spends
            at least 4 b (d - 1), whatever is asked for.
        seconds: about how long it may take in all, instead of `evaluations`; the least budget is spent in any case.
        error: the standard error wanted, in the outputs' unit, instead of `evaluations`.
        value: the value function: `interventional`, or `conditional` for fields that depend on each other.
        checks: also compute `explain.checks`, which costs some thousand evaluations a row.
        seed: of the random numbers; a row's numbers do not depend on the other rows.
        progress: told (rows done, rows in all).
    Returns:
        Explanation: values (n, d, k) in the task's unit.
    Raises:
        SchemaError: unknown task or method; fields missing.
        DataError: an empty background; the program returns NaN or another shape, or raises.
    """
    declared = declared_task(program, task, where="explain.attribute(...)")
    ask = partial(_explained, method=method, evaluations=evaluations, error=error, checks=checks, seed=seed)
    if grain == "superpixel":
        blocks = program.encode(background) if isinstance(background, Rows) else background
        share = None if seconds is None else seconds / max(1, len(rows))

        def one(row: Rows, players: list[Player]) -> Explanation:
            game = Game(program, task, program.encode(row), blocks, joined_players(players, together), value)
            return ask(game, row, seconds=share)

        return outlined(program.schema, declared.inputs, rows, parts, one, progress)
    game = game_of(program, rows, task, background=background, grain=grain, parts=parts, together=together, value=value)
    return ask(game, rows, seconds=seconds, progress=progress)


def _explained(
    game: Game,
    rows: Rows,
    *,
    method: str,
    evaluations: int,
    seconds: float | None,
    error: float | None,
    checks: bool,
    seed: int,
    progress: Progress | None = None,
) -> Explanation:
    """The values of a game, within a budget, with what may be wrong with them."""
    keys = [str(key) for key in rows.keys]
    method = chosen(method, game, evaluations)
    budgeted = seconds is not None or error is not None
    if seconds is not None and error is not None:
        raise DataError("seconds and error are both given.", where="explain(...)", mend="give one of the two")
    if budgeted and method not in ("permutation", "regression", "gaussian", "expected_gradients"):
        method = "permutation" if game.neighbours is None else "regression"
    if seconds is not None:
        evaluations = budget.for_seconds(ALL[method], game, keys, seconds, seed)
    elif error is not None:
        evaluations = budget.for_error(ALL[method], game, keys, error, seed)
    own = doubts.noise(game)
    warnings = [w for w in (doubts.constant_background(game), doubts.dependence(game)) if w]
    estimate, done = _in_blocks(
        ALL[method], game, keys, budget.cost(method, game, evaluations), evaluations, seed, progress
    )
    if done < len(keys):
        warnings.insert(0, f"interrupted: {done} of {len(keys)} rows are explained")
    if bool((own > 0).any()):
        estimate = estimate._replace(error=doubts.widened(estimate.error, own, game))
        warnings.append("the program is stochastic: asked twice, it answers differently; errors are widened by that")
    if error is not None and float(estimate.error.max()) > error:
        warnings.append(
            f"the largest standard error is {float(estimate.error.max()):.2g}, above the {error:g} asked for"
        )
    program, declared = game.program, game.program.tasks[game.task]
    kept = rows.take(slice(0, done))
    players = game.players
    return Explanation(
        values=estimate.values.numpy(),
        error=estimate.error.numpy(),
        base=estimate.base.numpy(),
        prediction=estimate.prediction.numpy(),
        players=tuple(player.name for player in players),
        outputs=declared.outputs,
        keys=tuple(keys[:done]),
        inputs=_shown(kept, players, program.schema),
        task=game.task,
        unit=declared.unit,
        method=f"{method}: {estimate.note}",
        background_n=game.b,
        evaluations=game.evaluations,
        seed=seed,
        value="interventional" if game.neighbours is None else "conditional",
        warnings=tuple(warnings),
        laid=laid_out(kept, players, program.schema),
        checks=checked(game.part(slice(0, done)), estimate, seed) if checks and 0 < done == len(keys) else {},
    )


def game_of(
    program: Program,
    rows: Rows,
    task: str,
    *,
    background: Rows | Blocks,
    grain: Grain = "group",
    parts: int = PARTS,
    together: Together | None = None,
    value: ValueFunction = "interventional",
) -> Game:
    """The game that `attribute` plays."""
    declared = declared_task(program, task, where="explain.attribute(...)")
    players = joined_players(program.schema.players(declared.inputs, grain, parts), together)
    blocks = program.encode(background) if isinstance(background, Rows) else background
    return Game(program, task, program.encode(rows), blocks, players, value)


def plan(
    program: Program,
    rows: Rows,
    task: str,
    *,
    background: Rows | Blocks,
    method: str = "auto",
    grain: RowGrain = "group",
    parts: int = PARTS,
    together: Together | None = None,
    evaluations: int = 2000,
) -> budget.Plan:
    """What `attribute` would cost: evaluations and seconds, from two timed calls. Arguments as there.

    Superpixels are counted as so many patches.
    """
    grain = "part" if grain == "superpixel" else grain
    game = game_of(program, rows, task, background=background, grain=grain, parts=parts, together=together)
    return budget.planned(chosen(method, game, evaluations), game, evaluations)


def chosen(method: str, game: Game, evaluations: int) -> str:
    """The explainer by name; `auto` is the cheapest that fits.

    Raises:
        DataError: no such explainer.
    """
    if method == "auto":
        sampling = "permutation" if game.neighbours is None else "regression"
        cheap = budget.cost("exact", game, evaluations) <= AUTO_COST * budget.cost(sampling, game, evaluations)
        return "exact" if game.d <= AUTO_PLAYERS and cheap else sampling
    if method not in ALL:
        raise DataError(
            f"no explainer '{method}'; there are auto, {', '.join(ALL)}.",
            where="explain.attribute(method=...)",
            mend=nearest(method, ALL) or "use one of the names above",
        )
    return method


def _in_blocks(
    explainer: Explainer,
    game: Game,
    keys: Sequence[str],
    cost: int,
    evaluations: int,
    seed: int,
    progress: Progress | None,
) -> tuple[Estimate, int]:
    """The estimate, some rows at a time, and how many rows it has: fewer than asked for after Ctrl-C."""
    step, done = max(1, BLOCK // max(1, cost)), 0
    parts: list[Estimate] = []
    _ = game.ends  # of the whole game, not of its first part
    try:
        while done < game.n or not parts:
            part = game.part(slice(done, done + step))
            parts.append(explainer(part, keys[done : done + step], evaluations=evaluations, seed=seed))
            game.evaluations += part.evaluations
            done = min(done + step, game.n)
            if progress is not None:
                progress(done, game.n)
    except KeyboardInterrupt:
        if done == 0:
            raise
    values, error = torch.cat([p.values for p in parts]), torch.cat([p.error for p in parts])
    return Estimate(values, error, parts[0].base, torch.cat([p.prediction for p in parts]), parts[0].note), done


def _shown(rows: Rows, players: list[Player], schema: Schema) -> npt.NDArray[np.object_]:
    """A raw value per row and player: the mean over its lags, the number of a one-hot state, or the category."""
    shown = np.empty((len(rows), len(players)), dtype=object)
    for index, player in enumerate(players):
        if player.others:
            each = _shown(rows, [part._replace(others=()) for part in (player, *player.others)], schema)
            shown[:, index] = [", ".join(map(_short, row)) for row in each]
            continue
        raw: npt.NDArray[Any] = rows.column(player.field)
        wide = raw[:, None] if raw.ndim == 1 else raw
        if schema[player.field].kind == "image":
            scale = 255.0 if raw.dtype == np.uint8 else 1.0
            mean = wide[:, player.within(wide.shape[1])].mean(1) / scale
            shown[:, index] = [f"mean pixel {value:.2f}" for value in mean.tolist()]
        elif schema[player.field].unit == "one-hot" and wide.shape[1] > 1:
            shown[:, index] = wide.argmax(1).astype(np.float64).tolist()
        elif raw.dtype.kind in "biuf":
            mean = wide[:, player.within(wide.shape[1])].astype(np.float64).mean(1)
            shown[:, index] = [schema[player.field].as_read(value) for value in mean.tolist()]
        else:
            shown[:, index] = ["" if value is None else str(value) for value in wide[:, 0]]
    return shown


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
