"""Parameters side by side in one vector: one call of a fused kernel instead of one per tensor.

A small network has a dozen tensors, and the bookkeeping per tensor costs more than the arithmetic. `Flat` gives every
parameter a place in one vector (its `.data` becomes a view), first the matrices, then the rest, and offers the two
halves as the parameters of an optimiser. Element-wise optimisers give the same numbers as on the single tensors.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

ELEMENTWISE = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion", "schedule_free", "sam")


class Flat:
    """A vector that holds all given parameters.

    Args:
        parameters: name -> parameter, all of one dtype and device. Their memory moves into the vector.
        decay: False: the optimiser treats matrices and the rest alike, so the vector stays whole.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, decay: bool = True) -> None:
        matrices = {n: p for n, p in parameters.items() if p.ndim >= 2}
        vectors = {n: p for n, p in parameters.items() if p.ndim < 2}
        self.parameters: dict[str, nn.Parameter] = {**matrices, **vectors}
        self.split = sum(p.numel() for p in matrices.values())
        with torch.no_grad():
            self.vector = torch.cat([p.detach().reshape(-1) for p in self.parameters.values()])
            start = 0
            for parameter in self.parameters.values():
                parameter.data = self.vector[start : start + parameter.numel()].view_as(parameter)
                start += parameter.numel()
        self._gradient = torch.zeros_like(self.vector)
        # Two dimensions, because weight decay acts on parameters of two or more only.
        spans = (
            {"matrices": slice(0, self.split), "vectors": slice(self.split, None)} if decay else {"all": slice(None)}
        )
        self._halves = {}
        self._gradients = {}
        for name, span in spans.items():
            shape = (1, -1) if name == "matrices" else (-1,)
            self._halves[name] = nn.Parameter(self.vector[span].view(shape))
            self._gradients[name] = self._gradient[span].view(shape)

    @property
    def halves(self) -> dict[str, nn.Parameter]:
        """What the optimiser is built over: the matrices as (1, n), the rest as (m,), or all; empty ones left out."""
        return {name: half for name, half in self._halves.items() if half.numel()}

    def assign(self, gradient: Tensor | None) -> None:
        """Give the optimiser a gradient, shape (n + m,), in the order of `parameters`; None: nothing to do."""
        if gradient is not None:
            self._gradient.copy_(gradient)
        for name, half in self._halves.items():
            half.grad = None if gradient is None else self._gradients[name]
