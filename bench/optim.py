"""Steps to a threshold for every optimiser on three standard functions, at its best rate of a common grid.

    python bench/optim.py        about half a minute; JSON in bench/results/optim.json

The grid is the same for all (1, 3 and 10 per decade from 1e-4 to 1), the rate is constant, the count includes SAM's
steps once although each takes two gradients. `-`: not reached in 3000 steps at any rate.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid import optim
from pellucid.store.files import write_atomic

OUT = Path(__file__).resolve().parent / "results" / "optim.json"
RATES = [m * 10.0**e for e in (-4, -3, -2, -1) for m in (1.0, 3.0)] + [1.0]
MOST = 3000
PROBLEMS: dict[str, tuple[Callable[[Tensor], Tensor], list[float], float]] = {
    "parabola": (lambda p: (p - torch.tensor([2.0, -1.0])).square().sum(), [0.0, 0.0], 1e-4),
    "Rosenbrock": (lambda p: (1 - p[0]).square() + 100 * (p[1] - p[0].square()).square(), [-1.2, 1.0], 1e-2),
    "quadratic, condition 100": (lambda p: (torch.tensor([1.0, 100.0]) * p.square()).sum() / 2, [0.73, 1.31], 1e-4),
}


def steps(name: str, rate: float, problem: str) -> int | None:
    """Steps until the loss (of the average, where one is kept) is below the threshold."""
    loss, start, threshold = PROBLEMS[problem]
    point = nn.Parameter(torch.tensor(start))
    optimiser: Any = optim.build(name, {"point": point}, lr=rate)

    def evaluate() -> float:
        optimiser.zero_grad()
        value = loss(point)
        value.backward()
        return float(value.detach())

    for step in range(1, MOST + 1):
        optimiser.step(evaluate)
        end = dict(optimiser.averages())[point] if hasattr(optimiser, "averages") else point.detach()
        value = float(loss(end))
        if value < threshold:
            return step
        if not value < 1e6:
            return None
    return None


def main() -> int:
    torch.set_num_threads(1)
    OUT.parent.mkdir(exist_ok=True)
    table: dict[str, dict[str, Any]] = {}
    print(f"{'':16}" + "".join(f"{p:>28}" for p in PROBLEMS))
    for name in optim.ALL:
        table[name] = {}
        for problem in PROBLEMS:
            tried = [(n, rate) for rate in RATES if (n := steps(name, rate, problem)) is not None]
            table[name][problem] = min(tried) if tried else None
        cells = [f"{b[0]:,} at {b[1]:g}" if (b := table[name][p]) else "-" for p in PROBLEMS]
        print(f"{name:16}" + "".join(f"{cell:>28}" for cell in cells), flush=True)
    write_atomic(OUT, json.dumps(table, indent=1).encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
