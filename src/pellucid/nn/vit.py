"""ViT: a small transformer over patches (Dosovitskiy et al. 2021); their mean is the answer (Beyer et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pellucid.core.random import derive
from pellucid.nn.attention import Layer, begin_layers

PER_SIDE = 8  # patches along the shorter side, about, when nobody says how large they are
LEAST_PATCH = 2


def patch_side(shape: Sequence[int]) -> int:
    """Pixels of a patch's side."""
    return max(LEAST_PATCH, round(min(shape[:2]) / PER_SIDE))


class ViT(nn.Module):
    """Patches as tokens, each with its learned place; layers of attention; the mean over the tokens.

    Args:
        shape: (height, width, channels); sides that are no multiple of the patch are filled up at right and below.
        width: of a token, a multiple of `heads`.
        depth: layers.
        patch: side of a patch in pixels; 0 for an eighth of the shorter side.
    """

    def __init__(
        self, shape: Sequence[int], *, width: int = 64, depth: int = 4, heads: int = 4, patch: int = 0
    ) -> None:
        super().__init__()
        self.patch = patch or patch_side(shape)
        self.margin = (-shape[1] % self.patch, -shape[0] % self.patch)  # right, below
        places = -(-shape[0] // self.patch) * -(-shape[1] // self.patch)
        self.embed = nn.Conv2d(shape[2], width, self.patch, self.patch)
        self.place = nn.Parameter(torch.zeros(places, width))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.found = width

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, channels, height, width) -> (n, found)."""
        whole = pad(pixels, (0, self.margin[0], 0, self.margin[1])) if any(self.margin) else pixels
        tokens = self.embed(whole).flatten(2).transpose(1, 2) + self.place
        out: Tensor = self.norm(self.layers(tokens)).mean(1)
        return out

    @torch.no_grad()
    def begin(self, seed: int) -> None:
        """Normal weights; places as large as the patches' own numbers, so that both are seen from the start."""
        generator = torch.Generator().manual_seed(derive(seed, "vit"))
        inputs = self.embed.weight[0].numel()
        nn.init.normal_(self.embed.weight, std=inputs**-0.5, generator=generator)
        assert self.embed.bias is not None
        self.embed.bias.zero_()
        nn.init.normal_(self.place, std=0.5, generator=generator)
        begin_layers(self.layers, len(self.layers), generator)
