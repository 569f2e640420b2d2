"""A small table with a planted truth or none, and a Ctrl-C that comes at a chosen moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from pellucid.core.random import stream


def table(folder: Path, truth: bool = True) -> Path:
    """500 rows whose class follows from two columns, or from nothing."""
    g = stream(5, "tests/search")
    frame = pd.DataFrame(g.normal(size=(500, 3)), columns=["a", "b", "c"])
    y = frame["a"] + 0.5 * frame["b"] + 0.2 * g.normal(size=500) > 0
    frame["y"] = np.where(y if truth else g.permutation(y), "yes", "no")
    frame.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


@contextmanager
def pressed_after(asked: int) -> Iterator[Callable[[], bool]]:
    """In the place of `interruptible`: Ctrl-C comes at this question."""
    left = [asked]

    def stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    yield stop
