"""Shapley values of a Gaussian process fitted to some coalitions.

A coalition is a vector z of -1 and 1. The value function is taken for a draw of a process with the covariance
k(z, z') = c + l <z, z'> + the product over players of (1 + t z_i z'_i) / (1 + t): of interactions of order q the share
falls like t to the q. Its posterior mean goes through every coalition that was asked, and its Shapley values are known
in closed form: with the players independently there with chance p, a value is the integral over p of the mean gain
(Owen 1972), and the mean of a product is the product of the means. So they add up as they must. The scale is the data's
own, t and l are those of the largest likelihood. The coalitions are those of `regression`, whose least squares this
replaces: on sentences of 12 words it takes a third off their error.

The error is the posterior's standard deviation: what the coalitions that were not asked may hide, if the value function
is as smooth as those that were asked make it look.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import DataError
from pellucid.core.random import derive
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.game import Game
from pellucid.explain.regression import plan

TILTS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
LINEAR = (0.1, 1.0, 10.0)
CONSTANT = 10.0  # an unknown level
JITTER = 1e-8  # of the variance: a float32's rounding
PAIRS = 1  # drawn at least, a player
REDRAWN = 8  # times that coalitions which were drawn before are drawn anew
MOST = 4096  # coalitions: the work grows with their cube
TRIED = 512  # of them on which t and l are chosen


class Process(NamedTuple):
    """A covariance. Args: tilt: t. linear: l times the number of players."""

    tilt: float
    linear: float

    def covariance(self, z: Tensor) -> Tensor:
        """Of coalitions (m, d) among themselves, (m, m)."""
        d, together = z.shape[1], z @ z.T
        shared = (together - d) / 2 * np.log((1 + self.tilt) / (1 - self.tilt))  # of agreements, less those of equals
        found: Tensor = shared.exp() + self.linear / d * together + CONSTANT
        found.diagonal().mul_(1.0 + JITTER)
        return found

    def shapley(self, z: Tensor) -> Tensor:
        """The Shapley values of k(., z) for each z, shape (d, m)."""
        found = torch.zeros_like(z)
        for p, weight in zip(*_quadrature(z.shape[1]), strict=True):
            means = (1 + self.tilt * (2 * p - 1) * z) / (1 + self.tilt)
            found += weight * means.prod(1, keepdim=True) / means
        values: Tensor = found * (2 * self.tilt * z / (1 + self.tilt)) + 2 * self.linear / z.shape[1] * z
        return values.T

    def variance(self, d: int) -> float:
        """Of one Shapley value before anything is asked."""
        points, weights = _quadrature(d)
        means = (1 + self.tilt * np.outer(2 * points - 1, 2 * points - 1)) / (1 + self.tilt)
        return float(4 * self.tilt / (1 + self.tilt) * (weights @ means ** (d - 1) @ weights) + 4 * self.linear / d)


def _quadrature(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre on [0, 1], exact for polynomials of degree d."""
    points, weights = np.polynomial.legendre.leggauss(d // 2 + 1)
    return (points + 1) / 2, weights / 2


def likelihood(process: Process, z: Tensor, worth: Tensor) -> Tensor:
    """Log of the likelihood of values (m, k), with the best scale, by output, shape (k,), up to a constant."""
    factor, bad = torch.linalg.cholesky_ex(process.covariance(z))
    if int(bad):
        return torch.full((worth.shape[1],), -torch.inf, dtype=torch.float64)
    scale = torch.linalg.solve_triangular(factor, worth, upper=False).square().mean(0).clamp(min=1e-300)
    found: Tensor = -0.5 * len(z) * scale.log() - factor.diagonal().log().sum()
    return found


def different(d: int, most: int, seed: int) -> Tensor:
    """About `most` coalitions, none twice: those of `regression.plan`, and draws in place of those drawn again."""
    first = plan(d, most, seed, PAIRS)
    found = dict.fromkeys(map(tuple, first.masks.tolist()))
    wanted = min(len(first.masks), 2**d - 2)
    for again in range(1, REDRAWN + 1):
        if len(found) >= wanted:
            break
        drawn = plan(d, most, derive(seed, "explain/gaussian", again), PAIRS)
        found |= dict.fromkeys(map(tuple, drawn.masks[len(drawn.masks) - 2 * drawn.drawn :].tolist()))
    return torch.tensor(list(found)[:wanted])


def gaussian_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Shapley values of every row, from about `evaluations` / b coalitions, at least 2 d and at most 4,096.

    Args: as `Explainer`; a row's values depend on the seed alone, for all rows share their coalitions.
    Raises:
        DataError: 2 d coalitions would be more than 4,096.
    """
    base, prediction = game.ends.mean(0), game.outputs(game.x)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    error = torch.zeros_like(values)
    if game.d == 1:
        values[:, 0] = prediction - base
        return Estimate(values, error, base, prediction, "one player: no sampling error")
    masks = different(game.d, min(MOST, evaluations // game.worth_rows) - 2, seed)
    if len(masks) > MOST:
        raise DataError(
            f"{game.d} players need {len(masks):,} coalitions; a Gaussian process is fitted to at most {MOST:,}.",
            where="explain(method='gaussian')",
            mend="use method='permutation', or larger players",
        )
    z = torch.cat((torch.ones(1, game.d), -torch.ones(1, game.d), 2.0 * masks - 1.0)).double()
    for row in range(game.n):
        worth = torch.cat((prediction[row : row + 1], base[None], game.worth(masks, row)))
        values[row], error[row], tilts = _fitted(z, worth)
        values[row] += (prediction[row] - base - values[row].sum(0)) / game.d  # rounding
        if progress is not None:
            progress(row + 1, game.n)
    how = f"t = {', '.join(f'{t:g}' for t in sorted(set(tilts)))}" if game.n == 1 else "t chosen for each row"
    note = f"a Gaussian process ({how}) through {len(masks)} coalitions over {game.about_background()}"
    return Estimate(values, error, base, prediction, f"{note}; error: of its posterior")


def _fitted(z: Tensor, worth: Tensor) -> tuple[Tensor, Tensor, list[float]]:
    """Values and errors (d, k), and the t of each output."""
    centred = worth - worth.mean(0)
    every = [Process(*each) for each in product(TILTS, LINEAR)]
    best = torch.stack([likelihood(each, z[:TRIED], centred[:TRIED]) for each in every]).argmax(0)
    values = torch.empty(z.shape[1], worth.shape[1], dtype=torch.float64)
    error = torch.empty_like(values)
    for at in sorted(set(best.tolist())):
        process, which = every[at], best == at
        factor = torch.linalg.cholesky(process.covariance(z))
        weight, pulls = torch.cholesky_solve(centred[:, which], factor), process.shapley(z)
        known = torch.linalg.solve_triangular(factor, pulls.T, upper=False).square().sum(0)
        hidden = (process.variance(z.shape[1]) - known).clamp(min=0.0)
        values[:, which] = pulls @ weight
        error[:, which] = (hidden[:, None] * (centred[:, which] * weight).mean(0).clamp(min=0.0)).sqrt()
    return values, error, [every[at].tilt for at in best.tolist()]
