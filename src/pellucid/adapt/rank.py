"""How large a delta may be on a given network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from pellucid.adapt.low_rank import fan
from pellucid.adapt.targets import resolve
from pellucid.core.errors import DeltaError


def fit_rank(network: nn.Module, targets: Sequence[str] = (), share: float = 0.05, kind: str = "lora") -> int:
    """The largest rank whose delta holds at most `share` of the network's parameters.

    Args:
        network: the base.
        targets: as in the delta's configuration.
        share: of the numbers in the base's parameters.
        kind: "lora": every target has this rank. "adalora": this is the budget, and the bound holds however
            the ranks are shared out (the worst case is that the largest layers get them all).
    Raises:
        DeltaError: even rank 1 is too large.
    """
    shapes = [fan(layer) for layer in resolve(network, targets).values()]
    total = sum(parameter.numel() for parameter in network.parameters())
    count = _lora_count if kind == "lora" else _adalora_worst
    best = 0
    while best < max(min(shape) for shape in shapes) and count(shapes, best + 1) <= share * total:
        best += 1
    if best == 0:
        smallest = count(shapes, 1)
        raise DeltaError(
            f"rank 1 already holds {smallest} numbers, {smallest / total:.1%} of {total}; {share:.1%} is allowed.",
            where=f"fit_rank(share={share}) on {len(shapes)} targets",
            mend="name fewer targets, widen the trunk, or allow a larger share",
        )
    return best


def _lora_count(shapes: list[tuple[int, int]], rank: int) -> int:
    return sum(min(rank, out, fan_in) * (out + fan_in) for out, fan_in in shapes)


def _adalora_worst(shapes: list[tuple[int, int]], rank: int) -> int:
    left, worst = rank * len(shapes), 0
    for out, fan_in in sorted(shapes, key=sum, reverse=True):
        taken = min(left, out, fan_in)
        worst, left = worst + taken * (out + fan_in + 1), left - taken
    return worst
