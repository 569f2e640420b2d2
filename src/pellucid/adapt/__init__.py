"""Deltas: LoRA, AdaLoRA. Hooks beside a frozen base; dropped exactly, merged only into a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import Tensor

from pellucid.adapt.adalora import AdaLoRA, AdaLoRAConfig
from pellucid.adapt.attachment import attached, base_sha
from pellucid.adapt.lora import LoRA, LoRAConfig
from pellucid.adapt.rank import fit_rank
from pellucid.core.errors import DeltaError, nearest
from pellucid.nn.delta import Delta

__all__ = [
    "ALL",
    "AdaLoRA",
    "AdaLoRAConfig",
    "LoRA",
    "LoRAConfig",
    "attached",
    "base_sha",
    "build",
    "fit_rank",
    "restore",
]

ALL: dict[str, tuple[Any, Any]] = {"lora": (LoRA, LoRAConfig), "adalora": (AdaLoRA, AdaLoRAConfig)}


def build(kind: str, config: Mapping[str, Any]) -> Delta:
    """A delta from its name and its configuration (the fields of `LoRAConfig`, `AdaLoRAConfig`).

    Raises:
        DeltaError: no such kind, or names that its configuration does not have; all of them are named.
    """
    if kind not in ALL:
        raise DeltaError(
            f"no delta '{kind}'; there are {', '.join(ALL)}.",
            where="adapt.build(...)",
            mend=nearest(kind, ALL) or "use one of the names above",
        )
    delta, config_class = ALL[kind]
    allowed = [field.name for field in fields(config_class)]
    unknown = [name for name in config if name not in allowed]
    missing = ["steps"] if kind == "adalora" and "steps" not in config else []
    if unknown or missing:
        said = [f"unknown {', '.join(map(repr, unknown))}"] * bool(unknown) + ["'steps' is missing"] * bool(missing)
        raise DeltaError(
            f"{kind}: {'; '.join(said)}. It takes {', '.join(allowed)}.",
            where=f"adapt.build('{kind}', ...)",
            mend=" ".join(filter(None, (nearest(name, allowed) for name in unknown))) or "use the names above",
        )
    made: Delta = delta(config_class(**config))
    return made


def restore(manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Delta:
    """A saved delta, ready to be attached to the base that its manifest names.

    Args:
        manifest: what `manifest()` gave.
        tensors: what `parameters()` gave, read from a safetensors file.
    Raises:
        DeltaError: the tensors are not those that the manifest counts.
    """
    count = sum(tensor.numel() for tensor in tensors.values())
    if count != manifest["count"]:
        raise DeltaError(
            f"the saved delta has {count} numbers, its manifest says {manifest['count']}.",
            where="adapt.restore(...)",
            mend="read the manifest and the tensors of one and the same version",
        )
    delta = build(manifest["kind"], manifest["config"])
    carried = {name: manifest[name] for name in ("kind", "config", "base_sha", "targets", "total")}
    progress = {"ticks": 0, "finished": True, "sensitivity": {}, "uncertainty": {}}
    delta.set_state({**carried, "parameters": dict(tensors), **progress})
    return delta
