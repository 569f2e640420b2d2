"""Shapley values by antithetic permutations with one background row each (Castro et al. 2009; Lundberg & Lee 2017).

A permutation walks from a background row b to the row x, one player at a time; a player's contribution is the change
of the output when it joins. The walk in reverse order is averaged with it, which removes the odd part of the noise.
The sum of a walk is f(x) - f(b), so the values add up to f(x) minus the mean output of the background, exactly.

Differs from the papers: a coalition is valued on one background row, not on all, and every background row is walked
equally often ("a pass"), so that the background's own variance cancels. The error is that of a stratified mean
(Cochran 1977, 5.4): the spread between passes *within* each background row. The spread over all walks would mix in the
differences between background rows, which whole passes have removed, and overstate the error several times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pellucid.core.random import stream
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.game import CHUNK, Game

LEAST_PASSES = 2  # one pass gives values but no honest error
LEAST_FREEDOM = 20  # degrees of freedom of an error, b (passes - 1): with fewer, two errors are no 95 % interval


def passes_for(evaluations: int, b: int, d: int) -> int:
    """How many passes over b background rows a budget per row buys; at least two, more when b is below 20."""
    least = max(LEAST_PASSES, 1 + -(-LEAST_FREEDOM // b))
    return max(least, evaluations // (b * 2 * max(1, d - 1)))


def permutation_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Shapley values of every row; costs 2 (d - 1) * b evaluations a row and pass, in at least two passes.

    Args: as `Explainer`.
    Returns:
        values with standard errors over passes; a row's values depend on its key, the seed and the background only.
    """
    passes = passes_for(evaluations, game.b, game.d)
    ends = game.outputs(game.background)
    prediction = game.outputs(game.x)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    error = torch.empty_like(values)
    per_call = max(1, CHUNK // max(1, 2 * (game.d - 1)))  # walks evaluated together
    group = max(1, per_call // (passes * game.b))  # rows handled together: many when walks are few
    for start in range(0, game.n, group):
        rows = range(start, min(start + group, game.n))
        ranks = np.concatenate([_ranks(seed, keys[row], passes * game.b, game.d) for row in rows])
        gains = _gains(game, torch.from_numpy(ranks), rows, prediction, ends, per_call)
        gains = gains.reshape(len(rows), passes, game.b, game.d, game.k)
        values[rows.start : rows.stop] = gains.mean((1, 2))
        error[rows.start : rows.stop] = (gains.var(1).mean(1) / (passes * game.b)).sqrt()
        if progress is not None:
            progress(rows.stop, game.n)
    note = (
        f"{passes} passes of antithetic permutations over {game.b} background rows; "
        "error: spread between passes within each background row"
    )
    return Estimate(values, error, ends.mean(0), prediction, note)


def _ranks(seed: int, key: str, walks: int, d: int) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """Independent random orders: the position of each player in each walk, shape (walks, d)."""
    return np.argsort(stream(seed, f"explain/permutation/{key}").random((walks, d)), axis=1).astype(np.int16)


def _gains(game: Game, ranks: Tensor, rows: range, prediction: Tensor, ends: Tensor, per_call: int) -> Tensor:
    """What each player adds in each walk, both directions averaged, shape (walks, d, k).

    Walks are ordered row by row, pass by pass, background row by background row.
    """
    walks = torch.arange(len(ranks))
    row = rows.start + torch.div(walks, len(ranks) // len(rows), rounding_mode="floor")
    which = walks % game.b
    gains = torch.empty(len(ranks), game.d, game.k, dtype=torch.float64)
    sizes = torch.arange(1, game.d, dtype=torch.int16)[:, None]  # coalitions between the empty and the full one
    for start in range(0, len(ranks), per_call):
        at = slice(start, start + per_call)
        both = torch.stack((ranks[at], game.d - 1 - ranks[at]), dim=1)  # (walks, 2, d)
        masks = both[:, :, None, game.owner] < sizes  # (walks, 2, d - 1, columns)
        inner = game.outputs(torch.where(masks, game.x[row[at], None, None], game.background[which[at], None, None]))
        shape = (len(both), 2, 1, game.k)
        first = ends[which[at], None, None].expand(shape)
        last = prediction[row[at], None, None].expand(shape)
        steps = torch.cat((first, inner, last), dim=2).diff(dim=2)  # by position in the walk
        index = both.long()[..., None].expand(-1, -1, -1, game.k)
        gains[at] = steps.gather(2, index).mean(1)  # by player
    return gains
