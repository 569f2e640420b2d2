"""Delta: a small change of a network's parameters, kept outside the frozen base.

A delta names the SHA-256 of the base that it fits. It is rolled back by dropping it, never by subtracting it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Delta(Protocol):
    """A change that is attached to a frozen network, trained there, and dropped exactly. It is a training `Part`."""

    @property
    def kind(self) -> str: ...

    @property
    def config(self) -> Any:
        """A frozen dataclass of JSON values."""
        ...

    def attach(self, network: nn.Module) -> None:
        """Freeze the network and let this delta act on it. Raises DeltaError on a base that it does not fit."""
        ...

    def detach(self) -> None:
        """Leave the network as it was, bit by bit. Deltas come off in reverse order."""
        ...

    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained and saved."""
        ...

    def get_state(self) -> dict[str, Any]:
        """All that resuming needs to be bit-identical: tensors and JSON values."""
        ...

    def set_state(self, state: dict[str, Any]) -> None: ...

    def manifest(self) -> dict[str, Any]:
        """JSON saved beside the parameters: kind, config, targets, ranks, budget, base_sha, count, total."""
        ...

    def penalty(self) -> Tensor | None:
        """Added to the loss after the tasks' gradients are combined."""
        ...

    def after_step(self, update: int) -> None:
        """Called after the optimiser's step; this update's gradients are still there."""
        ...

    def finish(self) -> None:
        """Called once when training ends, however early; the delta is then ready to be saved."""
        ...

    def count(self) -> int:
        """How many numbers are saved."""
        ...

    def merged(self, network: nn.Module) -> nn.Module:
        """A copy of the network with every attached delta and this one folded into its weights."""
        ...


def tensors_sha(named: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(named, key=lambda pair: pair[0]):
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def parameters_sha(network: nn.Module) -> str:
    """SHA-256 over all parameters and buffers of a network; attached deltas do not enter."""
    named: list[tuple[str, Tensor]] = list(network.named_parameters(remove_duplicate=False))
    return tensors_sha(named + list(network.named_buffers(remove_duplicate=False)))
