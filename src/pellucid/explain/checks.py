"""Measures printed beside an explanation, on request: how far to trust it, none of them a proof.

- `additive_fit`: R² of base + sum of a coalition's values against what the program says of that coalition, over
  coalitions drawn by the Shapley kernel. Low: players interact, and no list of single values tells what it does.
- `insertion`, `deletion`: players enter a background row (leave the row) from the largest value down; the area under
  the curve (above it), less that of random orders, as a share of the row's absolute values. At or below zero: the
  order is no better than chance.
- `off_manifold`: share of mixed rows that are farther from every real row than 95 % of real rows are from their
  nearest.
- `randomised`: rank correlation of the absolute values with those of the same network with random weights (Adebayo et
  al. 2018), for programs that can be randomised. Near one: the values tell about the inputs, not about what
  was learned.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pellucid.core.program import Randomised
from pellucid.core.random import stream
from pellucid.explain.estimate import Estimate
from pellucid.explain.game import Game
from pellucid.explain.permutation import permutation_values

ROWS = 16  # rows on which it is measured, evenly spread
COALITIONS = 64  # of each, in pairs
ORDERS = 4  # random orders to compare with
STEPS = 10  # of a curve
REAL = 0.95  # quantile of the distances between real rows


def checked(game: Game, estimate: Estimate, seed: int) -> dict[str, float]:
    """All measures by name, over at most 16 rows."""
    index = torch.from_numpy(np.unique(np.linspace(0, game.n - 1, min(ROWS, game.n)).astype(int)))
    part, values = game.part(index), estimate.values[index]
    found = {
        "additive_fit": _additive_fit(part, values, estimate.base, seed),
        **_curves(part, values, estimate.prediction[index], estimate.base, seed),
        "off_manifold": _off_manifold(part, seed),
    }
    if isinstance(game.program, Randomised):
        found["randomised"] = _randomised(game, part, game.program, values, seed)
    game.evaluations += part.evaluations
    return {name: round(value, 4) for name, value in found.items() if np.isfinite(value)}


def _coalitions(d: int, name: str, seed: int) -> Tensor:
    """Pairs by the Shapley kernel; of one player, the full coalition."""
    if d == 1:
        return torch.ones(1, 1, dtype=torch.bool)
    generator = stream(seed, f"explain/checks/{name}")
    weight = 1.0 / (np.arange(1, d) * np.arange(d - 1, 0, -1))
    sizes = generator.choice(np.arange(1, d), size=COALITIONS // 2, p=weight / weight.sum())
    first = torch.from_numpy(np.argsort(generator.random((len(sizes), d)), axis=1) < sizes[:, None])
    return torch.cat((first, ~first))


def _additive_fit(game: Game, values: Tensor, base: Tensor, seed: int) -> float:
    masks = _coalitions(game.d, "fit", seed)
    worth = torch.stack([game.worth(masks, row) for row in range(game.n)])  # (n, m, k)
    said = base + torch.einsum("md,ndk->nmk", masks.double(), values)
    total = (worth - worth.mean((0, 1))).square().sum((0, 1))
    left = (worth - said).square().sum((0, 1))
    moved = total > 1e-20
    return float((1.0 - left[moved] / total[moved]).mean()) if bool(moved.any()) else 1.0


def _curves(game: Game, values: Tensor, prediction: Tensor, base: Tensor, seed: int) -> dict[str, float]:
    """Of the output that each row moves most."""
    if game.d == 1:
        return {}
    sizes = torch.from_numpy(np.unique(np.linspace(1, game.d - 1, min(STEPS, game.d - 1)).round().astype(int)))
    generator = stream(seed, "explain/checks/orders")
    gains: dict[str, list[float]] = {"insertion": [], "deletion": []}
    for row in range(game.n):
        k = int((prediction[row] - base).abs().argmax())
        size = float(values[row, :, k].abs().sum())
        if size < 1e-12:
            continue
        order = values[row, :, k].argsort(descending=True)
        random = [torch.from_numpy(generator.permutation(game.d)) for _ in range(ORDERS)]
        ranks = torch.stack([o.argsort() for o in (order, order.flip(0), *random)])
        masks = (ranks[:, None] < sizes[:, None]).reshape(-1, game.d)
        areas = game.worth(masks, row)[:, k].reshape(len(ranks), -1).mean(1)
        usual = float(areas[2:].mean())
        gains["insertion"].append((float(areas[0]) - usual) / size)
        gains["deletion"].append((usual - float(areas[1])) / size)
    return {name: float(np.mean(found)) for name, found in gains.items() if found}


def _off_manifold(game: Game, seed: int) -> float:
    if game.b < 3:
        return float("nan")
    sd = game.background.double().std(0)
    scale = torch.where(sd > 0, sd, torch.ones_like(sd))
    real = (game.background.double() / scale).nan_to_num(0.0)
    between = torch.cdist(real, real)
    between.fill_diagonal_(torch.inf)
    limit = float(torch.quantile(between.min(1).values, REAL))
    masks = _coalitions(game.d, "manifold", seed)
    which = torch.from_numpy(stream(seed, "explain/checks/which").integers(game.b, size=len(masks)))
    far = []
    for row in range(game.n):
        if game.neighbours is not None:
            near = game.neighbours(masks, row)
            which = near[torch.arange(len(masks)), which % near.shape[1]]
        mixed = (game.mixed(masks, which, torch.full_like(which, row)).double() / scale).nan_to_num(0.0)
        known = torch.cat((real, (game.x[row : row + 1].double() / scale).nan_to_num(0.0)))
        far.append(float((torch.cdist(mixed, known).min(1).values > limit).double().mean()))
    return float(np.mean(far))


def _randomised(game: Game, part: Game, program: Randomised, values: Tensor, seed: int) -> float:
    other = part.asking(program.randomised(seed))
    names = [f"randomised/{i}" for i in range(other.n)]
    found = permutation_values(other, names, evaluations=2, seed=seed).values
    game.evaluations += other.evaluations
    ranks = [a.abs().sum(2).argsort(1).argsort(1).double() for a in (values, found)]
    one, two = (r - r.mean(1, keepdim=True) for r in ranks)
    scale = (one.square().sum(1) * two.square().sum(1)).sqrt()
    return float(((one * two).sum(1) / scale.clamp(min=1e-12)).mean()) if game.d > 2 else float("nan")
