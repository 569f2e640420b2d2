"""A low-rank term beside a layer: output + scale * up(down(x)), and the change of weight that it amounts to.

`down` is (r, fan_in), `up` is (out, r); a convolution's fan_in is channels * kernel, flattened.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.adapt.targets import Layer


class Factors(NamedTuple):
    """down (r, fan_in), up (out, r), scale."""

    down: Tensor
    up: Tensor
    scale: float


def fan(layer: Layer) -> tuple[int, int]:
    """(out, fan_in) of the layer's flattened weight."""
    out = layer.weight.shape[0]
    return out, layer.weight.numel() // out


def add_term(layer: nn.Module, x: Tensor, output: Tensor, factors: Factors) -> Tensor:
    """The layer's output with the low-rank term added."""
    down, up, scale = factors
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        kernel = down.view(len(down), *layer.weight.shape[1:])
        hidden = layer._conv_forward(x, kernel, None)  # honours stride, dilation and every padding mode
        pointwise = up.view(*up.shape, *(1,) * (kernel.dim() - 2))
        one = F.conv1d if isinstance(layer, nn.Conv1d) else F.conv2d
        return output + scale * one(hidden, pointwise)
    hidden = F.linear(x, down)
    if hidden.dim() == 2 and hidden.dtype == output.dtype:
        return torch.addmm(output, hidden, up.t(), alpha=scale)  # one kernel instead of three
    return output + scale * F.linear(hidden, up)


def weight_change(layer: Layer, factors: Factors) -> Tensor:
    """What the term adds to the layer's weight, in the weight's shape."""
    return (factors.scale * (factors.up @ factors.down)).view_as(layer.weight)
