"""How a network reads an image field: pixels go through an eye (`convnet`, `vit`), then by a linear map into the trunk.

Pixels come as a flat block (n, height * width * channels), row by row, channels last, in [0, 1], and one more column
where pictures may be missing. `nn.conv.ImageEncoder` is the eye of policies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.nn.convnet import ConvNet
from pellucid.nn.vit import ViT

PLACES = 1 << 19  # pixels that are looked at together where no gradient is kept: some 70 MB an activation
CENTRE, SPREAD = 0.5, 0.25  # pixels to numbers around nought

Eye = ConvNet | ViT
"""(n, channels, height, width) -> (n, found)."""

EYES: dict[str, Callable[[tuple[int, int, int], Mapping[str, Any]], Eye]] = {
    "convnet": lambda shape, said: ConvNet(shape, width=int(said["width"]), depth=int(said["depth"])),
    "vit": lambda shape, said: ViT(
        shape, width=int(said["width"]), depth=int(said["depth"]), heads=int(said["heads"]), patch=int(said["patch"])
    ),
}


class VisionEncoder(nn.Module):
    """An encoder of `nn.encoders`.

    Args:
        described: {"kind": one of `EYES`, "shape": [height, width, channels], ...}: what `EYES` asks for.
        columns: of the block.
        out: width of the trunk.
    """

    def __init__(self, described: Mapping[str, Any], columns: int, out: int) -> None:
        super().__init__()
        height, width, channels = (int(n) for n in described["shape"])
        self.shape = (height, width, channels)
        self.values = height * width * channels
        self.eye = EYES[described["kind"]](self.shape, described)
        self.project = nn.Linear(self.eye.found + columns - self.values, out, bias=False)

    def forward(self, block: Tensor) -> Tensor:
        """(n, columns) -> (n, out)."""
        out: Tensor = self.project(self.features(block))
        return out

    def features(self, block: Tensor) -> Tensor:
        """What the eye found and whether there was a picture, shape (n, project.in_features).

        Without gradients the rows are looked at in pieces, so that the activations of many are never all in memory.
        """
        rows = len(block) if torch.is_grad_enabled() else max(1, PLACES // (self.shape[0] * self.shape[1]))
        if len(block) <= rows:
            return self._features(block)
        return torch.cat([self._features(part) for part in torch.split(block, rows)])

    def _features(self, block: Tensor) -> Tensor:
        pixels = block[:, : self.values].reshape(-1, *self.shape).permute(0, 3, 1, 2)
        return torch.cat([self.eye((pixels - CENTRE) / SPREAD), block[:, self.values :]], dim=1)

    def normalised(self, block: Tensor) -> Tensor:
        """The pixels as they are, for they lie in [0, 1]."""
        return block

    @torch.no_grad()
    def observe(self, block: Tensor) -> None:
        """Nothing: pixels have a scale of their own."""

    def begin(self, seed: int) -> None:
        """The eye's first weights."""
        self.eye.begin(seed)
