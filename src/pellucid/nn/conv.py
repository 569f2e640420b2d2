"""ImageEncoder: three convolutions and a linear map into the trunk (Mnih et al. 2015), scaled to the image's size.

Pixels come as a flat block (n, height * width * channels), row by row, channels last, in [0, 1]: that is how every
other part of Pellucid mixes, stores and compares them. Only here they are an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

SMALLEST = 8  # side that the smallest stack can still read


class Layer(NamedTuple):
    """One convolution without padding."""

    channels: int
    kernel: int
    stride: int


# Smallest side -> layers. Mnih's own are for 84 x 84; below, strides would leave nothing of the image.
STACKS: tuple[tuple[int, tuple[Layer, ...]], ...] = (
    (36, (Layer(32, 8, 4), Layer(64, 4, 2), Layer(64, 3, 1))),
    (16, (Layer(16, 4, 2), Layer(32, 3, 1), Layer(32, 3, 1))),
    (SMALLEST, (Layer(16, 3, 1), Layer(32, 3, 1), Layer(32, 3, 1))),
)


def stack_for(height: int, width: int) -> tuple[Layer, ...]:
    """The convolutions for an image.

    Raises:
        ValueError: a side is below 8 pixels: such a field is read as numbers.
    """
    for least, layers in STACKS:
        if min(height, width) >= least:
            return layers
    raise ValueError(f"an image of {height} x {width} pixels is too small; its sides are at least {SMALLEST}")


def side_after(side: int, layers: Sequence[Layer]) -> int:
    """Pixels that are left of a side."""
    for layer in layers:
        side = (side - layer.kernel) // layer.stride + 1
    return side


class ImageEncoder(nn.Module):
    """Convolutions, then a linear map to the trunk's width; `project` is the part that a delta adapts.

    Args:
        shape: (height, width, channels).
        out: width of the trunk.
    """

    def __init__(self, shape: Sequence[int], out: int) -> None:
        super().__init__()
        height, width, channels = (int(n) for n in shape)
        layers = stack_for(height, width)
        self.shape = (height, width, channels)
        parts: list[nn.Module] = []
        for layer in layers:
            parts += [nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride), nn.ReLU()]
            channels = layer.channels
        self.convolve = nn.Sequential(*parts, nn.Flatten())
        self.project = nn.Linear(channels * side_after(height, layers) * side_after(width, layers), out, bias=False)

    def forward(self, block: Tensor) -> Tensor:
        """Pixels (n, height * width * channels) -> (n, out)."""
        found: Tensor = self.project(self.features(block))
        return found

    def features(self, block: Tensor) -> Tensor:
        """What the linear map sees, shape (n, project.in_features)."""
        pixels = self.normalised(block).reshape(-1, *self.shape).permute(0, 3, 1, 2)
        found: Tensor = self.convolve(pixels)
        return found

    def normalised(self, block: Tensor) -> Tensor:
        """The pixels as the convolutions see them: as they are, for they lie in [0, 1]."""
        return block

    @torch.no_grad()
    def observe(self, block: Tensor) -> None:
        """Nothing: pixels have a scale of their own."""
