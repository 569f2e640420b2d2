"""Losses that several learners share. Each returns one value per row, shape (n,)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from pellucid.core.task import Task
from pellucid.nn.apart import LEAST
from pellucid.nn.densities import ALL as DENSITIES


def pinball(z: Tensor, target: Tensor, quantiles: Tensor) -> Tensor:
    """Mean pinball loss over quantiles (Koenker & Bassett 1978). z (n, k), target (n,), quantiles (k,)."""
    error = target[:, None] - z
    return torch.maximum(quantiles * error, (quantiles - 1.0) * error).mean(1)


def qlike(z: Tensor, target: Tensor) -> Tensor:
    """QLIKE of a log-variance forecast z (n, 1) for realised log-variance target (n,) (Patton 2011). Zero at best."""
    gap = target - z[:, 0]
    return torch.exp(gap) - gap - 1.0


def horizons(z: Tensor, target: Tensor, quantiles: Tensor) -> Tensor:
    """Mean pinball loss over the steps ahead and quantiles; steps that are not known (NaN) do not count.

    Args:
        z: (n, H Q). target: (n, H). quantiles: (Q,).
    """
    known = torch.isfinite(target)
    error = torch.where(known, target, 0.0)[:, :, None] - z.reshape(*target.shape, len(quantiles))
    each = torch.maximum(quantiles * error, (quantiles - 1.0) * error).mean(2)
    return (each * known).sum(1) / known.sum(1).clamp_min(1)


def squared(z: Tensor, target: Tensor) -> Tensor:
    """Squared error of z (n, 1)."""
    return (z[:, 0] - target).square()


def log_loss(z: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of one log-odds (n, 1) or k logits (n, k) for class codes (n,).

    Args:
        smoothing: share of the target that is spread evenly over all classes (Szegedy et al. 2016).
    """
    if z.shape[1] == 1:
        soft = target.to(z.dtype) * (1.0 - smoothing) + 0.5 * smoothing
        return binary_cross_entropy_with_logits(z[:, 0], soft, reduction="none")
    return cross_entropy(z, target.long(), reduction="none", label_smoothing=smoothing)


def label_loss(z: Tensor, target: Tensor) -> Tensor:
    """Mean over labels of the cross-entropy of log-odds z (n, k) for truth values target (n, k)."""
    return binary_cross_entropy_with_logits(z, target.to(z.dtype), reduction="none").mean(1)


def rank_loss(z: Tensor, target: Tensor) -> Tensor:
    """Minus log-probability of class codes target (n,), by decreasing log-odds z (n, k - 1) of more than each class.

    P(k) = s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)), with a and b the log-odds of at least k and of more than k.
    """
    code, end = target.long()[:, None], z.new_full((len(z), 1), float("inf"))
    a, b = (torch.cat(pair, dim=1).gather(1, code)[:, 0] for pair in ([end, z], [z, -end]))
    return -(logsigmoid(a) + logsigmoid(-b) + torch.log(-torch.expm1((b - a).clamp_max(-LEAST))))


def loss_of(task: Task) -> Callable[[Tensor, Tensor], Tensor]:
    """The training loss of a supervised task, in the training space of `nn.outputs`."""
    if task.form in ("forecast", "quantiles"):
        quantiles = torch.tensor(task.options["quantiles"], dtype=torch.float32)
        return lambda z, target: pinball(z, target, quantiles.to(z.device))
    if task.kind == "horizons":
        levels = torch.tensor(task.options["quantiles"], dtype=torch.float32)
        return lambda z, target: horizons(z, target, levels.to(z.device, z.dtype))
    if task.form == "distribution":
        return DENSITIES[task.options["distribution"]].loss
    return LOSSES[task.form]


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "volatility": qlike,
    "regress": squared,
    "classify": log_loss,
    "multilabel": label_loss,
    "ordinal": rank_loss,
}
