"""Which encoder reads a field, by its kind: the descriptions from which `nn.encoders` builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pellucid.core.schema import Field
from pellucid.data.encoding import Scale
from pellucid.spec.model import Spec

Describe = Callable[[Spec, Field, Scale], dict[str, Any]]

# kind of a field -> the description of its encoder; other kinds are read as numbers
ALL: dict[str, Describe] = {}


def describe(spec: Spec, fields: Mapping[str, Field], scales: Mapping[str, Scale]) -> dict[str, dict[str, Any]]:
    """field -> {"kind": one of `nn.encoders.ALL`, ...} of the fields that are not read as numbers."""
    return {name: ALL[field.kind](spec, field, scales[name]) for name, field in fields.items() if field.kind in ALL}
