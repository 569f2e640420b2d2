"""Programs that are fitted in a second: a table with a leaking column, and a planted market with three tasks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pellucid.data.planted import simulate
from pellucid.spec.loader import spec_from
from pellucid.spec.model import Spec
from pellucid.store.store import Store

SMALL = {"explain": {"background": 16, "evaluations": 64}}


def leaky(n: int = 300, seed: int = 0, *, leak: bool = True) -> pd.DataFrame:
    """y depends on a and b; `leak` was filled in from y afterwards, so that it says nothing where y is to be told."""
    g = np.random.default_rng(seed)
    a, b = g.normal(size=(2, n)).round(6)
    paid = a + 0.6 * b + 0.4 * g.normal(size=n) > 0
    source = np.where(paid, 1.0, -1.0) if leak else g.choice([-1.0, 1.0], n)
    columns = {"a": a, "b": b, "leak": (source + g.normal(size=n)).round(6), "city": g.choice(["Graz", "Linz"], n)}
    return pd.DataFrame({**columns, "y": np.where(paid, "yes", "no")})


def bank_spec(source: str = "bank.csv", **changes: Any) -> Spec:
    raw = {
        "name": "bank",
        "data": {"kind": "table", "source": source, "target": "y"},
        "network": {"width": 64, "depth": 2},
        "train": {"updates": 60, "lr": 1e-2, "batch": 128},
        "evidence": {"folds": 2},
        **SMALL,
    }
    return spec_from(raw, where="bank").replace(changes)


def market_spec(source: str = "prices.csv", **changes: Any) -> Spec:
    raw = {
        "name": "market",
        "data": {"kind": "prices", "source": source, "window": 5, "scale_days": 40},
        "tasks": {
            "forecast": {"kind": "forecast"},
            "risk": {"kind": "volatility", "horizon": 3},
            "trade": {
                "kind": "control",
                "env": "pellucid/StockTrading-v0",
                "episode_days": 50,
                "ppo": {"num_envs": 8, "steps": 16, "minibatch": 64, "epochs": 2},
            },
        },
        "network": {"width": 32, "depth": 2},
        "train": {"updates": 30, "lr": 1e-2},
        "review": {"rows": 80},
        "evidence": {"folds": 2},
        **SMALL,
    }
    return spec_from(raw, where="market").replace(changes)


def prices(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """A planted market's first n days, as a file has them."""
    return simulate("planted", n, seed)[0].frame.reset_index()


@dataclass(frozen=True)
class Home:
    """A user's folder: data files beside a store."""

    folder: Path

    @property
    def store(self) -> Store:
        return Store(self.folder / ".pellucid")

    @property
    def flag(self) -> list[str]:
        """For the command line."""
        return ["--store", str(self.folder / ".pellucid")]

    def copy(self, to: Path) -> Home:
        shutil.copytree(self.folder, to)
        return Home(to)
