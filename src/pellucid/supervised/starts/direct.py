"""A linear map to every step ahead by itself, by ridge regression (Hoerl & Kennard 1970), towards the last value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.supervised.starts.shape import Shape

Floats = npt.NDArray[np.float64]

STRENGTHS = 10.0 ** np.arange(-3, 4)  # over the rows, per mean square of a column


def direct(x: Floats, target: Floats, shape: Shape) -> Floats:
    """The penalty of the least generalised cross-validation (Golub, Heath & Wahba 1979)."""
    there = np.isfinite(target).all(1)
    x, target = x[there], target[there]
    maps = np.zeros((shape.horizon, shape.window + 2))
    n = len(x)
    if n < 3:
        return maps
    centre, aim = x.mean(0), target.mean(0)
    u, s, vt = np.linalg.svd(x - centre, full_matrices=False)
    onto = u.T @ (target - aim)
    size = float((s**2).sum()) / max(1, x.shape[1])
    best, lowest = np.zeros((x.shape[1], shape.horizon)), np.inf
    for strength in STRENGTHS:
        shrink = s**2 / (s**2 + strength * size + 1e-12)
        residual = ((target - aim - u @ (shrink[:, None] * onto)) ** 2).mean()
        # Rows overlap, so that their errors are far fewer than they seem: freedom is charged a horizon's worth.
        free = min(0.9, shape.horizon * (1 + shrink.sum()) / n)
        score = residual / (1 - free) ** 2
        if score < lowest:
            lowest = score
            best = vt.T @ ((shrink / np.maximum(s, 1e-12))[:, None] * onto)
    maps[:, :-1], maps[:, -1] = best.T, aim - centre @ best
    return maps
