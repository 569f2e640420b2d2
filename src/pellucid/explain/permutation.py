"""Shapley values by antithetic permutations with one background row each (Castro et al. 2009; Lundberg & Lee 2017).

A permutation walks from a background row b to the row x, one player at a time; a player's contribution is the change
of the output when it joins. The walk in reverse order is averaged with it, which removes the odd part of the noise.
The sum of a walk is f(x) - f(b), so the values add up to f(x) minus the mean output of the background, exactly.

Differs from the papers: a coalition is valued on one background row, not on all, and every background row is walked
equally often ("a pass"), so that the background's own variance cancels. Passes come in pairs: the second walks each
background row in the same order with its halves swapped, so that a player that came early comes late; on networks of
breast cancer and digits that took a fifth off the error. Players whose values are the background row's are not walked.

The error is that of a stratified mean (Cochran 1977, 5.4): the spread between pairs of passes *within* each background
row. The spread over all walks would mix in the differences between background rows, which whole passes have removed,
and overstate the error several times. One pair alone has no spread: that between its two passes is taken, as if they
were independent, and overstates the error, by 1.3 to 1.4 times on the same networks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.game import TOGETHER, Game

PREPARED = 8192  # coalitions prepared at a time: more of them are given back to the system each time, at a cost
MOST_MASKED = 1 << 26  # players of coalitions prepared at a time, when there are very many players
LEAST_FREEDOM = 20  # degrees of freedom of an error: with fewer, two errors are no 95 % interval


def passes_for(evaluations: int, b: int, d: int) -> int:
    """How many passes over b background rows a budget per row buys: an even number, above two when b is below 20."""
    least = 2 if b >= LEAST_FREEDOM else 2 * (1 + -(-LEAST_FREEDOM // b))
    return max(least, evaluations // (b * 2 * max(1, d - 1)) // 2 * 2)


def permutation_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Shapley values of every row; costs 2 (d - 1) * b evaluations a row and pass, in at least two passes.

    Args: as `Explainer`.
    Returns:
        values with standard errors over passes; a row's values depend on its key, the seed and the background only.
    """
    if game.neighbours is not None:
        raise DataError(
            "a walk starts from one background row, so method 'permutation' knows the interventional value alone.",
            where="explain(method='permutation', value='conditional')",
            mend="use method='regression', or 'exact' for few players",
        )
    passes = passes_for(evaluations, game.b, game.d)
    prediction = game.outputs(game.x)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    error = torch.empty_like(values)
    group = max(1, TOGETHER // (2 * game.d * passes * game.b))  # rows handled together: many when walks are few
    for start in range(0, game.n, group):
        rows = slice(start, min(start + group, game.n))
        ranks = torch.cat([_ranks(seed, key, passes, game.b, game.d) for key in keys[rows]])
        active = game.differs(rows).repeat(1, passes, 1).flatten(0, 1)
        gains = _gains(game, _among(ranks, active), active, rows, prediction)
        gains = gains.reshape(rows.stop - rows.start, passes, game.b, game.d, game.k)
        values[rows] = gains.mean((1, 2))
        error[rows] = _error(gains)
        if progress is not None:
            progress(rows.stop, game.n)
    between = "pairs of passes" if passes > 2 else "the two passes, which rather overstates it,"
    note = (
        f"{passes} passes of antithetic permutations over {game.b} background rows; "
        f"error: spread between {between} within each background row"
    )
    return Estimate(values, error, game.ends.mean(0), prediction, note)


def _error(gains: Tensor) -> Tensor:
    """Standard errors from what each walk gave, shape (rows, passes, b, d, k) -> (rows, d, k).

    A pair of passes is one draw, and draws are independent. Few draws make the error of a single player noisy, so its
    size is taken from all passes, as if they were independent, times what pairing saves over all players together.
    """
    alone = _squared(gains)
    if gains.shape[1] > 2:
        paired = _squared(gains.reshape(len(gains), -1, 2, *gains.shape[2:]).mean(2))
        saved = paired.sum(1, keepdim=True) / alone.sum(1, keepdim=True).clamp(min=1e-300)
        return (alone * saved).sqrt()
    return alone.sqrt()


def _squared(gains: Tensor) -> Tensor:
    """Squared error of a stratified mean of independent draws."""
    draws, b = gains.shape[1:3]
    mean = gains.mean(1)
    spread = torch.stack([(one - mean).square_().mean(1) for one in gains.unbind(1)]).sum(0) / (draws - 1)
    return spread / (draws * b)


def _ranks(seed: int, key: str, passes: int, b: int, d: int) -> Tensor:
    """The position of each player in each walk, shape (passes * b, d): random orders, then the same with their halves
    swapped, for the same background row.
    """
    first = np.argsort(stream(seed, f"explain/permutation/{key}").random((passes // 2, 1, b, d)), axis=-1)
    both = np.concatenate((first, (first + d // 2) % d), axis=1)
    return torch.from_numpy(both.reshape(passes * b, d))


def _among(ranks: Tensor, active: Tensor) -> Tensor:
    """Positions among the active players alone, shape (walks, d); those of the others mean nothing."""
    if bool(active.all()):
        return ranks
    joined = torch.zeros_like(ranks).scatter_(1, ranks, active.long())  # by position in the walk
    return (joined.cumsum(1) - 1).gather(1, ranks)


def _gains(game: Game, ranks: Tensor, active: Tensor, rows: slice, prediction: Tensor) -> Tensor:
    """What each player adds in each walk, both directions averaged, shape (walks, d, k).

    Walks are ordered row by row, pass by pass, background row by background row.
    """
    walks = torch.arange(len(ranks))
    row = rows.start + torch.div(walks, len(ranks) // (rows.stop - rows.start), rounding_mode="floor")
    step = max(1, min(max(PREPARED, game.chunk) // game.d, MOST_MASKED // game.d**2))
    steps = [slice(start, start + step) for start in range(0, len(ranks), step)]
    return torch.cat([_walked(game, ranks[at], active[at], row[at], walks[at] % game.b, prediction) for at in steps])


def _walked(game: Game, ranks: Tensor, active: Tensor, row: Tensor, which: Tensor, prediction: Tensor) -> Tensor:
    """Gains of some walks. One takes `length` steps; players that have the background's value take none."""
    walks, length = torch.arange(len(ranks)), active.sum(1)
    inner = (length - 1).clamp(min=0)  # coalitions between the empty and the full one
    walk = walks.repeat_interleave(inner)
    size = torch.arange(1, len(walk) + 1) - (inner.cumsum(0) - inner).index_select(0, walk)
    at, end = walk * (game.d + 1) + size, walks * (game.d + 1) + length
    asked = (which.index_select(0, walk), row.index_select(0, walk))
    worth = torch.empty(len(ranks) * (game.d + 1), game.k, dtype=torch.float64)
    worth[end] = prediction[row]
    worth[:: game.d + 1] = game.ends[which]
    gains = torch.zeros(len(ranks), game.d, game.k, dtype=torch.float64)
    for back in (False, True):
        places = length[:, None] - 1 - ranks if back else ranks
        masks = places.to(torch.int16).index_select(0, walk) < size.to(torch.int16)[:, None]
        worth.index_copy_(0, at, game(masks, *asked))
        index = places.clamp(0, game.d - 1)[..., None].expand(-1, -1, game.k)
        gains += worth.reshape(-1, game.d + 1, game.k).diff(dim=1).gather(1, index) / 2  # by player
    return torch.where(active[..., None], gains, 0.0)
