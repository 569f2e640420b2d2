"""Clean tables of many shapes, and leaks to plant in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Fields = dict[str, Array]


def clean(seed: int, kind: str) -> tuple[Fields, Array]:
    """Correlated, rounded, heavy-tailed, gappy fields and words; a target with a strong cause and noise."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(150, 900)), int(rng.integers(2, 8))
    x = rng.normal(size=(n, k)) @ rng.normal(size=(k, k))
    x = [x, np.round(x, 1), np.exp(x / 2), np.cumsum(x, axis=0) / 10][seed % 4]
    fields: Fields = {f"x{j}": x[:, j].copy() for j in range(k)}
    fields["x0"] = np.where(rng.random(n) < 0.1 * (seed % 3), np.nan, fields["x0"])
    fields["word"] = rng.choice(["a", "b", "c", ""], n).astype(object)
    fields["flag"] = rng.integers(0, 2, n).astype(float)
    z = (x[:, 1] - x[:, 1].mean()) / x[:, 1].std()
    score = 2.0 * z + (fields["word"] == "a") + 0.8 * rng.normal(size=n)
    if kind == "regress":
        return fields, score
    cuts = np.quantile(score, [0.3, 0.9] if seed % 2 else [0.5])
    return fields, np.asarray(["low", "mid", "high"])[np.searchsorted(cuts, score)]


def outcome(y: Array) -> Array:
    """A target as numbers."""
    return y if y.dtype.kind == "f" else np.unique(y, return_inverse=True)[1].astype(float)


def plant(leak: str, fields: Fields, y: Array, rng: np.random.Generator) -> Array:
    """A field that gives the target away."""
    n, t = len(y), outcome(y)
    if leak == "copy":
        return y.astype(object) if y.dtype.kind == "U" else y.copy()
    if leak == "other names":
        return np.asarray([f"code {7 * v}" for v in t], dtype=object) if y.dtype.kind == "U" else 5.0 - 3.0 * t
    if leak == "transform":
        return np.exp(2.0 * (t - t.mean()) / (t.std() or 1.0))
    if leak == "almost":
        return t + 0.02 * t.std() * rng.normal(size=n)
    if leak == "words that tell":
        return np.asarray([f"{'abc'[i % 3]}{int(v)}" for i, v in enumerate(np.round(t, 1) * 10)], dtype=object)
    assert leak == "filled in after"
    return np.where(t > np.median(t) if y.dtype.kind == "f" else t == t.max(), rng.normal(size=n), np.nan)
