"""Encoders of series: causal convolutions and causal attention over the steps, read at the present.

A block holds values newest first, (n, L). What either says at a step depends on that step and earlier ones only, so a
longer past never changes what was said before, and one network serves any window up to the one it was built for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

KERNEL = 3
HEADS = 4
MOST = 64  # channels: more do not help series of some hundred steps


def dilations(length: int) -> list[int]:
    """1, 2, 4, ... until two convolutions of each see the whole window."""
    found: list[int] = []
    reach = 1
    while reach < length:
        found.append(2 ** len(found))
        reach += 2 * (KERNEL - 1) * found[-1]
    return found or [1]


class Causal(nn.Conv1d):
    """A convolution that sees this step and earlier ones: padded on the left alone."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = super().forward(nn.functional.pad(x, ((KERNEL - 1) * self.dilation[0], 0)))
        return found


class Residual(nn.Module):
    """Two causal convolutions around which the input passes (Bai, Kolter & Koltun 2018, figure 1)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = Causal(channels, channels, KERNEL, dilation=dilation)
        self.second = Causal(channels, channels, KERNEL, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.second(torch.relu(self.first(x))))


class SeriesEncoder(nn.Module):
    """Steps in, one vector out: `project` is the part that a delta adapts.

    Args:
        length: L, steps of a block.
        out: width of the trunk.
    """

    def __init__(self, length: int, out: int) -> None:
        super().__init__()
        self.length, self.channels = length, min(MOST, max(HEADS, out - out % HEADS))
        self.enter = nn.Conv1d(1, self.channels, 1)
        self.project = nn.Linear(self.channels, out, bias=False)

    def begin(self, seed: int) -> None:
        """Torch's own first weights, of all but `project`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, module in self.named_modules():
                if name != "project" and hasattr(module, "reset_parameters"):
                    module.reset_parameters()

    def steps(self, x: Tensor) -> Tensor:
        """Oldest first: values (n, L) -> what is said at each step, (n, channels, L)."""
        raise NotImplementedError

    def features(self, block: Tensor) -> Tensor:
        """What is said at the present, shape (n, project.in_features)."""
        return self.steps(block.flip(1))[:, :, -1]

    def forward(self, block: Tensor) -> Tensor:
        """Values (n, L), newest first -> (n, out)."""
        found: Tensor = self.project(self.features(block))
        return found

    def normalised(self, block: Tensor) -> Tensor:
        """The block as the first layer sees it: scaled when it was encoded."""
        return block

    @torch.no_grad()
    def observe(self, block: Tensor) -> None:
        """Nothing: there is no running normaliser."""


class TCNEncoder(SeriesEncoder):
    """A temporal convolutional network (Bai, Kolter & Koltun 2018), dilated until it sees the whole window."""

    def __init__(self, length: int, out: int) -> None:
        super().__init__(length, out)
        self.blocks = nn.Sequential(*(Residual(self.channels, d) for d in dilations(length)))

    def steps(self, x: Tensor) -> Tensor:
        found: Tensor = self.blocks(self.enter(x[:, None, :]))
        return found


class TransformerEncoder(SeriesEncoder):
    """One causal block of attention (Vaswani et al. 2017), normalised before each part, over learned places."""

    def __init__(self, length: int, out: int) -> None:
        super().__init__(length, out)
        width = self.channels
        self.place = nn.Parameter(torch.zeros(length, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.joint = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def steps(self, x: Tensor) -> Tensor:
        h: Tensor = self.enter(x[:, None, :]).transpose(1, 2) + self.place[: x.shape[1]]
        h = h + self.mix(self._attend(self.norms[0](h)))
        h = h + self.narrow(torch.relu(self.widen(self.norms[1](h))))
        return h.transpose(1, 2)

    def _attend(self, h: Tensor) -> Tensor:
        n, length, width = h.shape
        q, k, v = self.joint(h).reshape(n, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        score = q @ k.transpose(2, 3) / math.sqrt(width // HEADS)
        ahead = torch.ones(length, length, dtype=torch.bool, device=h.device).triu(1)
        share = torch.softmax(score.masked_fill(ahead, -torch.inf), dim=-1)
        found: Tensor = (share @ v).transpose(1, 2).reshape(n, length, width)
        return found


ALL: dict[str, type[SeriesEncoder]] = {"tcn": TCNEncoder, "transformer": TransformerEncoder}
