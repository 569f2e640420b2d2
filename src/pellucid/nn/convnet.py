"""ConvNet: a small residual network over pictures from 4 x 4 to some 224 x 224.

Pre-activation blocks (He et al. 2016), group normalisation (Wu & He 2018) and a mean over all places. Nothing depends
on the other rows of a batch and there are no running averages, so that a loss stays a pure function of its batch and an
answer one of its row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, silu

from pellucid.core.random import derive

STAGES = 4  # at most; each has half the side and, up to WIDEST times, twice the channels of the one before
WIDEST = 4
LEAST_SIDE = 8  # a shorter side is not halved any more
GROUP = 8  # channels that are normalised together


class Block(nn.Module):
    """Two convolutions beside a way past them; half the side with stride 2."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm_in, self.norm_out = norm(channels), norm(out)
        self.conv_in = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.conv_out = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.past = nn.Conv2d(channels, out, 1, bias=False) if channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(silu(self.norm_in(x)))
        h = self.conv_out(silu(self.norm_out(h)))
        short = avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) if self.stride == 2 else x
        out: Tensor = self.past(short) + h
        return out


def norm(channels: int) -> nn.GroupNorm:
    """Groups of `GROUP` channels, all in one where that does not come out even."""
    return nn.GroupNorm(channels // GROUP if channels % GROUP == 0 else 1, channels)


def stem_stride(side: int) -> int:
    """How many pixels the first convolution steps: large pictures have detail to spare."""
    return 1 if side < 64 else 2 if side < 128 else 4


class ConvNet(nn.Module):
    """A convolution, stages of residual blocks, the mean over all places.

    Args:
        shape: (height, width, channels).
        width: channels of the first stage.
        depth: blocks of a stage.
    """

    def __init__(self, shape: Sequence[int], *, width: int = 32, depth: int = 1) -> None:
        super().__init__()
        stride = stem_stride(min(shape[:2]))
        self.stem = nn.Conv2d(shape[2], width, 2 * stride + 1, stride, padding=stride)
        side, channels = -(-min(shape[:2]) // stride), width
        blocks: list[nn.Module] = [Block(width, width, 1) for _ in range(depth)]
        for _ in range(STAGES - 1):
            if side < LEAST_SIDE:
                break
            before, channels, side = channels, min(2 * channels, WIDEST * width), -(-side // 2)
            blocks += [Block(before if i == 0 else channels, channels, 2 if i == 0 else 1) for i in range(depth)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = norm(channels)
        self.found = channels

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, channels, height, width) -> (n, found)."""
        return silu(self.norm(self.blocks(self.stem(pixels)))).mean((2, 3))

    @torch.no_grad()
    def begin(self, seed: int) -> None:
        """Normal weights after He et al. (2015); each block begins as the way past it."""
        for i, (name, module) in enumerate(self.named_modules()):
            if not isinstance(module, nn.Conv2d):
                continue
            if name.endswith("conv_out"):
                module.weight.zero_()
            else:
                generator = torch.Generator().manual_seed(derive(seed, "convnet/" + name, i))
                inputs = module.in_channels * math.prod(module.kernel_size)
                gain = 1.0 if name.endswith("past") else math.sqrt(2.0)
                nn.init.normal_(module.weight, std=gain / math.sqrt(inputs), generator=generator)
            if module.bias is not None:
                module.bias.zero_()
