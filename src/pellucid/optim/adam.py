"""Adam and AdamW by torch's fused kernel, without what torch puts around it.

`torch.optim.Adam` loads torch's compiler when it is made (80 MB, a second or more) and spends longer on bookkeeping
than on a small network's arithmetic. State and numbers are those of torch's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), or AdamW (Loshchilov & Hutter 2019).

    Args:
        groups: torch's groups; the parameters of one lie on one device and have one type.
        lr: learning rate.
        betas: of the running means of the gradient and of its square.
        eps: added to the root of the latter.
        decoupled: weight decay acts on the weights (AdamW), not on the gradient.
    """

    add_param_group = Optimizer.add_param_group.__wrapped__  # type: ignore[attr-defined]  # what loads the compiler

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        decoupled: bool = False,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self._kernel: Any = torch._fused_adamw_ if decoupled else torch._fused_adam_

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None if closure is None else closure()
        with torch.no_grad():
            for group in self.param_groups:
                self._move(group)
        return loss

    step.hooked = True  # type: ignore[attr-defined]  # torch wraps nothing around it

    def _move(self, group: dict[str, Any]) -> None:
        moved = [p for p in group["params"] if p.grad is not None]
        if not moved:
            return
        states = [self.state[p] or self._begin(p) for p in moved]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        beta1, beta2 = group["betas"]
        self._kernel(
            moved,
            [p.grad for p in moved],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            amsgrad=False,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _begin(self, p: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
        state["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        state["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        return state
