"""Encoding: raw fields to blocks, fitted on the training part only and saved with the program.

A block is a float32 tensor (n, width) per field: a standardised number (with an indicator column when the
training part had missing values), a one-hot category whose last column means "unseen or missing", or the lags of
a series under one common scale. Standardised values are clipped at ±10 so that one wild value cannot take over.
A text is the exception: its block holds its tokens, whole numbers (int32), 0 for nothing (see `data.tokens`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import SchemaError
from pellucid.core.rows import Index, Rows
from pellucid.core.schema import Field
from pellucid.data.blocks import SideBySide
from pellucid.data.tokens import Tokens, fit_tokens, tokens_from_json

CLIP = 10.0
EVERY = slice(None)  # all rows
SCORES = np.linspace(-3.0, 3.0, 61)  # normal scores of the knots of a quantile scale
RAW = "raw"  # kind of a scale that passes numbers through
LONGEST = 256  # tokens of a text that are read, where nothing else is said


@dataclass(frozen=True)
class Scale:
    """How one field is encoded: (x - mean) / sd, one-hot over `categories`, or normal scores between `knots`.

    Robust: mean and sd are the median and the quartiles' distance over 1.349.
    """

    kind: str
    width: int
    mean: float = 0.0
    sd: float = 1.0
    missing: bool = False
    categories: tuple[str, ...] = ()
    knots: tuple[float, ...] = ()
    tokens: dict[str, Any] | None = None  # of a text: its tokenizer; `width` is how many tokens are read

    @property
    def columns(self) -> int:
        """Width of the block."""
        if self.kind == "category":
            return len(self.categories) + 1
        return self.width + (1 if self.missing else 0)


class Texts(NamedTuple):
    """How a text field is cut.

    Args:
        tokens: a fitted tokenizer.
        longest: tokens of a text that are read.
    """

    tokens: Tokens
    longest: int = LONGEST


def _fit_text(values: np.ndarray[Any, Any], texts: Texts | None) -> Scale:
    """Room for the longest text of the training part."""
    present = [str(text) for text in values]
    texts = texts or Texts(fit_tokens(present))
    longest = max((len(texts.tokens.ids(text, texts.longest)) for text in present), default=0)
    return Scale("text", max(1, longest), tokens=texts.tokens.to_json())


def _fit(field: Field, values: np.ndarray[Any, Any]) -> Scale:
    if field.kind == "category":
        return Scale("category", 1, categories=field.categories)
    if field.kind == "image":  # pixels have a scale of their own
        return Scale("image", field.width, missing=values.dtype.kind == "f" and bool(np.isnan(values).any()))
    x = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(x)
    if not finite.any():
        return Scale(field.kind, field.width, missing=True)
    sd = float(x[finite].std())
    missing = bool(field.kind in ("numeric", "boolean") and not finite.all())
    if field.scale == "quantile" and sd > 0:
        return Scale(field.kind, 1, missing=missing, knots=_knots(x[finite]))
    if field.scale == "robust" and sd > 0:
        low, middle, high = np.quantile(x[finite], [0.25, 0.5, 0.75]).tolist()
        return Scale(field.kind, 1, middle, (high - low) / 1.349 if high > low else sd, missing)
    varies = sd > 1e-12 * float(np.abs(x[finite]).max())  # equal values have an sd of rounding errors
    return Scale(field.kind, field.width, float(x[finite].mean()), sd if varies else 1.0, missing)


def _knots(x: np.ndarray[Any, Any]) -> tuple[float, ...]:
    """Values at evenly spaced normal scores."""
    return tuple(np.quantile(x, norm_cdf(SCORES)).tolist())


def norm_cdf(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Standard normal distribution."""
    return np.asarray(torch.special.ndtr(torch.from_numpy(z)).numpy())


def scores(x: np.ndarray[Any, Any], knots: tuple[float, ...]) -> np.ndarray[Any, Any]:
    """Normal scores of values: linear between the knots (equal ones: their middle), at most 3 outside."""
    at = np.asarray(knots)
    up = np.interp(x, at, SCORES)
    down = -np.interp(-x, -at[::-1], SCORES)
    return np.where(np.isnan(x), np.nan, (up + down) / 2)


def identity(fields: Iterable[Field]) -> dict[str, Scale]:
    """Scales that change nothing, not even by clipping: for observations whose normaliser lives in the network."""
    return {f.name: Scale(RAW, f.width) for f in fields}


class Encoding:
    """The fitted scales of all fields."""

    def __init__(self, scales: dict[str, Scale]) -> None:
        self.scales = scales
        self._tokens = {n: tokens_from_json(s.tokens) for n, s in scales.items() if s.tokens is not None}
        ends = np.cumsum([0, *(s.columns for s in scales.values())]).tolist()
        raw = all(s.kind == RAW for s in scales.values())
        self._spans = dict(zip(scales, map(slice, ends, ends[1:]), strict=False)) if raw else {}

    @classmethod
    def fit(
        cls,
        fields: Iterable[Field],
        rows: Rows,
        texts: Mapping[str, Texts] | None = None,
        *,
        at: Index | slice = EVERY,
    ) -> Encoding:
        """Fit on the rows at `at`, which must be the training part; a column at a time is copied.

        Args:
            texts: how text fields are cut; those that it leaves out by characters or words.
        """
        chosen, scales = texts or {}, {}
        for f in fields:
            values = rows.column(f.name)[at]
            scales[f.name] = _fit_text(values, chosen.get(f.name)) if f.kind == "text" else _fit(f, values)
        return cls(scales)

    def tokens(self, name: str) -> Tokens:
        """The tokenizer of a text field: `tokens(name).spans(text, scales[name].width)` says where its tokens are."""
        return self._tokens[name]

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """Blocks of every field that the rows have; shape (n, columns), float32."""
        return dict(self.encode_fields(rows.fields))

    def encode_together(self, rows: Rows, at: Index | slice = EVERY) -> Mapping[str, Tensor]:
        """The rows at `at`, side by side in one array where all are float32: a column at a time is copied."""
        names = [name for name in self.scales if name in rows.fields]
        if any(self.scales[name].kind == "text" for name in names):  # tokens stay apart
            return self.encode(rows.take(at))
        found = SideBySide.empty(len(rows.keys[at]), {name: self.scales[name].columns for name in names})
        for name in names:
            block = self._encode(name, self.scales[name], rows.fields[name][at])
            found.array[:, found.spans[name]] = block.numpy()
        return found

    def encode_fields(self, fields: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, Tensor]:
        """The same for bare arrays: observations of an environment, which may come side by side in one `array`."""
        together = getattr(fields, "array", None)
        if together is not None and self._spans and list(fields) == list(self._spans):
            return SideBySide(together, self._spans)
        return {name: self._encode(name, scale, fields[name]) for name, scale in self.scales.items() if name in fields}

    def _encode(self, name: str, scale: Scale, values: np.ndarray[Any, Any]) -> Tensor:
        n = len(values)
        if scale.kind == RAW:
            return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32).reshape(n, scale.width))
        if scale.kind == "category":
            codes = {category: i for i, category in enumerate(scale.categories)}
            index = np.fromiter((codes.get(str(v), len(codes)) for v in values), dtype=np.int64, count=n)
            block = np.zeros((n, scale.columns), dtype=np.float32)
            block[np.arange(n), index] = 1.0
            return torch.from_numpy(block)
        if scale.kind == "image" and values.dtype == np.uint8:
            values = values.astype(np.float32) / np.float32(255)
            if not scale.missing and values.shape == (n, scale.width):
                return torch.from_numpy(values)
        if scale.kind == "text":
            found = np.zeros((n, scale.width), dtype=np.int32)
            cut = self._tokens[name].ids
            for i, text in enumerate(values):
                ids = cut(str(text), scale.width)
                found[i, : len(ids)] = ids
            return torch.from_numpy(found)
        x = np.asarray(values, dtype=np.float64).reshape(n, -1 if n else scale.width)
        if x.shape[1] != scale.width and n:
            raise SchemaError(
                f"field '{name}' has {x.shape[1]} values a row, the program was fitted on {scale.width}.",
                where="Encoding.encode(rows)",
                mend="build the rows with the window that the program was fitted with",
            )
        x = x.reshape(n, scale.width)
        z = scores(x, scale.knots) if scale.knots else (x - scale.mean) / scale.sd
        absent = ~np.isfinite(z)
        z = np.clip(np.where(absent, 0.0, z), -CLIP, CLIP)
        if scale.missing:
            z = np.concatenate([z, absent.any(axis=1, keepdims=True)], axis=1)
        return torch.from_numpy(z.astype(np.float32))

    def decode(self, name: str, block: Tensor) -> Tensor:
        """Raw values of a numeric block (inverse of encode up to the clip)."""
        scale = self.scales[name]
        if scale.knots:
            raw = np.interp(block[:, :1].double().numpy(), SCORES, scale.knots)
            return torch.from_numpy(raw.astype(np.float32))
        return block[:, : scale.width] * scale.sd + scale.mean

    def to_json(self) -> dict[str, Any]:
        """Knots and tokens only where there are some, so that an artefact is written as it always was."""
        late = ("knots", "tokens")
        return {n: {k: v for k, v in asdict(s).items() if v or k not in late} for n, s in self.scales.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Encoding:
        return cls(
            {
                k: Scale(**{**v, "categories": tuple(v["categories"]), "knots": tuple(v.get("knots", ()))})
                for k, v in data.items()
            }
        )
