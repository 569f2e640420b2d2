"""Sections of a spec about texts, and about weights that were learned elsewhere."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pellucid.spec.section import Count, Positive, Section, Share


class TextSpec(Section):
    """How text fields are read."""

    encoder: Literal["ngrams", "transformer", "pretrained"] = Field(
        default="ngrams", description="a weighted bag of n-grams, a small transformer, or an encoder from `folder`"
    )
    tokens: Literal["auto", "characters", "words", "bpe", "wordpiece"] = Field(
        default="auto",
        description="into which a text is cut; auto: characters of short texts, words of others; a pretrained encoder "
        "brings its own",
    )
    vocabulary: int = Field(default=20_000, ge=300, le=2**20, description="different tokens at most")
    length: int = Field(default=256, ge=4, le=8192, description="tokens of a text that are read; the rest is cut off")
    width: int = Field(default=64, ge=4, le=4096, multiple_of=4, description="numbers by which a text is described")
    ngrams: int | None = Field(
        default=None, ge=1, le=8, description="tokens of the longest n-grams; null: 5 of characters, else 2"
    )
    buckets: int = Field(default=2**16, ge=16, le=2**24, description="n-grams that are told apart, about")
    rate: Positive = Field(
        default=1.0,
        description="factor of the learning rate of a program that reads a text by an encoder that begins with nothing",
    )
    layers: Count = Field(default=2, le=48, description="of a transformer that begins with nothing")
    folder: str | None = Field(
        default=None,
        min_length=1,
        description="of a pretrained encoder, as Transformers' save_pretrained writes it; nothing is downloaded",
    )


class TransferSpec(Section):
    """Weights that were learned elsewhere, and how far they are trained again."""

    start: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_-]*(@[0-9]+|~[0-9a-f]+)?$",
        description="a version, name@3: its tensors of the same name and shape are the first weights",
    )
    freeze: list[str] = Field(
        default=[], description="beginnings of parameters' names that stay as they are: encoders, trunk, encoders.text"
    )
    encoder: Literal["frozen", "gradual", "full"] = Field(
        default="frozen",
        description="pretrained encoders: not trained, trained layer by layer from the top, or trained whole",
    )
    lr: Positive = Field(default=0.03, description="factor of the learning rate in a pretrained encoder's last layer")
    decay: Share = Field(
        default=0.9, description="factor of the learning rate from each of its layers to the one below"
    )
    gradual: Share = Field(default=0.5, description="share of the updates after which all layers are trained")
    compare: bool = Field(
        default=True, description="with `start`: train from nothing, too, and show the difference in the evidence"
    )
