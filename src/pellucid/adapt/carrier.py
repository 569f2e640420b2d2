"""What every low-rank delta carries: its parameters by name, the base that they fit, and its place on a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.adapt.attachment import Attachment, merge
from pellucid.adapt.low_rank import Factors
from pellucid.adapt.targets import Layer, resolve
from pellucid.core.errors import DeltaError
from pellucid.nn.delta import Delta

Make = Callable[[str, Layer], dict[str, Tensor]]  # initial tensors of one target


class Carrier:
    """Held by a delta, which gives it `make` (initial tensors) and `factors` (the term of one target).

    `parameters` is keyed "<target>.<letter>"; a target without parameters has rank 0.
    """

    def __init__(self, delta: Delta, make: Make, factors: Callable[[str], Factors | None]) -> None:
        self.delta, self.make, self.factors = delta, make, factors
        self.parameters: dict[str, nn.Parameter] = {}
        self.targets: tuple[str, ...] = ()
        self.base_sha: str | None = None
        self.total = 0  # how many parameters the base has
        self.attachment: Attachment | None = None

    def get(self, target: str, letter: str) -> nn.Parameter | None:
        return self.parameters.get(join(target, letter))

    def attach(self, network: nn.Module) -> None:
        if self.attachment is not None:
            raise DeltaError(
                f"this {self.delta.kind} delta is attached already.",
                where="attach(...)",
                mend="detach it first, or make a second delta",
            )
        layers = resolve(network, self.delta.config.targets)
        attachment = Attachment(self.delta, network, layers, self.factors, self.base_sha)
        if self.base_sha is None:
            self.base_sha, self.targets = attachment.sha, tuple(layers)
            self.total = sum(parameter.numel() for parameter in network.parameters())
            for name, layer in layers.items():
                for letter, tensor in self.make(name, layer).items():
                    like = tensor.to(device=layer.weight.device, dtype=layer.weight.dtype)
                    self.parameters[join(name, letter)] = nn.Parameter(like)
        for name, layer in layers.items():
            for key in self.keys(name):
                self.parameters[key].data = self.parameters[key].data.to(layer.weight.device)
        self.attachment = attachment

    def keys(self, target: str) -> list[str]:
        return [key for key in self.parameters if key.rpartition(".")[0] == target]

    def detach(self) -> None:
        if self.attachment is not None:
            self.attachment.remove()
            self.attachment = None

    def merged(self, network: nn.Module) -> nn.Module:
        if self.attachment is None:
            self.attach(network)
            try:
                return merge(network)
            finally:
                self.detach()
        if self.attachment.network is not network:
            raise DeltaError(
                f"this {self.delta.kind} delta is attached to another network.",
                where="merged(network)",
                mend="give the network that it is attached to, or detach it first",
            )
        return merge(network)

    def get_state(self) -> dict[str, Any]:
        return {
            "kind": self.delta.kind,
            "config": jsonable(self.delta.config),
            "base_sha": self.base_sha,
            "targets": list(self.targets),
            "total": self.total,
            "parameters": {key: p.detach().clone() for key, p in self.parameters.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Parameters of the same names and shapes are overwritten in place: an optimiser may hold them."""
        mine = {"kind": self.delta.kind, "config": jsonable(self.delta.config), "base_sha": self.base_sha}
        if self.base_sha is None:
            mine["base_sha"] = state["base_sha"]
        unlike = [name for name, value in mine.items() if state[name] != value]
        if unlike:
            raise DeltaError(
                f"the state is of another delta: {', '.join(f'{n}={state[n]!r} (here {mine[n]!r})' for n in unlike)}.",
                where=f"{self.delta.kind} set_state(...)",
                mend="make the delta with the configuration and the base that it was saved with",
            )
        saved: dict[str, Tensor] = state["parameters"]
        self.base_sha, self.targets, self.total = state["base_sha"], tuple(state["targets"]), state["total"]
        same = {k: tuple(p.shape) for k, p in self.parameters.items()} == {k: tuple(t.shape) for k, t in saved.items()}
        if not same:
            self.parameters = {key: nn.Parameter(tensor.detach().clone()) for key, tensor in saved.items()}
            return
        with torch.no_grad():
            for key, tensor in saved.items():
                self.parameters[key].copy_(tensor)

    def manifest(self, budget: int, letter: str) -> dict[str, Any]:
        """Args: budget: rank sum that is never exceeded; letter: of the tensor whose first axis is the rank."""
        if self.base_sha is None:
            raise DeltaError(
                f"this {self.delta.kind} delta has met no base yet.",
                where="manifest()",
                mend="attach it to a network first",
            )
        ranks = {t: 0 if (p := self.get(t, letter)) is None else len(p) for t in self.targets}
        return {
            "kind": self.delta.kind,
            "config": jsonable(self.delta.config),
            "targets": list(self.targets),
            "ranks": ranks,
            "budget": budget,
            "base_sha": self.base_sha,
            "count": self.count(),
            "total": self.total,
        }

    def count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters.values())


def join(target: str, letter: str) -> str:
    return f"{target}.{letter}"


def jsonable(config: Any) -> dict[str, Any]:
    """A configuration as JSON gives it back: tuples as lists."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
