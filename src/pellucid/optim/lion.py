"""Lion: the sign of an interpolated momentum (Chen et al. 2023, arXiv 2302.06675)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer


class Lion(Optimizer):
    """Every step moves every weight by `lr`, so rates are 3 to 10 times smaller than Adam's.

    Args:
        groups: torch's groups.
        lr: learning rate.
        betas: of the update, and of the momentum that is kept.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr, (beta1, beta2) = group["lr"], group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                p.mul_(1 - lr * group["weight_decay"])
                p.add_(torch.lerp(p.grad, m, beta1).sign_(), alpha=-lr)
                m.lerp_(p.grad, 1 - beta2)
        return loss
