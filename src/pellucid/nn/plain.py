"""The fast path of plain networks: the same numbers as autograd, by hand, on numpy.

For small networks most of the time goes into the bookkeeping of autograd and of many small tensor calls, and numpy's
tanh and narrow matrix products are several times faster on a CPU than torch's. `plain_view` gives a view of a network
for one task that runs forward and backward with one matrix product per layer, or None when the network is not plain:
a delta is attached, a parameter is frozen or shared, it lies on another device. Whoever reads a learner need not know.

Tested equal to autograd to 1e-6 (`tests/nn/test_plain.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pellucid.nn.blocks import SideBySide
from pellucid.nn.network import FieldEncoder, Network, safe

Array = npt.NDArray[np.float32]


class PlainView:
    """Forward and backward of one task of a network whose parameters it shares memory with.

    Args:
        network: plain in the sense of `plain_view`.
        task: one of its tasks.
        weights: read these instead of the network's own, by parameter name (a target network).
    """

    def __init__(self, network: Network, task: str, weights: Mapping[str, Tensor] | None = None) -> None:
        named = {id(p): weights[name] for name, p in network.named_parameters() if weights and name in weights}

        def array(parameter: Tensor) -> Array:
            found: Array = named.get(id(parameter), parameter).detach().numpy()
            return found

        self.network, self.task = network, task
        self.fields = network.inputs[task]
        self._encoders: list[FieldEncoder] = [_encoder(network, field) for field in self.fields]
        self._first = [array(e.project.weight) for e in self._encoders]
        self._normalises = any(e.normalise for e in self._encoders)
        self._bias = array(network.bias)
        layers = [m for m in network.trunk if isinstance(m, nn.Linear)]
        self._layers = [(array(m.weight), array(m.bias)) for m in layers]
        self._relu = isinstance(network.trunk[0], nn.ReLU)
        found = network.heads[safe(task)]
        assert isinstance(found, nn.ModuleDict)
        heads = {name: h for name, h in found.items() if isinstance(h, nn.Linear)}
        self._heads = {name: (array(h.weight), array(h.bias)) for name, h in heads.items()}
        parameters: list[Any] = [e.project.weight for e in self._encoders] + [network.bias]
        for module in (*layers, *heads.values()):
            parameters += [module.weight, module.bias]
        self.parameters: list[nn.Parameter] = parameters
        self._inputs: Array = np.empty((0, 0), dtype=np.float32)
        self._active: list[Array] = []

    def forward(self, blocks: Mapping[str, Any]) -> dict[str, Array]:
        """Raw outputs of every head, each (n, k); what `backward` needs is kept."""
        x = self.joined(blocks)
        h = x @ np.concatenate(self._first, axis=1).T
        h += self._bias
        self._inputs, self._active = x, [self._activate(h)]
        for weight, bias in self._layers:
            h = self._active[-1] @ weight.T
            h += bias
            self._active.append(self._activate(h))
        top = self._active[-1]
        return {name: top @ weight.T + bias for name, (weight, bias) in self._heads.items()}

    def backward(self, gradients: Mapping[str, Array]) -> list[Array]:
        """Gradients of all `parameters`, in their order, from those of the heads' outputs (n, k)."""
        top = self._active[-1]
        heads: list[Array] = []
        down: Any = 0.0
        for name, (weight, _) in self._heads.items():
            g = gradients[name]
            heads += [g.T @ top, g.sum(0)]
            down = down + times(g, weight)
        layers: list[Array] = []
        for i in range(len(self._layers) - 1, -1, -1):
            down = self._through(down, self._active[i + 1])
            layers = [down.T @ self._active[i], down.sum(0), *layers]
            down = down @ self._layers[i][0]
        down = self._through(down, self._active[0])
        first = down.T @ self._inputs
        encoders, start = [], 0
        for weight in self._first:
            encoders.append(np.ascontiguousarray(first[:, start : start + weight.shape[1]]))
            start += weight.shape[1]
        return [*encoders, down.sum(0), *layers, *heads]

    def __call__(self, blocks: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
        """As the network itself, without gradients."""
        return {name: torch.from_numpy(value) for name, value in self.forward(blocks).items()}

    def joined(self, blocks: Mapping[str, Any]) -> Array:
        """What the task reads, normalised and side by side: `Network.state`."""
        if isinstance(blocks, SideBySide) and not self._normalises and tuple(blocks) == self.fields:
            return blocks.array
        parts = []
        for field, encoder in zip(self.fields, self._encoders, strict=True):
            block = blocks[field]
            x = block.numpy() if isinstance(block, Tensor) else block
            if encoder.normalise:
                spread = torch.rsqrt(encoder.var + 1e-8).numpy()
                x = np.clip((x - encoder.mean.numpy()) * spread, -10.0, 10.0)
            parts.append(x)
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def _activate(self, h: Array) -> Array:
        return np.maximum(h, 0.0, out=h) if self._relu else np.tanh(h, out=h)

    def _through(self, down: Array, active: Array) -> Array:
        """The gradient before an activation, from that behind it and the activation's value."""
        return np.multiply(down, active > 0.0 if self._relu else 1.0 - active * active, out=down)


def times(g: Array, weight: Array) -> Array:
    """g @ weight; numpy's product of a column and a row is some fifteen times slower than multiplying them."""
    return g * weight if g.shape[1] == 1 else g @ weight


def _encoder(network: Network, field: str) -> FieldEncoder:
    encoder = network.encoders[safe(field)]
    assert isinstance(encoder, FieldEncoder)
    return encoder


def plain_view(network: nn.Module, task: str) -> PlainView | None:
    """A view of a plain network, or None when only autograd will do."""
    if type(network) is not Network or not isinstance(network.trunk[0], (nn.ReLU, nn.Tanh)):
        return None
    for module in network.modules():
        if module._forward_hooks or module._forward_pre_hooks:
            return None
    for parameter in network.parameters():
        if parameter.device.type != "cpu" or parameter.dtype != torch.float32 or not parameter.requires_grad:
            return None
    return PlainView(network, task)
