"""A network of series begins as the mix of linear forecasters that suits its training rows; it learns what is left."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.core.task import Task
from pellucid.data.encoding import Encoding
from pellucid.nn.horizons import gaps_from
from pellucid.nn.series import SeriesNetwork
from pellucid.supervised.learner import Supervised
from pellucid.supervised.starts import Shape
from pellucid.supervised.starts.mix import Mix, mixed

NAMES: dict[str, tuple[str, ...]] = {
    "combined": ("autoregression", "smoothing", "smoothing_next"),
    "naive": ("naive",),
}


class Starting:
    """Fits the start of a task and writes it into the network.

    Args:
        network: of one task of kind `horizons`.
        learner: its training rows, in order of time.
        encoding: how the rows were encoded: the start is fitted on what the numbers were before.
    """

    def __init__(self, network: SeriesNetwork, learner: Supervised, encoding: Encoding) -> None:
        self.network, self.learner, self.encoding = network, learner, encoding
        self.found: Mix | None = None

    @torch.no_grad()
    def __call__(self) -> None:
        task = self.learner.task
        start = self.network.start(task.name)
        x = torch.cat([_raw(self.learner.blocks[f], self.encoding, f) for f in start.fields], dim=1)
        groups = len(start.bias) - 1 if start.group is not None else 0
        codes = self.learner.blocks[start.group].argmax(1) if start.group is not None else torch.zeros(len(x)).long()
        self.found = mixed(
            x.numpy(),
            self.learner.target.double().numpy(),
            codes.numpy(),
            groups,
            shape_of(task),
            task.options["quantiles"],
            NAMES[task.options["start"]],
        )
        maps, spread = torch.from_numpy(self.found.maps), torch.from_numpy(self.found.spread)
        weight, bias = encoded(task, maps, spread, self.encoding, start.fields)
        start.weight.copy_(weight)
        start.bias.copy_(bias)


def shape_of(task: Task) -> Shape:
    """The sizes of a task."""
    return Shape(int(task.options["window"]), int(task.options["horizon"]), int(task.options["season"]))


def encoded(
    task: Task, maps: Tensor, spread: Tensor, encoding: Encoding, fields: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Maps (G, H, L + 2) and quantiles around them (G, H, Q) as weight and bias of a `Start` that reads blocks."""
    scales = [encoding.scales[field] for field in fields]
    sd = torch.cat([torch.full((s.width,), s.sd, dtype=torch.float64) for s in scales])
    mean = torch.cat([torch.full((s.width,), s.mean, dtype=torch.float64) for s in scales])
    entries, horizon, quantiles = spread.shape
    middle = list(task.options["quantiles"]).index(0.5)
    weight = torch.zeros(entries, horizon, quantiles, len(sd), dtype=torch.float64)
    weight[:, :, middle] = maps[:, :, :-1] * sd
    bias = gaps_from(spread, middle)
    bias[:, :, middle] = maps[:, :, -1] + maps[:, :, :-1] @ mean
    return weight.flatten(1, 2), bias.flatten(1, 2)


def _raw(block: Tensor, encoding: Encoding, field: str) -> Tensor:
    scale = encoding.scales[field]
    return block[:, : scale.width].double() * scale.sd + scale.mean
