"""Slices: the groups of rows in which a program does worst, found by looking at all of them.

Groups are levels of a category, quarters of a number, rows that lack a value, and all pairs of these. Each is compared
with the rest of the rows by Welch's test (1947) of the mean loss, one-sided; of thousands of groups some look bad by
chance, so only those that pass the procedure of Benjamini & Hochberg (1995) over all groups are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from pellucid.core.random import stream
from pellucid.evidence.intervals import Floats

__all__ = ["Found", "Slice", "benjamini_hochberg", "groups_of", "worst_slices"]

Mask = npt.NDArray[np.bool_]
MOST_GROUPS = 300  # that are paired: the work grows with the square
MOST_ROWS = 20_000
MOST_LEVELS = 30


@dataclass(frozen=True)
class Slice:
    """A group of rows with a larger loss.

    Args:
        name: "sex = f and age in [60, 81]".
        n: its rows.
        value, rest: mean loss within it and outside.
        low: lower end of the 95 % interval (one-sided) of value - rest.
        p: of the one-sided test. q: the same, adjusted for all groups that were looked at.
    """

    name: str
    n: int
    value: float
    rest: float
    low: float
    p: float
    q: float

    @property
    def difference(self) -> float:
        return self.value - self.rest


@dataclass(frozen=True)
class Found:
    """The worst slices, and how many groups were looked at."""

    slices: list[Slice]
    looked_at: int


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Adjusted p-values, same shape (m,): those at most q hold a share of false alarms of at most q on average."""
    values = np.asarray(p, dtype=np.float64)
    m = len(values)
    order = np.argsort(values)
    raised = np.minimum.accumulate((values[order] * m / np.arange(1, m + 1))[::-1])[::-1]
    found = np.empty(m)
    found[order] = np.minimum(raised, 1.0)
    return found


def groups_of(name: str, values: npt.NDArray[Any]) -> dict[str, Mask]:
    """The groups of one field: levels, or quarters, and rows that lack it; fewer than two of them are none.

    Args:
        values: shape (n,), numbers or texts.
    """
    if values.dtype.kind in "iuf":
        return _quarters(name, values.astype(np.float64))
    texts = np.asarray(["" if v is None or v != v else str(v) for v in values])
    levels, counts = np.unique(texts, return_counts=True)
    most = levels[np.argsort(-counts, kind="stable")[:MOST_LEVELS]]
    found = {f"{name} = {level}" if level else f"{name} is missing": texts == level for level in most}
    return found if len(levels) > 1 else {}


def _quarters(name: str, x: Floats) -> dict[str, Mask]:
    known = np.isfinite(x)
    if not known.any():
        return {}
    levels = np.unique(x[known])
    found: dict[str, Mask] = {}
    if len(levels) <= 4:
        found = {f"{name} = {level:g}": x == level for level in levels}
    else:
        cuts = np.unique(np.quantile(x[known], [0.0, 0.25, 0.5, 0.75, 1.0]))
        if len(cuts) == 2:
            cuts = np.array([cuts[0], np.nextafter(cuts[0], np.inf), cuts[1]])
        place = np.clip(np.searchsorted(cuts, x, "right") - 1, 0, len(cuts) - 2)
        for i in range(len(cuts) - 1):
            end = "]" if i == len(cuts) - 2 else ")"
            found[f"{name} in [{cuts[i]:.4g}, {cuts[i + 1]:.4g}{end}"] = known & (place == i)
    if not known.all():
        found[f"{name} is missing"] = ~known
    return {label: mask for label, mask in found.items() if mask.any()} if len(found) > 1 else {}


def worst_slices(
    fields: Mapping[str, npt.NDArray[Any]],
    losses: npt.ArrayLike,
    *,
    least: int = 30,
    level: float = 0.05,
    most: int = 5,
    seed: int = 0,
) -> Found:
    """The groups whose mean loss is above that of all other rows.

    Args:
        fields: raw values by name, each (n,).
        losses: one a row that the judged fit had not seen, shape (n,).
        least: rows of a group, and of the rest, below which it is not looked at.
        level: of the false discovery rate.
        most: slices told; those that share a part with a worse one told already are left out.
        seed: of the draw of 20,000 rows where there are more.
    """
    loss = np.asarray(losses, dtype=np.float64)
    rows = np.arange(len(loss))
    if len(rows) > MOST_ROWS:
        rows = np.sort(stream(seed, "slices").choice(len(loss), MOST_ROWS, replace=False))
    loss = loss[rows]
    masks, names, owner = _groups(fields, rows, least)
    if not names:
        return Found([], 0)
    first, second, table = _sums(masks, loss - loss.mean(), owner)
    keep = (table[0] >= least) & (len(loss) - table[0] >= least)
    first, second, table = first[keep], second[keep], table[:, keep]
    if not len(first):
        return Found([], 0)
    p, difference, error, low = _welch(table, loss - loss.mean())
    q = benjamini_hochberg(p)
    told: list[Slice] = []
    taken: set[int] = set()
    for i in np.argsort(-difference / error, kind="stable"):  # the surest first: the whole group before its parts
        if q[i] > level or len(told) == most:
            continue
        a, b = int(first[i]), int(second[i])
        if {a, b} & taken:
            continue
        taken |= {a, b}
        name = names[a] if a == b else f"{names[a]} and {names[b]}"
        value = float(table[1, i] / table[0, i] + loss.mean())
        found = Slice(
            name, int(table[0, i]), value, value - float(difference[i]), float(low[i]), float(p[i]), float(q[i])
        )
        told.append(found)
    return Found(told, len(first))


def _groups(
    fields: Mapping[str, npt.NDArray[Any]], rows: npt.NDArray[np.int64], least: int
) -> tuple[npt.NDArray[np.float32], list[str], npt.NDArray[np.int64]]:
    """Indicator columns (n, groups), their names, and which field each is of."""
    found: list[tuple[str, Mask, int]] = []
    for i, (name, values) in enumerate(fields.items()):
        if values.ndim == 1:
            found += [(label, mask, i) for label, mask in groups_of(name, values[rows]).items() if mask.sum() >= least]
    # Where there are too many, an even choice that does not look at the losses.
    if len(found) > MOST_GROUPS:
        found = [found[j] for j in np.linspace(0, len(found) - 1, MOST_GROUPS).astype(int)]
    masks = np.stack([mask for _, mask, _ in found], axis=1).astype(np.float32) if found else np.empty((0, 0), "f4")
    return masks, [label for label, _, _ in found], np.asarray([i for _, _, i in found], dtype=np.int64)


def _sums(
    masks: npt.NDArray[np.float32], centred: Floats, owner: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Every group and pair of groups of two fields: (first, second, [n, sum, sum of squares])."""
    first, second = np.triu_indices(masks.shape[1])
    keep = (first == second) | (owner[first] != owner[second])
    first, second = first[keep], second[keep]
    weights = (np.ones_like(centred), centred, centred**2)
    table = np.stack([(masks.T @ (masks * w.astype(np.float32)[:, None]))[first, second] for w in weights])
    return first, second, table.astype(np.float64)


def _welch(table: Floats, centred: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """One-sided p, difference of the means, its standard error and its lower end, by column of the table."""
    n, total, squares = table
    m, rest_total, rest_squares = len(centred) - n, centred.sum() - total, (centred**2).sum() - squares
    mean, rest = total / n, rest_total / m
    a = np.maximum(squares / n - mean**2, 0.0) / (n - 1)  # squared standard errors
    b = np.maximum(rest_squares / m - rest**2, 0.0) / (m - 1)
    error = np.sqrt(np.maximum(a + b, 1e-300))
    df = np.maximum((a + b) ** 2 / np.maximum(a**2 / (n - 1) + b**2 / (m - 1), 1e-300), 1.0)
    difference = mean - rest
    p = np.where(a + b > 0, stdtr(df, -difference / error), np.where(difference > 0, 0.0, 1.0))
    return p, difference, error, difference - stdtrit(df, 0.95) * error
