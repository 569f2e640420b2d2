"""Programs of raw text that the tests of words explain: they hear a text, its bag of words, or a number beside it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task


class Spoken:
    """Outputs of a text (and a number), as a function of its words in small letters."""

    def __init__(self, function: Callable[[list[str], float], list[float]], outputs: tuple[str, ...] = ("score",)):
        self.function = function
        self.schema = Schema((Field("said", "text"), Field("age")), {"t": tuple(map(Field, outputs))})
        self.tasks = {"t": Task("t", "regress", ("said", "age"), outputs, "points", "squared_error")}
        self.heard: list[str] = []

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        start = len(self.heard)
        self.heard += [str(text) for text in rows.column("said")]
        codes = torch.arange(start, len(self.heard), dtype=torch.int32)[:, None]
        return {"said": codes, "age": torch.from_numpy(rows.column("age").astype(np.float32))[:, None]}

    def __call__(self, blocks: dict[str, Tensor], task: str) -> Tensor:
        pairs = zip(blocks["said"][:, 0].tolist(), blocks["age"][:, 0].tolist(), strict=True)
        found = [self.function(re.findall(r"\w+", self.heard[at].lower()), age) for at, age in pairs]
        return torch.tensor(found, dtype=torch.float64).reshape(len(found), len(self.tasks[task].outputs))


def said(*texts: object, age: float = 2.0) -> Rows:
    keys = np.array([f"row {i}" for i in range(len(texts))])
    return Rows(keys, {"said": np.array(texts, dtype=object), "age": np.full(len(texts), age)})


WORTH = {"good": 2.0, "bad": -3.0, "very": 0.5, "film": 0.25}


def bag(words: list[str], age: float) -> list[float]:
    """Additive in the words, times the number beside them."""
    return [age * sum(WORTH.get(word, 0.0) for word in words)]


def tangled(words: list[str], age: float) -> list[float]:
    """Neighbours, negation, and how much was said."""
    w = [sum(map(ord, word)) % 7 / 3.0 - 1.0 for word in words]
    pairs = sum(a * b for a, b in itertools.pairwise(w))
    return [np.tanh(sum(w)) + 0.3 * pairs * age, float("not" in words) * sum(w) - 0.1 * len(words)]
