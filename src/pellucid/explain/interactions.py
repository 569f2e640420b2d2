"""Pairwise interactions: the Shapley interaction index (Owen 1972; Grabisch & Roubens 1999).

`I_ij = sum over S without i and j of |S|! (d - |S| - 2)! / (d - 1)! * (v(S+i+j) - v(S+i) - v(S+j) + v(S))`: what two
players do together that they do not do apart. Exact for few players. For more, coalitions are drawn with every player
in it with probability q, q uniform: then S without i and j has just these weights, so that one coalition and its
neighbours serve every pair, each on one background row; every background row is used equally often.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.schema import PARTS, Grain
from pellucid.explain.columns import Array
from pellucid.explain.estimate import Progress
from pellucid.explain.exact import coalitions
from pellucid.explain.game import Blocks, Game, declared_task

if TYPE_CHECKING:
    import pandas as pd

EXACT = 10  # players up to which all coalitions are enumerated


@dataclass(frozen=True, eq=False)
class Interactions:
    """Shapley interaction indices of n rows.

    Args:
        values: shape (n, d, d, k), symmetric, zero on the diagonal, in the task's unit. error: standard errors.
        players, outputs, keys: names. task, unit: what is explained.
        method, background_n, evaluations, seed: how they were made.
    """

    values: Array
    error: Array
    players: tuple[str, ...]
    outputs: tuple[str, ...]
    keys: tuple[str, ...]
    task: str
    unit: str
    method: str
    background_n: int
    evaluations: int
    seed: int

    def top(self, k: int = 8, *, output: int = 0) -> list[tuple[str, str, float, float]]:
        """The pairs of largest mean absolute index: two names, the index (its mean size of several rows), its error."""
        size = np.abs(self.values[..., output]).mean(0)
        error = np.sqrt(np.square(self.error[..., output]).sum(0)) / max(1, len(self.keys))
        i, j = np.triu_indices(len(self.players), 1)
        order = np.argsort(-size[i, j], kind="stable")[:k]
        shown = self.values[0, ..., output] if len(self.keys) == 1 else size
        pairs = [(int(i[o]), int(j[o])) for o in order]
        return [(self.players[a], self.players[b], float(shown[a, b]), float(error[a, b])) for a, b in pairs]

    def to_frame(self) -> pd.DataFrame:
        """One line per row, pair and output: key, player, other, output, value, error."""
        import pandas as pd

        i, j = np.triu_indices(len(self.players), 1)
        names = np.asarray(self.players, dtype=object)
        n, k = len(self.keys), len(self.outputs)
        return pd.DataFrame(
            {
                "key": np.repeat(np.asarray(self.keys, dtype=object), len(i) * k),
                "player": np.tile(np.repeat(names[i], k), n),
                "other": np.tile(np.repeat(names[j], k), n),
                "output": np.tile(np.asarray(self.outputs, dtype=object), n * len(i)),
                "value": self.values[:, i, j].ravel(),
                "error": self.error[:, i, j].ravel(),
            }
        )

    def to_json(self) -> dict[str, Any]:
        said = {n: getattr(self, n) for n in ("task", "unit", "method", "background_n", "evaluations", "seed")}
        names = {n: list(getattr(self, n)) for n in ("players", "outputs", "keys")}
        return {"kind": "interactions", **names, **said, "values": self.values.tolist(), "error": self.error.tolist()}

    def text(self, *, output: int = 0, k: int = 8) -> str:
        """A few lines for the terminal."""
        unit = f" ({self.unit})" if self.unit else ""
        of = self.keys[0] if len(self.keys) == 1 else f"mean size over {len(self.keys)} rows"
        lines = [f"{self.task}: {self.outputs[output]}{unit}, what pairs add beside each alone, {of}"]
        for a, b, value, error in self.top(k, output=output):
            sure = f" ± {error:.1g}" if error > 0 else ""
            lines.append(f"  {a} x {b}: {value:+.3g}{sure}")
        return "\n".join([*lines, f"  {self.method}; {self.evaluations} evaluations; seed {self.seed}"])


def pair_interactions(
    program: Program,
    rows: Rows,
    task: str,
    *,
    background: Rows | Blocks,
    grain: Grain = "group",
    parts: int = PARTS,
    passes: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> Interactions:
    """The Shapley interaction index of every pair of players.

    Args:
        background: b reference rows, as for Shapley values (the value function is the same one).
        grain, parts: players, as for Shapley values.
        passes: over the background when sampled (more than 10 players): costs b (1 + d (d + 1) / 2) rows of the program
            each, at least two.
    Raises:
        SchemaError: unknown task.
        DataError: an empty background; the program returns NaN.
    """
    declared = declared_task(program, task, where="explain.pair_interactions(...)")
    players = program.schema.players(declared.inputs, grain, parts)
    blocks = program.encode(background) if isinstance(background, Rows) else background
    game = Game(program, task, program.encode(rows), blocks, players)
    keys = tuple(str(key) for key in rows.keys)
    values = torch.zeros(game.n, game.d, game.d, game.k, dtype=torch.float64)
    error = torch.zeros_like(values)
    exact = game.d <= EXACT
    for row in range(game.n):
        if exact:
            values[row] = _exact(game, row)
        else:
            values[row], error[row] = _sampled(game, row, stream(seed, f"explain/pairs/{keys[row]}"), max(2, passes))
        if progress is not None:
            progress(row + 1, game.n)
    how = f"all {2**game.d} coalitions" if exact else f"{max(2, passes)} passes of random coalitions"
    return Interactions(
        values=values.numpy(),
        error=error.numpy(),
        players=tuple(player.name for player in players),
        outputs=declared.outputs,
        keys=keys,
        task=task,
        unit=declared.unit,
        method=f"{how} over {game.b} background rows",
        background_n=game.b,
        evaluations=game.evaluations,
        seed=seed,
    )


def _exact(game: Game, row: int) -> Tensor:
    """All pairs' indices from the worth of all coalitions, shape (d, d, k)."""
    masks, which = coalitions(game.d), torch.arange(game.b)
    worth = torch.empty(len(masks), game.k, dtype=torch.float64)
    for i, mask in enumerate(masks):
        worth[i] = game(mask.expand(game.b, -1), which, torch.full((game.b,), row)).mean(0)
    found = torch.zeros(game.d, game.d, game.k, dtype=torch.float64)
    weights = [factorial(s) * factorial(game.d - s - 2) / factorial(game.d - 1) for s in range(max(0, game.d - 1))]
    codes, sizes = torch.arange(len(masks)), masks.sum(1)
    for i in range(game.d):
        for j in range(i + 1, game.d):
            without = codes[~masks[:, i] & ~masks[:, j]]
            a, b = 1 << i, 1 << j
            second = worth[without | a | b] - worth[without | a] - worth[without | b] + worth[without]
            weight = torch.tensor(weights, dtype=torch.float64)[sizes[without]]
            found[i, j] = found[j, i] = weight @ second
    return found


def _sampled(game: Game, row: int, generator: np.random.Generator, passes: int) -> tuple[Tensor, Tensor]:
    """Unbiased estimates with the errors of a mean stratified by background row."""
    d, b, k = game.d, game.b, game.k
    i, j = torch.triu_indices(d, d, 1)
    toggles = torch.zeros(1 + d + len(i), d, dtype=torch.bool)
    toggles[1 + torch.arange(d), torch.arange(d)] = True
    at = 1 + d + torch.arange(len(i))
    toggles[at, i] = toggles[at, j] = True
    second = torch.empty(passes, b, len(i), k, dtype=torch.float64)
    for turn in range(passes):
        q = (generator.permutation(b) + generator.random(b)) / b  # one in every b-th part of (0, 1)
        inside = torch.from_numpy(generator.random((b, d)) < q[:, None])
        for background in range(b):
            masks = inside[background] ^ toggles
            out = game(masks, torch.full((len(masks),), background), torch.full((len(masks),), row))
            sign = 1.0 - 2.0 * (inside[background, i] ^ inside[background, j]).double()
            second[turn, background] = sign[:, None] * (out[1 + d :] - out[1 + i] - out[1 + j] + out[0])
    values, error = torch.zeros(2, d, d, k, dtype=torch.float64)
    values[i, j] = values[j, i] = second.mean((0, 1))
    error[i, j] = error[j, i] = (second.var(0).mean(0) / (passes * b)).sqrt()
    return values, error
