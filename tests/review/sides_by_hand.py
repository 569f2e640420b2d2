"""Sides of a diff with known losses, decisions and attributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pellucid.core.task import Task
from pellucid.review.sides import Side

CLASSES = ("no", "yes")


def task(name: str = "paid", **options: Any) -> Task:
    return Task(name, "classify", ("age", "city"), ("yes",), "logit", "log_loss", (), {"classes": CLASSES, **options})


def table(n: int = 60, *, seed: int = 0, shift: float = 0.0) -> pd.DataFrame:
    """Answers of a classifier on n rows whose truth depends on the row alone; `seed` and `shift` move the logits."""
    truth = np.random.default_rng(99).random(n) < 0.5
    sign = np.where(truth, 1.0, -1.0)
    z = sign * (0.8 + shift) + np.random.default_rng(seed).normal(size=n)
    return pd.DataFrame(
        {
            "key": [f"row{i:03d}" for i in range(n)],
            "y": np.where(truth, "yes", "no"),
            "loss": np.log1p(np.exp(-sign * z)),
            "decision": np.where(z > 0, "yes", "no"),
            "out:yes": z,
        }
    )


def side(ref: str, outputs: pd.DataFrame | dict[str, pd.DataFrame], **more: Any) -> Side:
    tables = outputs if isinstance(outputs, dict) else {"paid": outputs}
    tasks = more.pop("tasks", {name: task(name) for name in tables})
    return Side(ref, more.pop("sha", ref), tasks, tables, **more)
