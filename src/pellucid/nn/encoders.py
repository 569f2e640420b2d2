"""How a network reads a field: one encoder per field, each from a JSON description, so that an artefact rebuilds it.

An encoder turns a block (n, columns) into (n, out); the outputs of all fields that a task reads are added. A new kind
is one file with a class and one line in `ALL`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from pellucid.core.random import derive
from pellucid.nn.causal import ALL as CAUSAL
from pellucid.nn.conv import ImageEncoder
from pellucid.nn.field import FieldEncoder
from pellucid.nn.pretrained_text import build_pretrained
from pellucid.nn.text import build_ngrams, build_transformer
from pellucid.nn.vision import VisionEncoder

Description = Mapping[str, Any]


class Encoder(Protocol):
    """What a network, a delta and an ensemble ask of an encoder; it is a `nn.Module`.

    An encoder that draws its own first weights has a method `begin(seed)`; all but `project` are then left alone.
    """

    project: nn.Linear  # the last map, without bias: what a delta adapts, and what an ensemble begins as additive

    def __call__(self, block: Tensor) -> Tensor:
        """(n, columns) -> (n, out)."""
        ...

    def features(self, block: Tensor) -> Tensor:
        """What `project` maps, shape (n, project.in_features)."""
        ...

    def normalised(self, block: Tensor) -> Tensor:
        """The block itself, scaled as this encoder scales it: what critics read."""
        ...

    def observe(self, block: Tensor) -> None:
        """A batch of an environment's observations, for a running normaliser."""
        ...


Builder = Callable[[Description, int, int], nn.Module]
"""(description, columns of the block, out) -> encoder."""


def _numbers(described: Description, columns: int, out: int) -> nn.Module:
    return FieldEncoder(columns, out, normalise=bool(described.get("normalise", False)))


def _image(described: Description, columns: int, out: int) -> nn.Module:
    return ImageEncoder(described["shape"], out)


def _series(described: Description, columns: int, out: int) -> nn.Module:
    return CAUSAL[described["kind"]](columns, out)


ALL: dict[str, Builder] = {
    "tcn": _series,
    "transformer": _series,
    "numbers": _numbers,
    "image": _image,
    "convnet": VisionEncoder,
    "vit": VisionEncoder,
    "ngrams": build_ngrams,
    "text_transformer": build_transformer,
    "pretrained": build_pretrained,
}


def build(described: Description, columns: int, out: int) -> nn.Module:
    """An encoder of its description; an empty one is that of numbers."""
    return ALL[str(described.get("kind", "numbers"))](described, columns, out)


def described(encoders: Mapping[str, Description]) -> dict[str, dict[str, Any]]:
    """Descriptions as they are written into an artefact."""
    return {field: dict(how) for field, how in encoders.items()}


def begun(encoders: nn.ModuleDict, seed: int) -> set[str]:
    """Let encoders draw their own first weights; the names of the modules whose weights are then theirs."""
    own: set[str] = set()
    for field, encoder in encoders.items():
        begin = getattr(encoder, "begin", None)
        if begin is not None:
            begin(derive(seed, "network/encoder/" + field))
            own |= {f"encoders.{field}.{name}" for name, _ in encoder.named_modules() if name != "project"}
    return own
