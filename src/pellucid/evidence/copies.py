"""Rows that stand on both sides of a split: exact copies, and rows that differ by less than chance explains.

What is near is told by the table itself: the distance of a test row to its nearest training row, and the number of
dimensions in which rows lie (two-nearest-neighbour estimate, Facco et al. 2017), say how many pairs as close as these
chance would make. Values on a coarse grid repeat by chance, too: they are spread over their cells before this is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pellucid.core.random import stream
from pellucid.core.rows import Index
from pellucid.data.profile import Finding

__all__ = ["Copies", "copies_across", "find_copies"]

RARE = 1e-5  # chance of an alarm on a table without copies
GRADES = 20  # different numbers that are treated as words
MOST = 4000  # rows of each side that are compared
NEAR = 0.1  # of the typical distance to the nearest training row

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class Copies(NamedTuple):
    """Test rows with a copy in training.

    Args:
        exact, near: positions of test rows: equal to a training row, or nearer than chance explains.
        expected: exact and near ones that chance would make.
        alarm: whether chance explains them.
    """

    exact: Index
    near: Index
    expected: tuple[float, float]
    alarm: tuple[bool, bool]


def copies_across(
    fields: Mapping[str, Array], train: Index, test: Index, *, where: str = "data", seed: int = 0
) -> tuple[list[Finding], list[str]]:
    """Copies across one split as a finding, or as a note where equal rows are different cases."""
    got = find_copies(fields, train, test, seed=seed)
    check = "duplicates across splits"
    mend = "remove the copies, or keep those of one case together (data.group)"
    if got.alarm[0]:
        rows = ", ".join(str(int(i) + 1) for i in got.exact[:3])
        what = f"{len(got.exact)} of {len(test)} test rows have an exact copy in training (rows {rows}, ...)."
        return [Finding(check, what, where, mend)], []
    if got.alarm[1]:
        rows = ", ".join(str(int(i) + 1) for i in got.near[:3])
        what = (
            f"{len(got.near)} of {len(test)} compared test rows have a near copy in training "
            f"(rows {rows}, ...); chance explains {got.expected[1]:.2g}."
        )
        return [Finding(check, what, where, mend)], []
    if len(got.exact):
        return [], [f"{len(got.exact)} test rows equal a training row, no more than values so coarse repeat by chance"]
    return [], []


def find_copies(fields: Mapping[str, Array], train: Index, test: Index, *, seed: int = 0) -> Copies:
    """Compare the two sides of a split.

    Args:
        fields: numbers or text, shape (n,) or (n, width).
        train, test: positions.
    """
    codes = _codes(fields)
    known = {row.tobytes() for row in codes[train]}
    exact = np.asarray([i for i in test if codes[i].tobytes() in known], dtype=np.int64)
    train, test = _some(train, seed, "train"), _some(test, seed, "test")
    x, cell = _scaled(fields)
    numeric = cell > 0
    if len(train) < 20 or len(test) < 5:
        return Copies(exact, exact, (float("nan"), float("nan")), (False, False))
    if not numeric.any():
        # Words and grades alone: of rows that differ from their nearest in so many columns, Poisson's share is equal.
        by_chance = len(test) * float(np.exp(-_columns_apart(codes[train], codes[test])))
        held = np.intersect1d(exact, test)
        return Copies(exact, exact, (by_chance, by_chance), (_beyond(len(held), by_chance, len(test)), False))
    # Words are left out where chance is asked: more pairs are close by numbers alone than by both.
    spread = (x + cell * stream(seed, "copies/spread").uniform(-0.5, 0.5, x.shape))[:, numeric]
    apart, second = _nearest(spread[train], spread[test])
    held = exact if len(exact) == 0 else np.intersect1d(exact, test)
    # A copy has, after spreading, a nearest row within one cell; typical distances are those of the others.
    others = ~np.isin(test, held)
    if others.sum() < 5:
        others = np.ones(len(test), dtype=bool)
    typical = float(np.median(apart[others]))
    ratio = second[others & (apart > 0)] / apart[others & (apart > 0)]
    dimensions = max(1.0, np.log(2) / max(float(np.log(np.median(ratio))), 1e-3)) if len(ratio) else 1.0
    dimensions = min(dimensions, float(numeric.sum()))
    n = len(test)

    def chance(radius: float) -> float:
        return float(n * min(1.0, np.log(2) * (radius / max(typical, 1e-300)) ** dimensions))

    by_grid = chance(float(cell[numeric].max()))
    radius = typical * min(NEAR, (0.5 / (n * np.log(2))) ** (1 / dimensions))
    raw, _ = _nearest(x[train], x[test])
    near = test[raw <= radius]
    # Cells wider than the radius make pairs at distance nought by chance.
    by_chance = max(chance(radius), by_grid if float(cell[numeric].max()) > radius else 0.0)
    return Copies(exact, near, (by_grid, by_chance), (_beyond(len(held), by_grid, n), _beyond(len(near), by_chance, n)))


def _beyond(count: int, expected: float, n: int) -> bool:
    from scipy.stats import poisson

    # Twice what is expected: the dimensions are an estimate.
    return count > 0 and bool(poisson.sf(count - 1, min(n, 2 * expected)) < RARE)


def _columns_apart(train: Floats, test: Floats) -> float:
    """In how many columns a test row differs from its nearest training row, the median."""
    few = test[:: max(1, len(test) // 200)]
    return float(np.median([(train != row).sum(1).min() for row in few]))


def _some(index: Index, seed: int, side: str) -> Index:
    if len(index) <= MOST:
        return index
    return np.sort(index[stream(seed, f"copies/{side}").permutation(len(index))[:MOST]])


def _codes(fields: Mapping[str, Array]) -> npt.NDArray[np.float64]:
    columns = []
    for values in fields.values():
        if values.dtype.kind in "OUS":
            columns.append(np.unique(values.astype(str), return_inverse=True)[1].astype(np.float64)[:, None])
        else:
            flat = values.astype(np.float64).reshape(len(values), -1)
            columns.append(np.where(np.isnan(flat), -1.2345e300, flat + 0.0))
    return np.ascontiguousarray(np.concatenate(columns, axis=1))


def _scaled(fields: Mapping[str, Array]) -> tuple[Floats, Floats]:
    """Columns in units of their spread, and the width of each one's grid in the same units (0: words)."""
    columns, cells = [], []
    for values in fields.values():
        if values.dtype.kind in "OUS":
            codes = np.unique(values.astype(str), return_inverse=True)[1]
            columns.append(3.0 * codes[:, None].astype(np.float64))  # another word is far away
            cells.append(np.zeros(1))
            continue
        flat = values.astype(np.float64).reshape(len(values), -1)
        for j in range(flat.shape[1]):
            x = flat[:, j]
            there = np.isfinite(x)
            distinct = np.unique(x[there])
            if len(distinct) < 2:
                continue
            if len(distinct) <= GRADES:
                columns.append(3.0 * np.searchsorted(distinct, np.where(there, x, np.inf))[:, None].astype(np.float64))
                cells.append(np.zeros(1))
                continue
            low, high = np.quantile(x[there], [0.25, 0.75])
            sd = float(high - low) / 1.35 or float(x[there].std())
            step = float(np.diff(distinct).min()) if len(distinct) < 0.9 * there.sum() else 0.0
            columns.append(np.where(there, (x - np.median(x[there])) / sd, 50.0)[:, None])
            cells.append(np.full(1, max(step / sd, 1e-12)))
    if not columns:
        return np.zeros((len(next(iter(fields.values()))), 1)), np.zeros(1)
    return np.concatenate(columns, axis=1), np.concatenate(cells)


def _nearest(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Largest difference in any column to the nearest and the second nearest training row."""
    from scipy.spatial import cKDTree

    distances, _ = cKDTree(train).query(test, k=2, p=np.inf)
    return np.asarray(distances[:, 0]), np.asarray(distances[:, 1])
