"""One network with many sets of weights, all answered in one forward pass.

Row r of a batch belongs to member r // (rows / members). A plain network (see `nn.plain`) is computed on numpy, one
batched matrix product per layer; any other through `torch.func`. Neither keeps what a backward pass would need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from pellucid.nn.field import FieldEncoder
from pellucid.nn.network import Network, safe
from pellucid.nn.plain import plain_view

Array = npt.NDArray[np.float32]


class Stacked:
    """Members of a network for one head of one task.

    Args:
        network: gives the architecture, the buffers, and the weights that are not stacked.
        task, head: what is answered.
    """

    def __init__(self, network: Network, task: str, head: str) -> None:
        self.network, self.task, self.head = network, task, head
        self.plain = plain_view(network, task) is not None
        wanted = f"heads.{safe(task)}.{head}."
        read = tuple(f"encoders.{safe(field)}." for field in network.inputs[task])
        self.parameters: dict[str, nn.Parameter] = {  # those that the head depends on and that are trained
            name: p
            for name, p in network.named_parameters()
            if p.requires_grad
            and (not name.startswith(("heads.", "encoders.", "critics.")) or name.startswith((wanted, *read)))
        }
        self.sizes = [p.numel() for p in self.parameters.values()]

    def centre(self) -> Array:
        """The network's own weights as one vector (D,)."""
        return np.concatenate([p.detach().cpu().numpy().reshape(-1) for p in self.parameters.values()])

    def split(self, vector: Array) -> dict[str, Array]:
        """Vectors (..., D) as named weights, each (..., *shape)."""
        parts = np.split(vector, np.cumsum(self.sizes)[:-1], axis=-1)
        named = zip(self.parameters.items(), parts, strict=True)
        return {name: part.reshape(*vector.shape[:-1], *p.shape) for (name, p), part in named}

    def forward(self, members: Mapping[str, Array], blocks: Mapping[str, Tensor]) -> Array:
        """The head's outputs.

        Args:
            members: from `split`, each (P, *shape).
            blocks: of P * k rows, the rows of a member side by side.
        Returns:
            Shape (P * k, outputs).
        """
        P = len(next(iter(members.values())))
        out = self._plain(members, blocks, P) if self.plain else self._general(members, blocks, P)
        return out.reshape(-1, out.shape[-1])

    def _plain(self, members: Mapping[str, Array], blocks: Mapping[str, Tensor], P: int) -> Array:
        fields = self.network.inputs[self.task]
        inputs = []
        for field in fields:
            encoder: Any = self.network.encoders[safe(field)]
            assert isinstance(encoder, FieldEncoder)
            block = blocks[field].numpy()
            if encoder.normalise:
                spread = torch.rsqrt(encoder.var + 1e-8).numpy()
                block = np.clip((block - encoder.mean.numpy()) * spread, -10.0, 10.0)
            inputs.append(block)
        x = np.concatenate(inputs, axis=1, dtype=np.float32)
        first = np.concatenate([members[f"encoders.{safe(field)}.project.weight"] for field in fields], axis=2)
        h = _linear(x.reshape(P, -1, x.shape[1]), first, members["bias"])
        for i, module in enumerate(self.network.trunk):
            if isinstance(module, nn.Linear):
                h = _linear(h, members[f"trunk.{i}.weight"], members[f"trunk.{i}.bias"])
            else:
                h = np.maximum(h, 0.0, out=h) if isinstance(module, nn.ReLU) else np.tanh(h, out=h)
        top = f"heads.{safe(self.task)}.{self.head}"
        return _linear(h, members[f"{top}.weight"], members[f"{top}.bias"])

    @torch.no_grad()
    def _general(self, members: Mapping[str, Array], blocks: Mapping[str, Tensor], P: int) -> Array:
        device = self.network.bias.device
        fixed = {
            name: tensor
            for name, tensor in (*self.network.named_parameters(), *self.network.named_buffers())
            if name not in members
        }

        def one(weights: dict[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
            raw: dict[str, Tensor] = functional_call(self.network, {**fixed, **weights}, (rows, self.task))
            return raw[self.head]

        stacked = {name: torch.from_numpy(weight).to(device) for name, weight in members.items()}
        rows = {name: block.to(device).reshape(P, -1, block.shape[1]) for name, block in blocks.items()}
        found: Array = vmap(one)(stacked, rows).cpu().numpy()
        return found


def _linear(x: Array, weight: Array, bias: Array) -> Array:
    """x (P, k, i), weight (P, o, i), bias (P, o) -> (P, k, o)."""
    out: Array = x @ weight.transpose(0, 2, 1)
    out += bias[:, None, :]
    return out
