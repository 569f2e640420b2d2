"""How exact a mean of walks is: standard errors from what each walk gave every player.

A walk is drawn for one background row, and every background row counts the same, so the error is that of a stratified
mean (Cochran 1977, 5.4): the spread between walks of the *same* background row. The spread over all walks would mix in
the differences between background rows, which the whole background has removed, and overstate it two to four times.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SAME = 1e-9  # of a direction's square, what is left of it when others say it already
OTHERS = 1.0  # draws that the mean of all players is worth: a player that interacts rarely may show no spread by chance

PAIR = 1.15  # of a single pair of passes: by how much less than two independent ones it is taken to err. Measured were
# 1.2 to 1.6 on networks, trees and policies; where pairing saved nothing, 95 % intervals would still cover 91 %


def of_passes(gains: Tensor, active: Tensor) -> Tensor:
    """Standard errors of the mean over passes, shape (rows, passes, b, d, k) -> (rows, d, k).

    A pair of passes is one draw, and draws are independent. Few draws make the error of a single player noisy, so its
    size is taken from all passes, as if they were independent, times what pairing saves over all players together. Of a
    single pair that is not known, and less than what it mostly saves is taken (`PAIR`): its error is rather overstated,
    and needs less help from the other players.

    Args:
        gains: what each player gained in each walk.
        active: where a player's values are not those of the background row, shape (rows, b, d).
    """
    passes, b = gains.shape[1:3]
    alone = _squared(gains)
    if passes == 2:
        return _with_others(alone, active.any(1), b, OTHERS / 4.0).sqrt() / PAIR
    paired = _squared(gains.reshape(len(gains), -1, 2, *gains.shape[2:]).mean(2))
    alone = alone * _scale(paired, alone)
    return _with_others(alone, active.any(1), b * (passes - 1)).sqrt()


def of_one_pass(gains: Tensor, between: Tensor, own: Sequence[Tensor], shared: Tensor, active: Tensor) -> Tensor:
    """Standard errors when each background row is walked once and a few of them twice, shape (rows, d, k).

    Which players vary most is told by the spread over background rows of what a regression on `own` and `shared`
    leaves, and how much they vary, over all players together, by the rows that are walked twice: these alone would be
    too few for each player, and the regression alone leaves too much (of a forest twice what is true).

    Args:
        gains: of the first walks, shape (rows, b, d, k).
        between: second less first walks of the background rows that are walked twice, shape (rows, m, d, k).
        own, shared: what the differences between background rows are explained by, as `_left` says.
        active: as above.
    """
    b, m = gains.shape[1], between.shape[1]
    pairs = between.square().mean(1) / 2.0
    shape = _left(gains, own, shared)
    few = m / (m - 2.0)  # variance of Student's t: m pairs tell the scale only roughly
    squared = few * shape * _scale(pairs, shape) * (b - m / 2.0) / b**2
    return _with_others(squared, active.any(1), b).sqrt()


def _squared(gains: Tensor) -> Tensor:
    """Squared error of a stratified mean of independent draws."""
    draws, b = gains.shape[1:3]
    mean = gains.mean(1)
    spread = torch.stack([(one - mean).square_().mean(1) for one in gains.unbind(1)]).sum(0) / (draws - 1)
    return spread / (draws * b)


def _scale(right: Tensor, shape: Tensor) -> Tensor:
    """By what to multiply `shape` so that its sum over all players is right, shape (rows, 1, k)."""
    return right.sum(1, keepdim=True) / shape.sum(1, keepdim=True).clamp(min=1e-300)


def _with_others(squared: Tensor, active: Tensor, draws: int, others: float = OTHERS) -> Tensor:
    """A player's squared error from its own draws and, worth `others` draws, the mean of all that take part."""
    part = active[..., None]
    mean = (squared * part).sum(1, keepdim=True) / part.sum(1, keepdim=True).clamp(min=1)
    return torch.where(part, (draws * squared + others * mean) / (draws + others), 0.0)


def _left(gains: Tensor, own: Sequence[Tensor], shared: Tensor) -> Tensor:
    """Variance over background rows of what a least squares fit leaves, shape (rows, d, k).

    By inner products; of the directions that do not depend on the output only are there vectors of their own.

    Args:
        own: what differs from player to player, each (rows, b, d).
        shared: what differs from output to output, shape (b, k).
    """
    left = gains - gains.mean(1, keepdim=True)
    squares = left.square().sum(1)
    outputs = (shared - shared.mean(0))[None, :, None]
    size = outputs.square().sum(1)
    rest, cross = size, (outputs * left).sum(1)
    for direction in _orthonormal(own):
        with_gains, with_outputs = ((direction * other).sum(1) for other in (left, outputs))
        squares = squares - with_gains.square()
        rest, cross = rest - with_outputs.square(), cross - with_gains * with_outputs
    new = rest > SAME * size  # else the others say it already
    squares = squares - torch.where(new, cross.square() / rest, 0.0)
    return squares.clamp(min=0.0) / (gains.shape[1] - 2 - len(own))


def _orthonormal(directions: Sequence[Tensor]) -> list[Tensor]:
    """By Gram and Schmidt over background rows, centred, each (rows, b, d, 1); zero where an earlier one says it."""
    found: list[Tensor] = []
    for one in directions:
        direction = (one - one.mean(1, keepdim=True))[..., None]
        size = direction.square().sum(1, keepdim=True)
        for earlier in found:
            direction = direction - earlier * (earlier * direction).sum(1, keepdim=True)
        rest = direction.square().sum(1, keepdim=True)
        found.append(torch.where(rest > SAME * size, direction / rest.sqrt(), 0.0))
    return found
