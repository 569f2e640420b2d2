"""One layer of a transformer (Vaswani et al. 2017), normalised before its two parts (Xiong et al. 2020).

Plain linear maps, so that a delta can act on every one of them. No dropout: the loss of a batch is a pure function.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each added to what comes in.

    Args:
        width: of a token; a multiple of `heads`.
        ratio: hidden units of the feed-forward part, in widths.
    """

    def __init__(self, width: int, heads: int, ratio: float = 2.0) -> None:
        super().__init__()
        self.heads = heads
        hidden = round(ratio * width)
        self.norm_attend, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, t, width) -> (n, t, width)."""
        n, t, width = tokens.shape
        parts = self.qkv(self.norm_attend(tokens)).reshape(n, t, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        met = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, width)
        tokens = tokens + self.join(met)
        out: Tensor = tokens + self.narrow(gelu(self.widen(self.norm_forward(tokens))))
        return out


@torch.no_grad()
def begin_layers(layers: nn.Module, depth: int, generator: torch.Generator) -> None:
    """First weights of the layers in a module: what each adds is scaled by 1 / sqrt(2 depth) (Radford et al. 2019)."""
    for layer in layers.modules():
        if not isinstance(layer, Layer):
            continue
        for linear in (layer.qkv, layer.join, layer.widen, layer.narrow):
            added = linear is layer.join or linear is layer.narrow
            std = 1.0 / math.sqrt(linear.in_features * (2 * depth if added else 1))
            nn.init.normal_(linear.weight, std=std, generator=generator)
            linear.bias.zero_()
