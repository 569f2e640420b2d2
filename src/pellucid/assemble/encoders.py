"""Which encoder reads a field, by its kind: the descriptions from which `nn.encoders` builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pellucid.core.errors import SpecError
from pellucid.core.schema import Field
from pellucid.data.encoding import RAW, Scale
from pellucid.nn.causal import ALL as CAUSAL
from pellucid.spec.model import Spec

Describe = Callable[[Spec, Field, Scale], dict[str, Any]]


def _image(spec: Spec, field: Field, scale: Scale) -> dict[str, Any]:
    kind, how = spec.network.images, spec.network.vision
    seen = {"kind": kind, "shape": list(field.shape)}
    if kind == "convnet":
        return {**seen, "width": how.width or 32, "depth": how.depth or 1}
    width = how.width or 64
    if width % how.heads:
        raise SpecError(
            f"a width of {width} cannot be shared by {how.heads} heads.",
            where="network.vision",
            mend="make the width a multiple of the heads",
        )
    return {**seen, "width": width, "depth": how.depth or 4, "heads": how.heads, "patch": how.patch}


def _series(spec: Spec, field: Field, scale: Scale) -> dict[str, Any]:
    """Lags, which have named groups, are read step by step where the network is one for series."""
    return {"kind": spec.network.kind} if spec.network.kind in CAUSAL and field.groups else {}


# kind of a field -> the description of its encoder, empty for numbers; other kinds are read as numbers
ALL: dict[str, Describe] = {
    "image": _image,
    "series": _series,
}


def describe(spec: Spec, fields: Mapping[str, Field], scales: Mapping[str, Scale]) -> dict[str, dict[str, Any]]:
    """field -> {"kind": one of `nn.encoders.ALL`, ...} of the fields that are not read as numbers.

    What an environment observes is left out: `Network` has encoders of its own for it.
    """
    told = {name: field for name, field in fields.items() if field.kind in ALL and scales[name].kind != RAW}
    found = {name: ALL[field.kind](spec, field, scales[name]) for name, field in told.items()}
    return {name: how for name, how in found.items() if how}
