"""Shapley values by enumeration of all coalitions over the whole background (Shapley 1953).

`phi_i = sum over S without i of |S|! (d - |S| - 1)! / d! * (v(S + i) - v(S))`: a fixed matrix of weights, shared by
all rows and outputs, times the values of the 2^d coalitions. Accumulated in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import factorial

import torch
from torch import Tensor

from pellucid.core.errors import DataError
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.game import TOGETHER, Game

MOST_PLAYERS = 12


def coalitions(d: int) -> Tensor:
    """All 2^d coalitions, the empty one first, the full one last, shape (2^d, d), bool."""
    codes = torch.arange(2**d)
    return (codes[:, None] >> torch.arange(d)) & 1 == 1


def shapley_weights(d: int) -> Tensor:
    """The matrix W with phi = W v, v in the order of `coalitions(d)`, shape (d, 2^d), float64."""
    masks = coalitions(d)
    sizes = masks.sum(1)
    gain = [factorial(s - 1) * factorial(d - s) / factorial(d) if s else 0.0 for s in range(d + 1)]
    loss = [factorial(s) * factorial(d - s - 1) / factorial(d) if s < d else 0.0 for s in range(d + 1)]
    with_it, without = (torch.tensor(weight, dtype=torch.float64)[sizes] for weight in (gain, loss))
    return torch.where(masks.T, with_it, -without)


def shapley_values(worth: Tensor) -> Tensor:
    """`shapley_weights(d) @ worth`, by gains: who adds nothing to any coalition gets zero, not a rounding error.

    Args:
        worth: v in the order of `coalitions(d)`, shape (2^d, k).
    Returns:
        shape (d, k).
    """
    d = len(worth).bit_length() - 1
    values = torch.empty(d, worth.shape[1], dtype=torch.float64)
    for player, weights in enumerate(_gain_weights(d)):
        pairs = worth.reshape(-1, 2, 2**player, worth.shape[1])  # without and with it
        values[player] = weights @ (pairs[:, 1] - pairs[:, 0]).flatten(0, 1)
    return values


@cache
def _gain_weights(d: int) -> list[Tensor]:
    """Of each player the weights of its gains, shape (2^(d - 1),): asked for by every row and pattern again."""
    sizes = coalitions(d).sum(1)
    weight = torch.tensor([factorial(s) * factorial(d - s - 1) / factorial(d) for s in range(d)], dtype=torch.float64)
    return [weight[sizes.reshape(-1, 2, 2**player)[:, 0].flatten()] for player in range(d)]


def exact_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 0, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Exact Shapley values of every row; costs 2^d * b evaluations a row whatever `evaluations` says.

    Raises:
        DataError: more than 12 players.
    """
    if game.d > MOST_PLAYERS:
        raise DataError(
            f"exact enumeration of {game.d} players needs 2^{game.d} coalitions; the most is {MOST_PLAYERS} players.",
            where="explain.exact_values(...)",
            mend="use method='permutation', or grain='field' for fewer players",
        )
    prediction = game.outputs(game.x)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    one_row = _interventional if game.neighbours is None else _conditional
    for row in range(game.n):
        values[row] = one_row(game, row, prediction[row])
        if progress is not None:
            progress(row + 1, game.n)
    note = f"all {2**game.d} coalitions over {game.about_background()}; no sampling error"
    return Estimate(values, torch.zeros_like(values), game.ends.mean(0), prediction, note)


def _interventional(game: Game, row: int, full: Tensor) -> Tensor:
    """Values of one row, shape (d, k): background rows that differ from it in the same players are taken together."""
    values = torch.zeros(game.d, game.k, dtype=torch.float64)
    patterns, kind = torch.unique(game.differs(slice(row, row + 1))[0], dim=0, return_inverse=True)
    for index, pattern in enumerate(patterns):  # players that have the background's value gain nothing
        which = (kind == index).nonzero()[:, 0]
        if bool(pattern.any()):
            values[pattern] += _restricted(game, row, which, pattern, full)
    return values / game.b


def _restricted(game: Game, row: int, which: Tensor, pattern: Tensor, full: Tensor) -> Tensor:
    """Values of the players of a pattern, summed over the background rows `which`, shape (players, k)."""
    d, b = int(pattern.sum()), len(which)
    inner = coalitions(d)[1:-1]  # the empty and the full coalition are known without enumeration
    masks = torch.zeros(len(inner), game.d, dtype=torch.bool)
    masks[:, pattern] = inner
    worth = torch.empty(2**d, game.k, dtype=torch.float64)
    worth[0], worth[-1] = game.ends[which].sum(0), b * full
    step = max(1, TOGETHER // b)
    row_of = torch.tensor([row])
    for start in range(0, len(masks), step):
        part = masks[start : start + step].repeat_interleave(b, 0)
        found = game(part, which.repeat(len(part) // b), row_of.expand(len(part)))
        worth[1 + start : 1 + start + len(part) // b] = found.reshape(-1, b, game.k).sum(1)
    return shapley_values(worth)


def _conditional(game: Game, row: int, full: Tensor) -> Tensor:
    """Values under the conditional value function, shape (d, k)."""
    worth = torch.empty(2**game.d, game.k, dtype=torch.float64)
    worth[0], worth[-1] = game.ends.mean(0), full
    worth[1:-1] = game.worth(coalitions(game.d)[1:-1], row)
    return shapley_values(worth)
