"""The fast path of plain networks: the same numbers as autograd, by hand, on numpy and oneDNN (see `nn.products`).

For small networks most of the time goes into the bookkeeping of autograd and of many small tensor calls, and numpy's
tanh and narrow matrix products are several times faster on a CPU than torch's. `plain_view` gives a view of a network
for one task that runs forward and backward with one matrix product per layer, or None when the network is not plain:
it reads an image, a delta is attached, a parameter is frozen or shared, it lies on another device. Whoever reads a
learner need not know.

Tested equal to autograd to 1e-6 (`tests/nn/test_plain.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pellucid.data.blocks import SideBySide
from pellucid.nn.field import FieldEncoder
from pellucid.nn.network import Network, safe
from pellucid.nn.products import layer, narrow, product

Array = npt.NDArray[np.float32]


class Layout(NamedTuple):
    """Gradients in one vector, matrices first: the order in which `optim.Flat` keeps the parameters.

    Args:
        parameters: in that order.
        gradients: of each, views of `vector`.
        vector: all of them.
        place: the same views as arrays, by the parameters' `id`.
    """

    parameters: list[nn.Parameter]
    gradients: list[Tensor]
    vector: Tensor
    place: dict[int, Array]


def lay_out(network: nn.Module, owned: Sequence[Tensor]) -> Layout:
    """Room for the gradients of some of a network's parameters."""
    ids = {id(p) for p in owned}
    mine = [p for p in network.parameters() if id(p) in ids]
    parameters = [p for p in mine if p.ndim >= 2] + [p for p in mine if p.ndim < 2]
    vector: Array = np.zeros(sum(p.numel() for p in mine), dtype=np.float32)
    spans = _spans([p.numel() for p in parameters])
    arrays = [vector[span].reshape(p.shape) for span, p in zip(spans, parameters, strict=True)]
    place = {id(p): array for p, array in zip(parameters, arrays, strict=True)}
    return Layout(parameters, [torch.from_numpy(array) for array in arrays], torch.from_numpy(vector), place)


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
        self._normalises = any(e.normalise for e in self._encoders)
        layers = [m for m in network.trunk if isinstance(m, nn.Linear)]
        self._activation = "relu" if isinstance(network.trunk[0], nn.ReLU) else "tanh"
        found = network.heads[safe(task)]
        assert isinstance(found, nn.ModuleDict)
        heads = {name: h for name, h in found.items() if isinstance(h, nn.Linear)}
        self._first = [array(e.project.weight) for e in self._encoders]
        self._bias = array(network.bias)
        self._layers = [(array(m.weight), array(m.bias)) for m in layers]
        self._heads = [(array(h.weight), array(h.bias)) for h in heads.values()]
        self._columns = _spans([w.shape[1] for w in self._first])
        self._rows = dict(zip(heads, _spans([len(b) for _, b in self._heads]), strict=True))
        owned: list[Any] = [e.project.weight for e in self._encoders] + [network.bias]
        owned += [p for m in (*layers, *heads.values()) for p in (m.weight, m.bias)]
        self._owned, laid = owned, lay_out(network, owned)
        self.parameters, self.gradients, self.vector = laid.parameters, laid.gradients, laid.vector
        self.write_to(laid.place)
        self._ones: Array = np.ones(0, dtype=np.float32)
        self._inputs: Array = np.empty((0, 0), dtype=np.float32)
        self._active: list[Array] = []
        self._gather()

    def write_to(self, place: Mapping[int, Array]) -> None:
        """Have `backward` write gradients there: arrays by the parameters' `id`."""
        self._into = [place[id(p)] for p in self._owned]
        self._gradients = [place[id(p)] for p in self.parameters]

    def _gather(self) -> None:
        """Weights that one matrix product takes together: of all fields, and of all heads."""
        self._fields_in: Array = np.concatenate(self._first, axis=1)
        self._heads_out: Array = np.concatenate([weight for weight, _ in self._heads])
        self._heads_bias: Array = np.concatenate([bias for _, bias in self._heads])[:, None]

    def forward(self, blocks: Mapping[str, Any], *, changed: bool = True) -> dict[str, Array]:
        """Raw outputs of every head, each (n, k); what `backward` needs is kept.

        Args:
            changed: False promises that the weights are still those of the last call.
        """
        if changed:
            self._gather()
        x = self.joined(blocks)
        self._inputs, self._active = x, [layer(x, self._fields_in, self._bias, self._activation)]
        for weight, bias in self._layers:
            self._active.append(layer(self._active[-1], weight, bias, self._activation))
        # Transposed, outputs of a narrow head lie side by side: numpy's sums and products over rows are fast there.
        out = self._heads_out @ self._active[-1].T
        out += self._heads_bias
        return {name: out[rows].T for name, rows in self._rows.items()}

    def answers(self, blocks: Mapping[str, Any]) -> dict[str, Array]:
        """As `forward`, of weights that have not changed since the view was made; nothing is kept, so layers share
        memory that is still in the cache.
        """
        x = layer(self.joined(blocks), self._fields_in, self._bias, self._activation)
        for weight, bias in self._layers:
            x = layer(x, weight, bias, self._activation)
        out = narrow(x, self._heads_out, self._heads_bias[:, 0])
        return {name: out[:, rows] for name, rows in self._rows.items()}

    def backward(self, gradients: Mapping[str, Array]) -> list[Array]:
        """Gradients of all `parameters`, in their order, from those of the heads' outputs (n, k).

        They lie side by side in `vector` (as tensors: `gradients`), and hold until the next call.
        """
        into, n = self._into, len(self._inputs)
        if len(self._ones) != n:
            self._ones = np.ones(n, dtype=np.float32)
        g = np.concatenate([gradients[name].T for name in self._rows])
        weights, biases = g @ self._active[-1], g.sum(1)
        behind = len(self._first) + 1 + 2 * len(self._layers)
        for i, rows in enumerate(self._rows.values()):
            into[behind + 2 * i][...] = weights[rows]
            into[behind + 2 * i + 1][...] = biases[rows]
        down = self._through(product(g.T, self._heads_out), self._active[-1])
        for i in range(len(self._layers) - 1, -1, -1):
            place = len(self._first) + 1 + 2 * i
            product(down.T, self._active[i], out=into[place])
            np.matmul(self._ones, down, out=into[place + 1])
            down = self._through(product(down, self._layers[i][0]), self._active[i])
        first = down.T @ self._inputs
        for i, columns in enumerate(self._columns):
            into[i][...] = first[:, columns]
        np.matmul(self._ones, down, out=into[len(self._first)])
        return self._gradients

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

    def _through(self, down: Array, active: Array) -> Array:
        """The gradient before an activation, from that behind it and the activation's value."""
        return np.multiply(down, active > 0.0 if self._activation == "relu" else 1.0 - active * active, out=down)


def _spans(widths: list[int]) -> list[slice]:
    """Where parts of these widths lie side by side."""
    ends = np.cumsum([0, *widths]).tolist()
    return [slice(start, end) for start, end in itertools.pairwise(ends)]


def _encoder(network: Network, field: str) -> FieldEncoder:
    encoder = network.encoders[safe(field)]
    assert isinstance(encoder, FieldEncoder)
    return encoder


def is_plain(network: nn.Module, task: str) -> bool:
    """Forward and backward can be computed by hand: nothing is attached, frozen, shared or elsewhere."""
    if type(network) is not Network or not isinstance(network.trunk[0], (nn.ReLU, nn.Tanh)):
        return False
    if not all(isinstance(network.encoders[safe(field)], FieldEncoder) for field in network.inputs[task]):
        return False  # an image
    if any(module._forward_hooks or module._forward_pre_hooks for module in network.modules()):
        return False
    return all(p.device.type == "cpu" and p.dtype == torch.float32 and p.requires_grad for p in network.parameters())


def plain_view(network: nn.Module, task: str) -> PlainView | None:
    """A view of a plain network, or None when only autograd will do."""
    if not is_plain(network, task):
        return None
    assert isinstance(network, Network)
    return PlainView(network, task)
