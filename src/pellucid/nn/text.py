"""Encoders of texts that learn from nothing: a weighted bag of n-grams, and a small transformer.

A block holds tokens (n, L), whole numbers from 1 on; 0 is nothing wherever it stands, so a token is left out of a text
by writing 0 in its place: the n-grams around it go with it, and no attention falls on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.core.random import derive

GAIN = 10.0  # of the table over what is trained: the few entries of a text move faster than the network's weights
EMPTY = -1e9  # the weight, before softmax, of what is not there


class TextEncoder(nn.Module):
    """What encoders of texts share: tokens (n, L) -> features (n, width) -> (n, out).

    Args:
        width: of the features.
        out: of the network's first layer.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, out, bias=False)

    def forward(self, block: Tensor) -> Tensor:
        found: Tensor = self.project(self.features(block))
        return found

    def features(self, block: Tensor) -> Tensor:
        raise NotImplementedError

    def normalised(self, block: Tensor) -> Tensor:
        """The features: tokens are no numbers that a critic could read."""
        return self.features(block)

    def observe(self, block: Tensor) -> None:
        """Nothing: tokens have no scale."""


def trimmed(block: Tensor) -> Tensor:
    """Tokens (n, L) without the columns behind the longest text; at least one column."""
    used = (block != 0).any(0).nonzero()
    return block[:, : int(used.max()) + 1] if len(used) else block[:, :1]


def ngrams(block: Tensor, longest: int, buckets: int) -> Tensor:
    """Numbers below `buckets` of the n-grams of each text, the shorter ones first; 0 where there is none.

    Args:
        block: tokens (n, L).
        longest: n of the longest n-grams.
        buckets: n-grams share a number when there are more of them (Joulin et al. 2017).
    """
    tokens, found = block.long(), []
    for n in range(1, min(longest, block.shape[1]) + 1):
        count = block.shape[1] - n + 1
        mixed = torch.full((len(block), count), n, dtype=torch.int64, device=block.device)
        there = torch.ones_like(mixed, dtype=torch.bool)
        for j in range(n):
            part = tokens[:, j : j + count]
            mixed = (mixed * 1_000_003 + part) & 0x7FFFFFFF
            there &= part != 0
        mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & 0x7FFFFFFF
        mixed = mixed ^ (mixed >> 12)
        found.append(torch.where(there, 1 + mixed % (buckets - 1), 0))
    return torch.cat(found, dim=1)


class NgramEncoder(TextEncoder):
    """The mean of the vectors of a text's n-grams (Joulin et al. 2017), weighed by how much each has to say.

    Args:
        out: of the network's first layer.
        width: of a vector.
        longest: n of the longest n-grams.
        buckets: rows of the table.
    """

    def __init__(self, out: int, *, width: int, longest: int, buckets: int) -> None:
        super().__init__(width, out)
        self.longest, self.buckets = longest, buckets
        self.table = nn.Parameter(torch.zeros(buckets, width))
        self.weigh = nn.Parameter(torch.zeros(buckets, 1))

    @torch.no_grad()
    def begin(self, seed: int) -> None:
        """Small vectors, equal weights."""
        generator = torch.Generator().manual_seed(derive(seed, "table"))
        self.table.normal_(0.0, 0.1 / GAIN, generator=generator)

    def features(self, block: Tensor) -> Tensor:
        found = ngrams(trimmed(block), self.longest, self.buckets)
        there = found != 0
        weight = (GAIN * F.embedding(found, self.weigh)[..., 0]).masked_fill(~there, EMPTY)
        share = torch.softmax(weight, dim=1) * there
        return GAIN * F.embedding_bag(found, self.table, per_sample_weights=share, mode="sum")


class Layer(nn.Module):
    """Attention and two linear maps, each behind a normaliser and beside a shortcut (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.gather = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        n, length, width = x.shape
        joined = self.attend(self.before(x)).reshape(n, length, 3, self.heads, width // self.heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None, :])
        x = x + self.gather(seen.transpose(1, 2).reshape(n, length, width))
        out: Tensor = x + self.narrow(F.gelu(self.widen(self.between(x))))
        return out


class TransformerEncoder(TextEncoder):
    """A small transformer (Vaswani et al. 2017) with learned positions; the features are the mean over the tokens.

    Args:
        out: of the network's first layer.
        size: one more than the largest token.
        length: tokens of a text.
        width: of a token, a multiple of `heads`.
        layers, heads: how many.
    """

    def __init__(self, out: int, *, size: int, length: int, width: int, layers: int, heads: int = 4) -> None:
        super().__init__(width, out)
        self.table = nn.Parameter(torch.zeros(size, width))
        self.place = nn.Parameter(torch.zeros(length, width))
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.after = nn.LayerNorm(width)

    @torch.no_grad()
    def begin(self, seed: int) -> None:
        """Normal weights of deviation 1/sqrt(fan-in); the shortcuts begin nearly alone."""
        for name, parameter in self.named_parameters():
            if name.startswith("project") or parameter.ndim < 2:
                continue
            generator = torch.Generator().manual_seed(derive(seed, name))
            small = 0.1 if name.split(".")[-2:-1] in (["gather"], ["narrow"]) else 1.0
            fan_in = parameter.shape[1] if "layers" in name else 1.0 / 0.02**2
            parameter.normal_(0.0, small / math.sqrt(fan_in), generator=generator)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.zero_()

    def features(self, block: Tensor) -> Tensor:
        tokens = trimmed(block).long()
        there = tokens != 0
        x = F.embedding(tokens, self.table) + self.place[: tokens.shape[1]]
        seen = there | ~there.any(1, keepdim=True)  # an empty text looks at itself: no softmax over nothing
        for layer in self.layers:
            x = layer(x, seen)
        return masked_mean(self.after(x), there)


def masked_mean(x: Tensor, there: Tensor) -> Tensor:
    """The mean over what is there: (n, L, width), (n, L) -> (n, width); 0 of an empty text."""
    count = there.sum(1, keepdim=True).clamp_min(1)
    return (x * there[..., None]).sum(1) / count


def build_ngrams(how: Mapping[str, Any], columns: int, out: int) -> nn.Module:
    """{"kind": "ngrams", "width", "longest", "buckets"}."""
    return NgramEncoder(out, width=how["width"], longest=how["longest"], buckets=how["buckets"])


def build_transformer(how: Mapping[str, Any], columns: int, out: int) -> nn.Module:
    """{"kind": "text_transformer", "size", "width", "layers"}."""
    return TransformerEncoder(out, size=how["size"], length=columns, width=how["width"], layers=how["layers"])
