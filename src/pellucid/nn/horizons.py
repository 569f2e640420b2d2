"""Horizons: quantiles of several steps ahead, which cannot cross."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pellucid.core.task import Task
from pellucid.data.encoding import Encoding


def shaped(task: Task, z: Tensor) -> Tensor:
    """Outputs side by side (n, H Q) as (n, H, Q)."""
    return z.reshape(len(z), int(task.options["horizon"]), len(task.options["quantiles"]))


def gaps_from(spread: Tensor, middle: int) -> Tensor:
    """Quantiles around their median (..., Q) as the raw numbers that `Horizons.training` turns into them."""
    steps = torch.diff(spread, dim=-1)
    raw = steps + torch.log(-torch.expm1(-steps))  # the inverse of softplus
    return torch.cat([raw[..., :middle], torch.zeros_like(spread[..., :1]), raw[..., middle:]], dim=-1)


class Horizons:
    """For each step ahead the median and positive steps away from it, in units of the series' scale around its last
    value; returned in the series' own units.
    """

    def head_widths(self, task: Task) -> dict[str, int]:
        return {"out": int(task.options["horizon"]) * len(task.options["quantiles"])}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        z = shaped(task, raw["out"])
        middle = list(task.options["quantiles"]).index(0.5)
        centre = z[:, :, middle : middle + 1]
        up = centre + torch.cumsum(softplus(z[:, :, middle + 1 :]), dim=2)
        down = centre - torch.cumsum(softplus(z[:, :, :middle].flip(2)), dim=2).flip(2)
        return torch.cat([down, centre, up], dim=2).flatten(1)

    def units(self, task: Task, z: Tensor, blocks: Mapping[str, Tensor], encoding: Encoding) -> Tensor:
        wide = torch.tensor(task.options.get("widening") or 0.0, dtype=z.dtype, device=z.device)
        z = (shaped(task, z) + wide).flatten(1)
        values = blocks[task.options["level"]] + blocks[task.options["scale"]] * z
        return values if task.options["transform"] == "none" else torch.exp(values)
