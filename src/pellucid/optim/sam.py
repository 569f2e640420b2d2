"""SAM: sharpness-aware minimisation (Foret et al. 2021) around AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pellucid.core.errors import SpecError
from pellucid.optim.adam import Adam


class SAM(Adam):
    """Takes the gradient at the worst point nearby: w + rho * g / |g|, and steps from w. Two gradients per step.

    Args:
        groups: torch's groups.
        lr: learning rate.
        rho: radius of the neighbourhood, in the norm over all parameters.
        betas: of AdamW.
    """

    def __init__(
        self, groups: list[dict[str, Any]], *, lr: float, rho: float = 0.05, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        super().__init__(groups, lr=lr, betas=betas, decoupled=True)
        self.rho = rho

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        if closure is None:
            raise SpecError(
                "SAM needs the loss twice per step.",
                where="SAM.step()",
                mend="step(evaluate), as the training loop does",
            )
        with torch.enable_grad():
            loss = closure()
        moved = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.stack([p.grad.norm() for p in moved]).norm() if moved else torch.zeros(())
        before = [p.clone() for p in moved]
        for p in moved:
            p.add_(p.grad, alpha=float(self.rho / (norm + 1e-12)))
        with torch.enable_grad():
            closure()
        for p, old in zip(moved, before, strict=True):
            p.copy_(old)  # subtracting what was added would leave rounding behind
        super().step()
        return loss
