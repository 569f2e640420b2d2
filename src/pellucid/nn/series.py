"""A network of series: it begins as linear forecasters and learns what they lack.

out = start(lags, mean, series) + heads(trunk(sum of encoders))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.nn.encoders import described
from pellucid.nn.network import Network, safe


class Start(nn.Module):
    """A fixed affine map of some blocks to one raw output, by series; buffers: fitted, saved, never trained.

    Args:
        fields: the blocks that it reads, side by side, C columns in all.
        group: the block that says which series a row is of (one-hot, the last one unknown); None for a single one.
        entries: series, with the unknown one.
        out: width of the output; `steps` of its columns move with the blocks, at every `stride`-th place.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, fields: Sequence[str], columns: int, group: str | None, entries: int, out: int) -> None:
        super().__init__()
        self.fields, self.group = tuple(fields), group
        self.register_buffer("weight", torch.zeros(entries, out, columns))
        self.register_buffer("bias", torch.zeros(entries, out))

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Raw outputs (n, out)."""
        x = torch.cat([blocks[field] for field in self.fields], dim=1)
        if self.group is None:
            return torch.addmm(self.bias[0], x, self.weight[0].T)
        code = blocks[self.group].argmax(1)
        found: Tensor = torch.einsum("noc,nc->no", self.weight[code], x) + self.bias[code]
        return found


class SeriesNetwork(Network):
    """`Network` with encoders of series and a start.

    Args:
        widths, inputs, heads, width, depth, activation: see `Network`.
        encoders: field -> how it is read, see `nn.encoders`.
        starts: task -> {"fields", "group", "entries"}, see `Start`.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        inputs: Mapping[str, Sequence[str]],
        heads: Mapping[str, Mapping[str, int]],
        *,
        width: int = 64,
        depth: int = 1,
        activation: str = "relu",
        encoders: Mapping[str, Mapping[str, Any]] | None = None,
        starts: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            widths, inputs, heads, width=width, depth=depth, activation=activation, encoders=encoders, seed=seed
        )
        starts = starts or {}
        self.architecture: dict[str, Any] = {
            "kind": "series",
            "widths": dict(widths),
            "inputs": {task: list(fields) for task, fields in inputs.items()},
            "heads": {task: dict(hs) for task, hs in heads.items()},
            "width": width,
            "depth": depth,
            "activation": activation,
            "encoders": described(encoders or {}),
            "starts": {task: dict(start) for task, start in starts.items()},
        }
        with torch.no_grad():  # it begins as its start, and nothing else
            for head in self.heads.modules():
                if isinstance(head, nn.Linear):
                    head.weight.zero_()
        self.starts = nn.ModuleDict(
            {
                safe(task): Start(
                    start["fields"],
                    sum(widths[field] for field in start["fields"]),
                    start["group"],
                    int(start["entries"]),
                    heads[task]["out"],
                )
                for task, start in starts.items()
            }
        )

    def actor(self, blocks: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
        """Raw outputs of every head, each (n, k); the start is added to `out`."""
        raw = super().actor(blocks, task)
        return {**raw, "out": raw["out"] + self.starts[safe(task)](blocks)} if safe(task) in self.starts else raw

    def start(self, task: str) -> Start:
        """As what a task begins."""
        found = self.starts[safe(task)]
        assert isinstance(found, Start)
        return found
