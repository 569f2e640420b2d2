"""Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682): averaging instead of a learning-rate schedule.

    y = (1 - beta) z + beta x       where the gradient is taken: the parameters themselves
    z <- z - lr * (m / sqrt(v) + decay * y)
    x <- (1 - c) x + c z            a weighted average of the z: what is evaluated and saved

x is never written into the parameters while training goes on: switching to and fro changes weights by rounding, and a
resumed run would not repeat. `averages` gives x for a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class ScheduleFree(Optimizer):
    """Use it with a constant schedule (and a warm-up).

    Args:
        groups: torch's groups.
        lr: learning rate.
        betas: of the interpolation towards the average, and of the second moment.
    """

    def __init__(
        self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr, (beta, beta2) = float(group["lr"]), group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state |= {"z": p.clone(), "x": p.clone(), "v": torch.zeros_like(p), "steps": 0, "weight": 0.0}
                state["steps"] += 1
                state["weight"] += lr * lr
                z, x, v = state["z"], state["x"], state["v"]
                v.lerp_(p.grad.square(), 1.0 - beta2)
                spread = (v / (1.0 - beta2 ** state["steps"])).sqrt_().add_(group["eps"])
                z.sub_(p.grad / spread + group["weight_decay"] * p, alpha=lr)
                x.lerp_(z, lr * lr / state["weight"])
                p.copy_(torch.lerp(z, x, beta))
        return loss

    def averages(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """(parameter, its average): what should be evaluated and saved."""
        for group in self.param_groups:
            for p in group["params"]:
                if p in self.state:
                    yield p, self.state[p]["x"]
