"""Distributions of a target: what a network says of each row, and the density of what came.

Everything is learned of the standardised target, of a lognormal one of its standardised logarithm. At zero the network
says: standard normal. Scales have a floor of a thousandth of the target's own, so that rows which are known exactly
do not decide alone.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

FLOOR = math.log(1e-3)  # of log scales
FREEDOM = 10.0  # degrees of freedom at the start
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Density(Protocol):
    """A family; its parameters are the outputs of a task: location, scale, and perhaps more."""

    outputs: tuple[str, ...]
    logarithm: bool  # it is one of the target's logarithm

    def parameters(self, raw: Tensor) -> Tensor:
        """Of the standardised target: location, log scale, ...; shape (n, k)."""
        ...

    def units(self, z: Tensor, mean: float, sd: float) -> Tensor:
        """The outputs, from `parameters` and the mean and deviation by which the target was standardised."""
        ...

    def loss(self, z: Tensor, target: Tensor) -> Tensor:
        """Minus the log-density of the standardised target, shape (n,)."""
        ...


def _log_scale(raw: Tensor) -> Tensor:
    return FLOOR + softplus(raw - FLOOR + math.log(-math.expm1(FLOOR)))


class Normal:
    """Mean and standard deviation."""

    outputs: tuple[str, ...] = ("mean", "sd")
    logarithm: bool = False

    def parameters(self, raw: Tensor) -> Tensor:
        return torch.cat([raw[:, :1], _log_scale(raw[:, 1:2])], dim=1)

    def units(self, z: Tensor, mean: float, sd: float) -> Tensor:
        return torch.cat([z[:, :1] * sd + mean, torch.exp(z[:, 1:]) * sd], dim=1)

    def loss(self, z: Tensor, target: Tensor) -> Tensor:
        e = (target - z[:, 0]) * torch.exp(-z[:, 1])
        return HALF_LOG_2PI + z[:, 1] + 0.5 * e.square()


class LogNormal(Normal):
    """Median, and standard deviation of the logarithm; for numbers above zero."""

    outputs: tuple[str, ...] = ("median", "log_sd")
    logarithm: bool = True

    def units(self, z: Tensor, mean: float, sd: float) -> Tensor:
        return torch.cat([torch.exp(z[:, :1] * sd + mean), torch.exp(z[:, 1:]) * sd], dim=1)


class Student:
    """Location, scale and degrees of freedom, more than one: for targets with outliers."""

    outputs: tuple[str, ...] = ("mean", "scale", "df")
    logarithm: bool = False

    def parameters(self, raw: Tensor) -> Tensor:
        df = 1.0 + softplus(raw[:, 2:3] + math.log(math.expm1(FREEDOM - 1.0))) + 1e-2
        return torch.cat([raw[:, :1], _log_scale(raw[:, 1:2]), df], dim=1)

    def units(self, z: Tensor, mean: float, sd: float) -> Tensor:
        return torch.cat([z[:, :1] * sd + mean, torch.exp(z[:, 1:2]) * sd, z[:, 2:]], dim=1)

    def loss(self, z: Tensor, target: Tensor) -> Tensor:
        e, df = (target - z[:, 0]) * torch.exp(-z[:, 1]), z[:, 2]
        norm = torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2) + 0.5 * torch.log(math.pi * df)
        return norm + z[:, 1] + (df + 1) / 2 * torch.log1p(e.square() / df)


ALL: dict[str, Density] = {"normal": Normal(), "student": Student(), "lognormal": LogNormal()}
