"""Shapley values by antithetic permutations with one background row each (Castro et al. 2009; Lundberg & Lee 2017).

A permutation walks from a background row b to the row x, one player at a time; a player's contribution is the change
of the output when it joins. The walk in reverse order is averaged with it, which removes the odd part of the noise.
The sum of a walk is f(x) - f(b), so the values add up to f(x) minus the mean output of the background, exactly.

Differs from the papers: a coalition is valued on one background row, not on all, and every background row counts the
same ("a pass"), so that the background's own variance cancels. The least budget is one pass, of few players two; in a
single one `TWICE` background rows are walked a second time, by which its error is told (`explain.spread`). More passes
come in pairs: the second walks each background row in the same order with its halves swapped, so that a player that
came early comes late; on networks of breast cancer and digits that took a fifth off the error. How much it saves
cannot be told from a single pair, whose error is rather overstated therefore (`explain.spread.PAIR`). Players whose
values are the background row's are not walked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.explain import spread
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.game import TOGETHER, Game

PREPARED = 16_384  # coalitions prepared at a time: more of them are given back to the system each time, at a cost
MOST_MASKED = 1 << 26  # players of coalitions prepared at a time, when there are very many players
LEAST_FREEDOM = 20  # degrees of freedom of an error: with fewer, two errors are no 95 % interval
ENOUGH = 30  # background rows from which on one pass can tell its error
MANY = (
    30  # players likewise: so many were measured; of policies with 4 to 11 the errors were too small (both in bench/)
)
TWICE = 12  # of them that are walked twice then


def passes_for(evaluations: int, b: int, d: int) -> int:
    """How many passes over b background rows a budget per row buys: one, or an even number; above two when b < 20."""
    least = 1 if b >= ENOUGH and d >= MANY else 2 if b >= LEAST_FREEDOM else 2 * (1 + -(-LEAST_FREEDOM // b))
    return max(least, evaluations // (b * 2 * max(1, d - 1)) // 2 * 2)


def walks_of(passes: int, b: int) -> int:
    """Walks of a row, both directions of one counted once."""
    return b + TWICE if passes == 1 else passes * b


def permutation_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Shapley values of every row; costs 2 (d - 1) * b evaluations a row and pass.

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
    prediction, walks = game.outputs(game.x), walks_of(passes, game.b)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    error = torch.empty_like(values)
    group = max(1, TOGETHER // (2 * game.d * walks))  # rows handled together: many when walks are few
    for start in range(0, game.n, group):
        rows = slice(start, min(start + group, game.n))
        drawn = [_orders(seed, key, passes, game.b, game.d) for key in keys[rows]]
        which = torch.stack([one.which for one in drawn])
        differs = game.differs(rows)
        active = differs.gather(1, which[..., None].expand(-1, -1, game.d)).flatten(0, 1)
        ranks = _among(torch.cat([one.ranks for one in drawn]), active)
        gains = _gains(game, ranks, active, rows, which.flatten(), prediction)
        gains = gains.reshape(len(drawn), walks, game.d, game.k)
        values[rows], error[rows] = _combined(game, gains, passes, which, rows, differs)
        if progress is not None:
            progress(rows.stop, game.n)
    return Estimate(values, error, game.ends.mean(0), prediction, _note(passes, game.b))


def _note(passes: int, b: int) -> str:
    if passes == 1:
        return f"one pass of antithetic permutations over {b} background rows; error: from {TWICE} of them walked twice"
    between = "pairs of passes" if passes > 2 else "the two passes, which may overstate it a little,"
    return (
        f"{passes} passes of antithetic permutations over {b} background rows; "
        f"error: spread between {between} within each background row"
    )


def _combined(
    game: Game, gains: Tensor, passes: int, which: Tensor, rows: slice, active: Tensor
) -> tuple[Tensor, Tensor]:
    """Values and their errors from the gains of walks, shape (rows, walks, d, k)."""
    b = game.b
    if passes > 1:
        by_pass = gains.reshape(len(gains), passes, b, *gains.shape[2:])
        return by_pass.mean((1, 2)), spread.of_passes(by_pass, active)
    first, again, twice = gains[:, :b], gains[:, b:], which[:, b:]
    between = again - first[torch.arange(len(gains))[:, None], twice]
    values = (first.sum(1) + between.sum(1) / 2.0) / b  # of a row walked twice the mean of the two
    return values, spread.of_one_pass(first, between, game.apart(rows), game.ends, active)


class _Orders(NamedTuple):
    """Walks of a row: the position of each player, shape (walks, d), and the background row, shape (walks,)."""

    ranks: Tensor
    which: Tensor


def _orders(seed: int, key: str, passes: int, b: int, d: int) -> _Orders:
    """Random orders, and for a second pass the same with their halves swapped, for the same background row."""
    generator = stream(seed, f"explain/permutation/{key}")
    if passes == 1:
        ranks = np.argsort(generator.random((b + TWICE, d)), axis=-1)
        which = np.concatenate((np.arange(b), generator.choice(b, TWICE, replace=False)))
        return _Orders(torch.from_numpy(ranks), torch.from_numpy(which))
    first = np.argsort(generator.random((passes // 2, 1, b, d)), axis=-1)
    both = np.concatenate((first, (first + d // 2) % d), axis=1)
    return _Orders(torch.from_numpy(both.reshape(passes * b, d)), torch.arange(b).repeat(passes))


def _among(ranks: Tensor, active: Tensor) -> Tensor:
    """Positions among the active players alone, shape (walks, d); those of the others mean nothing."""
    if bool(active.all()):
        return ranks
    joined = torch.zeros_like(ranks).scatter_(1, ranks, active.long())  # by position in the walk
    return (joined.cumsum(1) - 1).gather(1, ranks)


def _gains(game: Game, ranks: Tensor, active: Tensor, rows: slice, which: Tensor, prediction: Tensor) -> Tensor:
    """What each player adds in each walk, both directions averaged, shape (walks, d, k). Walks go row by row."""
    row = torch.arange(rows.start, rows.stop).repeat_interleave(len(ranks) // (rows.stop - rows.start))
    step = max(1, min(max(PREPARED, game.chunk) // game.d, MOST_MASKED // game.d**2))
    steps = [slice(start, start + step) for start in range(0, len(ranks), step)]
    return torch.cat([_walked(game, ranks[at], active[at], row[at], which[at], prediction) for at in steps])


def _walked(game: Game, ranks: Tensor, active: Tensor, row: Tensor, which: Tensor, prediction: Tensor) -> Tensor:
    """Gains of some walks. One takes `length` steps; players that have the background's value take none."""
    walks, length = torch.arange(len(ranks)), active.sum(1)
    inner = (length - 1).clamp(min=0)  # coalitions between the empty and the full one
    walk = walks.repeat_interleave(inner)
    size = torch.arange(1, len(walk) + 1) - (inner.cumsum(0) - inner).index_select(0, walk)
    at, end = walk * (game.d + 1) + size, walks * (game.d + 1) + length
    worth = torch.zeros(len(ranks) * (game.d + 1), game.k, dtype=torch.float64)
    worth[end] = prediction[row]
    worth[:: game.d + 1] = game.ends[which]
    gains: list[Tensor] = []
    for places in (ranks, length[:, None] - 1 - ranks):
        worth.index_copy_(0, at, game.stepped(places, walk, size, which, row))
        steps = worth.reshape(-1, game.d + 1, game.k).diff(dim=1).reshape(-1, game.k)
        of = (places.clamp(0, game.d - 1) + walks[:, None] * game.d).flatten()
        gains.append(steps.index_select(0, of))  # by player
    both = gains[0].add_(gains[1]).div_(2.0).reshape(-1, game.d, game.k)
    return both if bool(active.all()) else both.masked_fill_(~active[..., None], 0.0)
