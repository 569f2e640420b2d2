"""Integrated and expected gradients, for programs with gradients (Sundararajan et al. 2017; Erion et al. 2021).

Along the straight line from a reference to the row, a player gets the integral of its part of the gradient: the
Aumann-Shapley value, not the Shapley value; the two agree on programs without interactions beyond products of powers
along the line, and differ otherwise. `integrated_gradients` starts from one reference, the background's mean row (which
need not be a row that can occur); `expected_gradients` from every background row, equally often.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pellucid.core.random import stream
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.game import Game

STEPS = 50  # of the quadrature: captum's default
LEAST_PASSES = 2


def integrated_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Integrated gradients from the background's mean row by Gauss-Legendre quadrature, 50 points or as many as the
    budget asks for up to 500. The error is how far the values move with half the points.
    """
    middle = game.background.mean(0, keepdim=True)
    points = min(500, max(STEPS, evaluations // 10))
    values, half = (_along(game, middle, m, progress if m == points else None) for m in (points, points // 2))
    note = f"integrated gradients from the background's mean row, {points} points; error: against {points // 2} points"
    return Estimate(values, (values - half).abs(), game.outputs(middle)[0], game.outputs(game.x), note)


def _along(game: Game, middle: Tensor, points: int, progress: Progress | None) -> Tensor:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    share = torch.from_numpy((nodes + 1.0) / 2.0).to(middle.dtype)[:, None]
    weight = torch.from_numpy(weights / 2.0)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    for row in range(game.n):
        apart = game.x[row] - middle[0]
        slopes = game.gradients(middle + share * apart)  # (points, columns, k)
        values[row] = game.by_player(torch.einsum("p,pck->ck", weight, slopes) * apart.double()[:, None])
        if progress is not None:
            progress(row + 1, game.n)
    return values


def expected_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Expected gradients: in every pass, each background row once, at places along the lines that are spread evenly.

    The values add up to prediction - base only up to their error.
    """
    passes = max(LEAST_PASSES, evaluations // game.b)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    error = torch.empty_like(values)
    for row in range(game.n):
        generator = stream(seed, f"explain/expected_gradients/{keys[row]}")
        order = np.argsort(generator.random((passes, game.b)), axis=1)
        place = torch.from_numpy((order + generator.random(order.shape)) / game.b).to(game.background.dtype)
        apart = game.x[row] - game.background  # (b, columns)
        drawn = []
        for share in place:
            slopes = game.gradients(game.background + share[:, None] * apart)
            drawn.append(game.by_player(slopes * apart.double()[..., None]))
        gains = torch.stack(drawn)  # (passes, b, d, k)
        values[row] = gains.mean((0, 1))
        error[row] = (gains.var(0).mean(0) / (passes * game.b)).sqrt()
        if progress is not None:
            progress(row + 1, game.n)
    note = (
        f"expected gradients, {passes} passes over {game.b} background rows; "
        "error: spread between passes within each background row"
    )
    return Estimate(values, error, game.ends.mean(0), game.outputs(game.x), note)
