"""Which layers a delta acts on: names, containers and glob patterns, all problems reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from pellucid.core.errors import DeltaError, nearest

Layer = nn.Linear | nn.Conv1d | nn.Conv2d


def resolve(network: nn.Module, targets: Sequence[str]) -> dict[str, Layer]:
    """The layers that `targets` name, in the network's own order.

    Args:
        network: the base.
        targets: names of layers, names of modules that contain layers, or globs (`*` also crosses dots).
            Empty: every Linear outside `heads`.
    Returns:
        name -> Linear, Conv1d or Conv2d.
    Raises:
        DeltaError: a target does not exist or cannot bear a low-rank change; all of them are named.
    """
    refused = _refusals(network)
    layers = {n: m for n, m in network.named_modules() if isinstance(m, Layer) and n not in refused}
    if not targets:
        return _default(layers)
    chosen: set[str] = set()
    problems, hints = [], []
    modules = dict(network.named_modules())
    for target in targets:
        found = [n for n in layers if fnmatchcase(n, target) or n == target or n.startswith(f"{target}.")]
        chosen.update(found)
        if found:
            continue
        if target in modules:
            problems.append(f"'{target}' {refused.get(target, f'is a {type(modules[target]).__name__}')}")
        else:
            problems.append(f"'{target}' does not exist")
            hints.append(nearest(target, layers))
    if problems:
        raise DeltaError(
            f"{len(problems)} of {len(targets)} targets cannot be adapted: {'; '.join(problems)}.",
            where=f"targets={tuple(targets)!r}",
            mend=" ".join(filter(None, hints)) or f"use layers of this network: {', '.join(layers)}",
        )
    return {name: layer for name, layer in layers.items() if name in chosen}


def _default(layers: dict[str, Layer]) -> dict[str, Layer]:
    chosen: dict[str, Layer] = {
        n: m for n, m in layers.items() if isinstance(m, nn.Linear) and "heads" not in n.split(".")
    }
    if not chosen:
        raise DeltaError(
            "the network has no Linear layer outside its heads.",
            where="targets=()",
            mend=f"name the layers to adapt: {', '.join(layers) or 'there is none that a low-rank delta can change'}",
        )
    return chosen


def _refusals(network: nn.Module) -> dict[str, str]:
    """Layers that a forward hook cannot change faithfully, and why."""
    refused: dict[str, str] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            refused[f"{name}.out_proj".lstrip(".")] = "is read by MultiheadAttention without being called"
        elif isinstance(module, Layer) and is_parametrized(module):
            refused[name] = "is parametrised (its weight is computed)"
        elif isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups > 1:
            refused[name] = f"is a grouped convolution (groups={module.groups})"
    return refused
