"""Muon: momentum made orthogonal, for hidden matrices; AdamW for everything else (Jordan et al. 2024).

The rate is scaled by 0.2 sqrt(max(rows, columns)) (Liu et al. 2025, arXiv 2502.16982), so that AdamW's rates fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration: steepest at zero, values end in about [0.7, 1.2]
OUTER = ("encoders", "heads")  # first and last layers do better with AdamW


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Nearly U V' of the matrix's singular value decomposition, by Newton-Schulz iterations; shape (rows, columns)."""
    a, b, c = COEFFICIENTS
    x = matrix.t() if len(matrix) > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(iterations):
        gram = x @ x.t()
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.t() if len(matrix) > matrix.shape[1] else x
    return result


def muon(
    groups: list[dict[str, Any]],
    *,
    lr: float,
    momentum: float = 0.95,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """Split each group into hidden matrices and the rest by dimension and name."""
    split = []
    for group in groups:
        for hidden in (True, False):
            members = [(n, p) for n, p in group["params"] if _hidden(n, p) == hidden]
            if members:
                split.append({**group, "params": members, "hidden": hidden})
    return Muon(split, lr=lr, momentum=momentum, betas=betas, eps=eps)


def _hidden(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and min(parameter.shape) > 1 and not set(name.split(".")) & set(OUTER)


class Muon(Optimizer):
    """Groups bear `hidden`: True for matrices that get the orthogonal update, False for AdamW."""

    def __init__(
        self, groups: list[dict[str, Any]], *, lr: float, momentum: float, betas: tuple[float, float], eps: float
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": 0.0, "hidden": False}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._orthogonal if group["hidden"] else self._adam
            for p in group["params"]:
                if p.grad is not None:
                    change = update(p, group)
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(change, alpha=-group["lr"])
        return loss

    def _orthogonal(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        assert p.grad is not None
        m: Tensor = self.state[p].setdefault("momentum", torch.zeros_like(p))
        m.lerp_(p.grad, 1 - group["momentum"])
        ahead = torch.lerp(p.grad, m, group["momentum"])  # Nesterov's look ahead
        return orthogonalise(ahead) * (0.2 * math.sqrt(max(p.shape)))

    def _adam(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        assert p.grad is not None
        (beta1, beta2), state = group["betas"], self.state[p]
        state["step"] = state.get("step", 0) + 1
        mean = state.setdefault("mean", torch.zeros_like(p)).lerp_(p.grad, 1 - beta1)
        square = state.setdefault("square", torch.zeros_like(p)).lerp_(p.grad.square(), 1 - beta2)
        spread = (square / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        update: Tensor = mean / (1 - beta1 ** state["step"]) / spread
        return update
