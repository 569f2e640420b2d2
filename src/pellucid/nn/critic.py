"""Twin state-action values and the temperature of a soft policy: the parts of SAC beside its actor.

The two critics are one batch of matrices, so that each layer is one call. They live in the network like everything
else that is trained: one optimiser, one checkpoint, and the finished program can say what it thinks a state is worth.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pellucid.core.random import derive

TWINS = 2


class SoftCritic(nn.Module):
    """Q_1(s, a) and Q_2(s, a) (Fujimoto et al. 2018), and the log temperature of SAC.

    Args:
        state, actions: columns of the joined observation and of the action, which lies in [-1, 1].
        width, depth: as of the trunk.
        activation: a new module of it.
        seed: of the initial weights, uniform in ±1/sqrt(fan-in).
    """

    def __init__(self, state: int, actions: int, width: int, depth: int, activation: nn.Module, seed: int) -> None:
        super().__init__()
        self.activation = activation
        self.sizes = [state + actions, *[width] * depth, 1]
        for i, (fan_in, fan_out) in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            bound = 1.0 / math.sqrt(fan_in)
            generator = torch.Generator().manual_seed(derive(seed, "critic", i))
            drawn = torch.rand(TWINS, fan_out, fan_in + 1, generator=generator) * 2.0 * bound - bound
            self.register_parameter(f"weight{i}", nn.Parameter(drawn[:, :, 1:].contiguous()))
            # one dimension, like every bias: weight decay and Muon tell matrices by their dimensions
            self.register_parameter(f"bias{i}", nn.Parameter(drawn[:, :, 0].flatten().contiguous()))
        self.log_temperature = nn.Parameter(torch.zeros(1))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Both values, shape (2, n), of states (n, w) and actions (n, k) in [-1, 1]."""
        h = torch.cat([state, action], dim=1).expand(TWINS, -1, -1)
        last = len(self.sizes) - 2
        for i in range(last + 1):
            weight, bias = getattr(self, f"weight{i}"), getattr(self, f"bias{i}")
            h = torch.baddbmm(bias.view(TWINS, 1, -1), h, weight.mT)
            if i < last:
                h = self.activation(h)
        return h[:, :, 0]

    def values(self) -> dict[str, nn.Parameter]:
        """The parameters of the critics, without the temperature."""
        return {name: p for name, p in self.named_parameters() if name != "log_temperature"}
