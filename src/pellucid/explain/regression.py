"""Shapley values by weighted regression on paired coalitions (Lundberg & Lee 2017; Covert & Lee 2021).

The values are the coefficients of the additive game nearest to v under the Shapley kernel, constrained to add up to
the prediction. Coalitions come in pairs with their complements; all rows share them, so that the normal equations are
solved once. Sizes of which the budget buys every coalition are enumerated, the others are drawn. It shares neither
walks nor error with `permutation`, which makes it an independent check; at equal cost it is less exact, because every
coalition is valued on the whole background.

The error is that of the estimating equation (Covert & Lee 2021, 3.3): with A the weighted sum of z zᵀ and P the inverse
of A on vectors that add up to zero, the coefficients' covariance is P C P, C that of the drawn pairs' scores z r, r the
residuals. The constants of a pair vanish under P, so only the difference of its two residuals counts. Without pairs
left to draw (2^d is small) the values are exact and the error is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pellucid.core.random import stream
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.exact import coalitions
from pellucid.explain.game import Game

PAIRS = 4  # at least so many drawn pairs per player: the error needs degrees of freedom


class Plan(NamedTuple):
    """Coalitions and their weights.

    Args:
        masks: shape (m, d), the enumerated ones first, then `drawn` pairs: a coalition, then its complement.
        weights: shape (m,), together one.
        drawn: pairs that were drawn.
        share: of the kernel's weight that these stand for.
    """

    masks: Tensor
    weights: Tensor
    drawn: int
    share: float


def plan(d: int, most: int, seed: int, pairs: int = PAIRS) -> Plan:
    """About `most` coalitions of d >= 2 players, of which at least `pairs` pairs a player are drawn."""
    kernel = np.array([0.0] + [1.0 / (s * (d - s)) for s in range(1, d)])
    kernel /= kernel.sum()
    if d <= 20 and 2**d - 2 <= most:
        masks = coalitions(d)[1:-1]
        counts = torch.tensor([float(comb(d, s)) for s in range(d)], dtype=torch.float64)
        return Plan(masks, (torch.from_numpy(kernel) / counts)[masks.sum(1)], 0, 0.0)
    most = max(most, 2 * pairs * d)
    whole: list[Tensor] = []
    weights: list[Tensor] = []
    left, share, small = most, 1.0, 1
    while 2 * small < d:  # the sizes s and d - s, from outside in
        both, mass = 2 * comb(d, small), 2.0 * float(kernel[small])
        if both > left * mass / share or left - both < 2 * pairs * d:
            break
        chosen = _subsets(d, small)
        whole += [chosen, ~chosen]
        weights.append(torch.full((both,), mass / both, dtype=torch.float64))
        left, share, small = left - both, share - mass, small + 1
    drawn = left // 2
    first = _draw(d, small, kernel, drawn, seed)
    whole.append(torch.stack((first, ~first), dim=1).reshape(-1, d))
    weights.append(torch.full((2 * drawn,), share / (2 * drawn), dtype=torch.float64))
    return Plan(torch.cat(whole), torch.cat(weights), drawn, share)


def _subsets(d: int, size: int) -> Tensor:
    chosen = torch.combinations(torch.arange(d), size)
    return torch.zeros(len(chosen), d, dtype=torch.bool).scatter_(1, chosen, True)


def _draw(d: int, least: int, kernel: np.ndarray, pairs: int, seed: int) -> Tensor:
    """Coalitions of sizes from `least` to d - `least`, by the kernel, shape (pairs, d)."""
    generator = stream(seed, "explain/regression")
    sizes = np.arange(least, d - least + 1)
    wanted = generator.choice(sizes, size=pairs, p=kernel[sizes] / kernel[sizes].sum())
    ranks = np.argsort(generator.random((pairs, d)), axis=1)
    return torch.from_numpy(ranks < wanted[:, None])


def regression_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Shapley values of every row; costs b evaluations a coalition, and at least 8 d coalitions.

    Args: as `Explainer`; a row's values depend on the seed alone, for all rows share their coalitions.
    """
    base, prediction = game.ends.mean(0), game.outputs(game.x)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    error = torch.zeros_like(values)
    if game.d == 1:
        values[:, 0] = prediction - base
        return Estimate(values, error, base, prediction, "one player: no sampling error")
    p = plan(game.d, evaluations // game.worth_rows, seed)
    z = p.masks.double()
    inverse = torch.linalg.inv((z * p.weights[:, None]).T @ z)
    ones = inverse.sum(1)
    flat = inverse - ones[:, None] * ones / ones.sum()  # the inverse on vectors that add up to zero
    weighed = flat @ (z * p.weights[:, None]).T  # (d, m)
    pulls = flat @ z[len(z) - 2 * p.drawn :: 2].T  # (d, pairs)
    for row in range(game.n):
        worth = game.worth(p.masks, row) - base
        values[row] = weighed @ worth + (ones / ones.sum())[:, None] * (prediction[row] - base)
        if p.drawn:
            residual = (worth - z @ values[row])[len(z) - 2 * p.drawn :]
            apart = residual[::2] - residual[1::2]
            scatter = pulls.square() @ apart.square() - (pulls @ apart).square() / p.drawn
            free = (p.drawn - 1) * max(1, p.drawn - game.d + 1)
            error[row] = 0.5 * p.share * (scatter.clamp(min=0.0) / free).sqrt()
        if progress is not None:
            progress(row + 1, game.n)
    how = f"{p.drawn} pairs of them drawn" if p.drawn else "all there are; no sampling error"
    note = f"weighted regression on {len(z)} coalitions over {game.about_background()}, {how}"
    return Estimate(values, error, base, prediction, note + ("; error: of the drawn pairs' scores" if p.drawn else ""))
