"""Programs that the tests of this floor explain: series with lag groups, a category, two tasks."""

from __future__ import annotations

import numpy as np
import torch

from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task

GROUPS = (("t", 0, 1), ("t-1..", 1, 4))
SCHEMA = Schema(
    (
        Field("return", "series", 4, unit="sd", groups=GROUPS),
        Field("volume", "series", 4, groups=GROUPS),
        Field("level"),
        Field("sector", "category", categories=("bank", "oil")),
    ),
    {"forecast": (Field("low"), Field("high")), "risk": (Field("log_variance"),)},
)


class Mixed:
    """`forecast` reads all four fields; `risk` only the two that are numbers of the price, linearly. float32."""

    def __init__(self, volume: float = 1.0) -> None:
        inputs = {"forecast": SCHEMA.names, "risk": ("return", "level")}
        self.schema = SCHEMA
        self.tasks = {
            "forecast": Task("forecast", "regress", inputs["forecast"], ("low", "high"), "log return", "squared_error"),
            "risk": Task("risk", "regress", inputs["risk"], ("log_variance",), "log variance", "squared_error"),
        }
        generator = torch.Generator().manual_seed(3)
        self.first = torch.randn(12, 16, generator=generator)
        self.first[4:8] *= volume
        self.second = torch.randn(16, 2, generator=generator)
        self.calls = 0
        self.encoded = 0
        self.largest = 0

    def encode(self, rows):
        self.encoded += 1
        numbers = {n: torch.tensor(rows.column(n), dtype=torch.float32) for n in SCHEMA.names[:3]}
        blocks = {n: x.reshape(len(rows), SCHEMA[n].width) for n, x in numbers.items()}
        codes = torch.tensor([{"bank": 0, "oil": 1}.get(str(v), 2) for v in rows.column("sector")], dtype=torch.long)
        return {**blocks, "sector": torch.nn.functional.one_hot(codes, 3).float()}

    def __call__(self, blocks, task):
        self.calls += 1
        n = len(blocks["level"])
        self.largest = max(self.largest, n)
        if task == "risk":
            return blocks["return"].sum(1, keepdim=True) + 2.0 * blocks["level"]
        x = torch.cat([blocks[name] for name in SCHEMA.names], dim=1)
        return torch.tanh(x @ self.first) @ self.second


def rows(n: int, seed: int = 0, prefix: str = "SP500/") -> Rows:
    g = np.random.default_rng(seed)
    fields = {
        "return": g.normal(size=(n, 4)),
        "volume": g.normal(size=(n, 4)),
        "level": g.normal(size=n),
        "sector": g.choice(["bank", "oil"], size=n),
    }
    return Rows(np.asarray([f"{prefix}{i}" for i in range(n)], dtype=np.str_), fields)
