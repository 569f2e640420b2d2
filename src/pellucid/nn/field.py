"""FieldEncoder: a linear map of one field's block, the plainest of the encoders (see `nn.encoders`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FieldEncoder(nn.Module):
    """A linear map of one block, behind a running normaliser when the environment's units are unknown.

    The normaliser is a buffer: saved with the program, frozen under a delta and while explaining.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, width: int, out: int, *, normalise: bool) -> None:
        super().__init__()
        self.project = nn.Linear(width, out, bias=False)
        self.normalise = normalise
        if normalise:
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("var", torch.ones(width))
            self.register_buffer("count", torch.zeros(()))

    def forward(self, block: Tensor) -> Tensor:
        out: Tensor = self.project(self.normalised(block))
        return out

    def features(self, block: Tensor) -> Tensor:
        """What the linear map sees."""
        return self.normalised(block)

    def normalised(self, block: Tensor) -> Tensor:
        """The block behind the normaliser."""
        if not self.normalise:
            return block
        return ((block - self.mean) * torch.rsqrt(self.var + 1e-8)).clamp(-10.0, 10.0)

    @torch.no_grad()
    def observe(self, block: Tensor) -> None:
        """Merge a batch into the running mean and variance (Chan et al. 1979)."""
        n = float(len(block))
        if not self.normalise or n == 0:
            return
        total = self.count + n
        delta = block.mean(0) - self.mean
        spread = self.var * self.count + block.var(0, unbiased=False) * n + delta.square() * self.count * n / total
        self.mean += delta * n / total
        self.var.copy_(spread / total)
        self.count.fill_(total)
