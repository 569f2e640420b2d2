"""LoRA: a frozen weight plus a low-rank product, W + (alpha / rank) B A (Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.adapt.carrier import Carrier
from pellucid.adapt.low_rank import Factors, fan
from pellucid.adapt.targets import Layer
from pellucid.core.errors import DeltaError
from pellucid.core.random import stream


@dataclass(frozen=True)
class LoRAConfig:
    """rank: of every target, at most what its weight can have; alpha: the term is scaled by alpha / rank;
    targets: names, containers or globs, empty for every Linear outside the heads; seed: of A."""

    rank: int = 4
    alpha: float = 8.0
    targets: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if self.rank < 1 or self.alpha <= 0:
            raise DeltaError(
                f"rank={self.rank} and alpha={self.alpha} must be at least 1 and above 0.",
                where="LoRAConfig(...)",
                mend="try rank=4, alpha=8",
            )


class LoRA:
    """A (rank, fan_in) starts uniform, B (out, rank) starts at zero, so the delta starts as the identity."""

    kind = "lora"

    def __init__(self, config: LoRAConfig) -> None:
        self.config = config
        self._carrier = Carrier(self, self._make, self._factors)

    def _make(self, name: str, layer: Layer) -> dict[str, Tensor]:
        out, fan_in = fan(layer)
        rank = min(self.config.rank, out, fan_in)
        a = stream(self.config.seed, f"lora/{name}/A").uniform(-1.0, 1.0, (rank, fan_in)) / fan_in**0.5
        return {"A": torch.from_numpy(a), "B": torch.zeros(out, rank)}

    def _factors(self, name: str) -> Factors | None:
        a, b = self._carrier.get(name, "A"), self._carrier.get(name, "B")
        if a is None or b is None:
            return None
        return Factors(a, b, self.config.alpha / self.config.rank)

    def attach(self, network: nn.Module) -> None:
        self._carrier.attach(network)

    def detach(self) -> None:
        self._carrier.detach()

    def parameters(self) -> dict[str, nn.Parameter]:
        return dict(self._carrier.parameters)

    def get_state(self) -> dict[str, Any]:
        return self._carrier.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        self._carrier.set_state(state)

    def manifest(self) -> dict[str, Any]:
        return self._carrier.manifest(self.config.rank * len(self._carrier.targets), "A")

    def penalty(self) -> Tensor | None:
        return None

    def after_step(self, update: int) -> None:
        pass

    def finish(self) -> None:
        pass

    def count(self) -> int:
        return self._carrier.count()

    def merged(self, network: nn.Module) -> nn.Module:
        return self._carrier.merged(network)
