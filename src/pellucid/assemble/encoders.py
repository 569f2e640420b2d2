"""Which encoder reads a field, by its kind: the descriptions from which `nn.encoders` builds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from pellucid.core.errors import SpecError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.data.encoding import RAW, Scale, Texts
from pellucid.data.tokens import fit_tokens, tokens_from_json, tokens_of
from pellucid.nn.causal import ALL as CAUSAL
from pellucid.nn.delta import tensors_sha
from pellucid.nn.network import Network
from pellucid.nn.pretrained_text import PretrainedText, read_folder
from pellucid.nn.text import NgramEncoder, TransformerEncoder, ngrams
from pellucid.spec.model import Spec
from pellucid.spec.text import TextSpec

Describe = Callable[[Spec, Field, Scale], dict[str, Any]]

PLACES = ("max_position_embeddings", "n_positions")  # what configurations call the longest text
MANY, PIECE, FEWEST = 2**30, 4096, 256  # n-grams told apart while counting, texts at a time, buckets at least
RESERVED = 2  # positions that RoBERTa's kin never use


def folder_of(spec: Spec) -> Path:
    """The pretrained encoder's folder; a relative one starts where the spec's file lies."""
    given = Path(spec.network.text.folder or "").expanduser()
    return spec.folder / given if spec.folder is not None else given


def texts_of(spec: Spec, fields: Iterable[Field], rows: Rows) -> dict[str, Texts]:
    """How the text fields are cut, fitted on `rows`, the training part."""
    said, found = spec.network.text, {}
    for field in fields:
        if field.kind != "text":
            continue
        if said.encoder == "pretrained":
            config, _ = _read(spec)
            places = [int(config[name]) for name in PLACES if isinstance(config.get(name), int)]
            longest = min([said.length, *(n - RESERVED for n in places)])
            found[field.name] = Texts(tokens_of(folder_of(spec)), longest)
        else:
            tokens = fit_tokens(rows.column(field.name).tolist(), said.tokens, said.vocabulary)
            found[field.name] = Texts(tokens, said.length)
    return found


def _text(spec: Spec, field: Field, scale: Scale) -> dict[str, Any]:
    said = spec.network.text
    if said.encoder == "pretrained":
        config, tensors = _read(spec)
        frozen = spec.train.transfer.encoder == "frozen"
        return {"kind": "pretrained", "config": config, "sha256": tensors_sha(tensors.items()), "frozen": frozen}
    assert scale.tokens is not None
    if said.encoder == "transformer":
        size = tokens_from_json(scale.tokens).size
        return {"kind": "text_transformer", "size": size, "width": said.width, "layers": said.layers}
    longest = said.ngrams or (5 if scale.tokens["kind"] == "characters" else 2)
    return {"kind": "ngrams", "width": said.width, "longest": longest, "buckets": said.buckets}


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
    "text": _text,
}


def describe(spec: Spec, fields: Mapping[str, Field], scales: Mapping[str, Scale]) -> dict[str, dict[str, Any]]:
    """field -> {"kind": one of `nn.encoders.ALL`, ...} of the fields that are not read as numbers.

    What an environment observes is left out: `Network` has encoders of its own for it.
    """
    told = {name: field for name, field in fields.items() if field.kind in ALL and scales[name].kind != RAW}
    found = {name: ALL[field.kind](spec, field, scales[name]) for name, field in told.items()}
    return {name: how for name, how in found.items() if how}


def sized(encoders: dict[str, dict[str, Any]], blocks: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Tables of n-grams no larger than the training part has use for: few texts, few buckets."""
    found = {}
    for name, how in encoders.items():
        if how["kind"] == "ngrams":
            block = blocks[name]
            pieces = [block[start : start + PIECE] for start in range(0, len(block), PIECE)]
            count = len(np.unique(np.concatenate([np.unique(ngrams(p, how["longest"], MANY)) for p in pieces])))
            how = {**how, "buckets": min(how["buckets"], max(FEWEST, 2 ** math.ceil(math.log2(2 * count))))}
        found[name] = how
    return found


def load_pretrained(spec: Spec, network: Network) -> None:
    """Give pretrained encoders the weights of their folder."""
    for encoder in network.encoders.values():
        if isinstance(encoder, PretrainedText):
            encoder.load(_read(spec)[1])


_LAST: dict[tuple[str, float], tuple[dict[str, Any], Any]] = {}


def _read(spec: Spec) -> tuple[dict[str, Any], Any]:
    """Configuration and weights of the folder, read once for all folds."""
    folder = folder_of(spec)
    weights = folder / "model.safetensors"
    key = (str(folder), weights.stat().st_mtime if weights.is_file() else 0.0)
    if key not in _LAST:
        found = read_folder(folder)
        _LAST.clear()
        _LAST[key] = found
    return _LAST[key]


def text_rate(said: TextSpec, network: nn.Module) -> float:
    """Factor of the learning rate: `network.text.rate` where a text is read by an encoder that began with nothing."""
    own = any(isinstance(part, (NgramEncoder, TransformerEncoder)) for part in network.modules())
    return said.rate if own else 1.0
