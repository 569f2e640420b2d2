"""The tables of bench/tables.py: four of scikit-learn's and six generated ones.

The generators and their one seed were committed before any model was tried on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

SEED = 20261124
Floats = npt.NDArray[np.float64]


class TableData(NamedTuple):
    """Inputs (text columns are categories), target, and "classify" or "regress"."""

    inputs: pd.DataFrame
    target: npt.NDArray[Any]
    kind: str


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng([SEED, *name.encode()])


def _numbers(x: Floats) -> pd.DataFrame:
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])


def linear() -> TableData:
    """2,000 rows, 12 correlated inputs, half of which matter; four fifths of the variance can be explained."""
    g = _generator("linear")
    mix = g.standard_normal((12, 12)) / np.sqrt(12) + np.eye(12)
    x = g.standard_normal((2000, 12)) @ mix
    signal = x @ np.concatenate([g.uniform(0.5, 2.0, 6) * g.choice([-1, 1], 6), np.zeros(6)])
    return TableData(_numbers(x), signal + 0.5 * signal.std() * g.standard_normal(2000), "regress")


def interactions() -> TableData:
    """4,000 rows, 10 inputs: a product, a switch and a ratio; no input matters by itself on average."""
    g = _generator("interactions")
    x = g.standard_normal((4000, 10))
    signal = x[:, 0] * x[:, 1] + np.sign(x[:, 2]) * x[:, 3] + np.where(x[:, 4] > 0, x[:, 5], -x[:, 6]) * np.abs(x[:, 7])
    return TableData(_numbers(x), signal + 0.4 * signal.std() * g.standard_normal(4000), "regress")


def periodic() -> TableData:
    """4,000 rows, 6 uniform inputs: waves of three and five periods, one of them with a changing height."""
    g = _generator("periodic")
    x = g.uniform(-1.0, 1.0, (4000, 6))
    signal = np.sin(3.0 * np.pi * x[:, 0]) + x[:, 2] * np.cos(5.0 * np.pi * x[:, 1]) + 0.5 * x[:, 3]
    return TableData(_numbers(x), signal + 0.3 * signal.std() * g.standard_normal(4000), "regress")


def categories() -> TableData:
    """6,000 rows: categories of 300, 40 and 5 levels with effects of their own, one pair that interacts, 3 numbers."""
    g = _generator("categories")
    n, levels = 6000, (300, 40, 5)
    # Some levels are frequent, some rare, as towns are.
    codes = [g.choice(k, n, p=(w := 1.0 / np.arange(1, k + 1) ** 0.6) / w.sum()) for k in levels]
    effects = [g.standard_normal(k) * s for k, s in zip(levels, (1.2, 0.8, 0.5), strict=True)]
    x = g.standard_normal((n, 3))
    pair = g.standard_normal((levels[1], levels[2])) * 0.7
    logit = sum(e[c] for e, c in zip(effects, codes, strict=True)) + pair[codes[1], codes[2]] + x @ [0.8, -0.5, 0.0]
    frame = _numbers(x).assign(**{f"c{k}": [f"v{c:03d}" for c in code] for k, code in zip(levels, codes, strict=True)})
    return TableData(frame, np.where(g.random(n) < 1 / (1 + np.exp(-logit)), "yes", "no"), "classify")


def missing() -> TableData:
    """5,000 rows, 8 inputs, of which 4 lack a third of their values: large ones more often, and lacking says a lot."""
    g = _generator("missing")
    n = 5000
    x = g.standard_normal((n, 8)) + 0.5 * g.standard_normal((n, 1))
    logit = 1.2 * x[:, 0] - x[:, 1] + 0.8 * np.maximum(x[:, 4], 0) * np.sign(x[:, 5])
    seen = x.copy()
    for j in range(4):
        lacks = g.random(n) < 1 / (1 + np.exp(-(1.5 * x[:, j] - 1.0)))
        seen[lacks, j] = np.nan
        logit = logit + (0.8 if j == 2 else 0.0) * lacks
    return TableData(_numbers(seen), np.where(g.random(n) < 1 / (1 + np.exp(-logit)), "yes", "no"), "classify")


def large() -> TableData:
    """100,000 rows, 20 inputs, three classes by smooth, stepped and joint effects; a few inputs with heavy tails."""
    g = _generator("large")
    n = 100_000
    x = g.standard_normal((n, 20))
    x[:, 15:] = np.exp(x[:, 15:])
    a = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + np.where(x[:, 3] > 0.5, 1.0, -0.5) + 0.5 * np.log(x[:, 15])
    b = np.abs(x[:, 4]) - x[:, 5] * (x[:, 6] > 0) + 0.7 * x[:, 7] + 0.3 * np.minimum(x[:, 16], 3.0)
    logits = 1.5 * np.stack([a, b, np.full(n, 0.4)], axis=1)
    chosen = (logits + g.gumbel(size=logits.shape)).argmax(1)
    return TableData(_numbers(x), np.asarray(["a", "b", "c"])[chosen], "classify")


def _sklearn(name: str) -> Callable[[], TableData]:
    def load() -> TableData:
        import sklearn.datasets

        bunch = getattr(sklearn.datasets, f"load_{name}")()
        frame = pd.DataFrame(bunch.data, columns=[str(feature) for feature in bunch.feature_names])
        if name == "diabetes":
            return TableData(frame, np.asarray(bunch.target, dtype=np.float64), "regress")
        return TableData(frame, np.asarray([f"class {c}" for c in bunch.target]), "classify")

    return load


ALL: dict[str, Callable[[], TableData]] = {
    **{name: _sklearn(name) for name in ("breast_cancer", "wine", "digits", "diabetes")},
    "linear": linear,
    "interactions": interactions,
    "periodic": periodic,
    "categories": categories,
    "missing": missing,
    "large": large,
}
