"""Numbers cut into pieces at the quantiles of the training part (Gorishniy et al. 2022), beside themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.nn.field import FieldEncoder

NEVER = 1e9  # where a piece begins that no value reaches


class PieceEncoder(FieldEncoder):
    """A linear map of a number's pieces: how far the number reaches through each of some intervals, and itself.

    Args:
        width: columns of the block; each is cut by itself.
        pieces: intervals between quantiles of the training part; empty ones never matter.
    """

    low: Tensor
    size: Tensor

    def __init__(self, width: int, out: int, *, pieces: int) -> None:
        super().__init__(width * (pieces + 1), out, normalise=False)
        self.register_buffer("low", torch.full((width, pieces), NEVER))
        self.register_buffer("size", torch.ones(width, pieces))

    @torch.no_grad()
    def cut(self, block: Tensor) -> None:
        """Set the intervals by the quantiles of a block (n, width)."""
        for j, column in enumerate(block.T):
            edges = torch.quantile(column.double(), torch.linspace(0, 1, self.low.shape[1] + 1).double()).float()
            edges = torch.unique(edges)
            found = len(edges) - 1
            if found > 0:
                self.low[j, :found], self.size[j, :found] = edges[:-1], edges[1:] - edges[:-1]

    def normalised(self, block: Tensor) -> Tensor:
        """Pieces in [0, 1] and the block itself, shape (n, width * (pieces + 1))."""
        pieces = ((block[:, :, None] - self.low) / self.size).clamp(0.0, 1.0)
        return torch.cat([pieces.flatten(1), block], dim=1)
