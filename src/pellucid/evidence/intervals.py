"""Confidence intervals of a mean, for independent rows and for rows in time.

Losses of successive days are not independent, and resampling them one by one makes intervals too narrow. The
stationary bootstrap (Politis & Romano 1994) resamples blocks of geometric length instead. The mean of a block
is a difference of two cumulative sums, so that a resample costs one subtraction a block, not one lookup a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.rows import Index

__all__ = [
    "FEW",
    "Interval",
    "bca",
    "episode_interval",
    "iid_bootstrap",
    "mean_interval",
    "percentile",
    "resampled_means",
    "stationary_bootstrap",
    "stationary_indices",
    "t_interval",
]

Floats = npt.NDArray[np.float64]

FEW = 10  # below this many values a bootstrap interval is too narrow, and Student's t is used
MANY = 100_000  # rows from which on a resample is drawn by buckets
BUCKETS = 512
TAIL = 256  # extreme values on each side that are drawn one by one
CHUNK = 4_000_000  # entries of an index matrix that are in memory at once


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval, the number of values behind it, and how it was made."""

    value: float
    low: float
    high: float
    n: int
    method: str


def iid_bootstrap(values: Floats, *, draws: int, generator: np.random.Generator) -> Floats:
    """Means of `draws` resamples of independent rows (Efron 1979).

    Args:
        values: shape (n,) or (n, k).
    Returns:
        Shape (draws,) or (draws, k).
    """
    n = len(values)
    if n > MANY and values.ndim == 1:
        return _bucketed(values, draws, generator)
    chunk = max(1, CHUNK // (n * max(1, values[0].size)))
    parts = []
    for start in range(0, draws, chunk):
        index = generator.integers(0, n, size=(min(chunk, draws - start), n), dtype=np.int32)
        parts.append(values[index].mean(axis=1))
    return np.concatenate(parts)


def _bucketed(values: Floats, draws: int, generator: np.random.Generator) -> Floats:
    """`iid_bootstrap` of very many rows without a lookup a row.

    Sorted values lie in buckets of near equals, the extreme ones each alone. How many of a resample fall into each is
    drawn exactly (multinomial); the sum of so many draws within a bucket is normal with its mean and variance.
    """
    ordered = np.sort(values)
    alone = np.concatenate([ordered[:TAIL], ordered[-TAIL:]])
    buckets = [*alone.reshape(-1, 1), *np.array_split(ordered[TAIL:-TAIL], BUCKETS)]
    sizes = np.asarray([len(bucket) for bucket in buckets])
    means = np.asarray([bucket.mean() for bucket in buckets])
    spread = np.asarray([bucket.var() for bucket in buckets])
    counts = generator.multinomial(len(values), sizes / len(values), size=draws)
    within = np.sqrt(counts @ spread) * generator.standard_normal(draws)
    found: Floats = (counts @ means + within) / len(values)
    return found


def stationary_bootstrap(values: Floats, *, block: float, draws: int, generator: np.random.Generator) -> Floats:
    """Means of `draws` resamples of rows in time, by blocks of geometric length (Politis & Romano 1994).

    Args:
        values: in time order, shape (n,) or (n, k); the series is closed to a circle.
        block: mean length of a block, in rows.
    Returns:
        Shape (draws,) or (draws, k).
    """
    n = len(values)
    first, length = _blocks(n, block, draws, generator)
    centre = values.mean(axis=0)  # sums of centred values lose no digits
    doubled = np.concatenate([values, values]) - centre
    total = np.concatenate([np.zeros_like(doubled[:1]), np.cumsum(doubled, axis=0)])
    sums: Floats = (total[first + length] - total[first]).sum(axis=1)
    means: Floats = sums / n + centre
    return means


def stationary_indices(n: int, *, block: float, draws: int, generator: np.random.Generator) -> Index:
    """Row positions of stationary resamples, shape (draws, n), for statistics that are not means of columns."""
    first, length = _blocks(n, block, draws, generator)
    starts = np.repeat(first.ravel(), length.ravel()).reshape(draws, n)
    begins = np.repeat((np.cumsum(length, axis=1) - length).ravel(), length.ravel()).reshape(draws, n)
    index: Index = (starts + np.arange(n) - begins) % n
    return index


def _blocks(n: int, block: float, draws: int, generator: np.random.Generator) -> tuple[Index, Index]:
    """First rows and lengths of the blocks, each (draws, blocks); lengths sum to n, blocks past n have length 0."""
    if block < 1:
        raise DataError(
            f"a mean block of {block} rows is shorter than one row.",
            where="stationary_bootstrap(block=...)",
            mend="give 1 (independent rows) or more",
        )
    expected = n / block
    more = int(np.ceil(expected + 4 * np.sqrt(expected) + 4))
    ends = np.zeros((draws, 1), dtype=np.int64)
    parts = [ends]
    while int(ends[:, -1].min()) < n:
        lengths = np.minimum(generator.geometric(1.0 / block, size=(draws, more)), n)
        ends = ends[:, -1:] + np.cumsum(lengths, axis=1)
        parts.append(ends)
    edges = np.minimum(np.concatenate(parts, axis=1), n)
    length = np.diff(edges, axis=1)
    first = generator.integers(0, n, size=length.shape)
    return first, length


def resampled_means(values: Floats, *, block: float, draws: int, generator: np.random.Generator) -> Floats:
    """`iid_bootstrap` for a block of 1, else `stationary_bootstrap`."""
    if block == 1:
        return iid_bootstrap(values, draws=draws, generator=generator)
    return stationary_bootstrap(values, block=block, draws=draws, generator=generator)


def percentile(means: Floats, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled means, shape (draws,)."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bca(values: Floats, means: Floats, level: float = 0.95) -> tuple[float, float]:
    """The bias-corrected and accelerated interval of a mean (Efron 1987); for independent rows only.

    Args:
        values: shape (n,).
        means: from `iid_bootstrap(values)`, shape (draws,).
    """
    centred = values - values.mean()
    spread = float((centred**2).sum())
    if spread == 0:
        return percentile(means, level)
    acceleration = float((centred**3).sum()) / (6 * spread**1.5)
    below = ((means < values.mean()).mean() + (means <= values.mean()).mean()) / 2
    bias = ndtri(np.clip(below, 1e-12, 1 - 1e-12))
    z = ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(means, ndtr(bias + (bias + z) / (1 - acceleration * (bias + z))))
    return float(low), float(high)


def t_interval(values: Floats, level: float = 0.95) -> Interval:
    """Student's interval of a mean; infinite for fewer than two values."""
    n = len(values)
    value = float(values.mean()) if n else float("nan")
    method = f"Student's t, {level:.0%}".replace("%", " %")
    if n < 2:
        return Interval(value, -np.inf, np.inf, n, method)
    half = float(stdtrit(n - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(n))
    return Interval(value, value - half, value + half, n, method)


def mean_interval(
    values: npt.ArrayLike, *, block: float, seed: int, draws: int = 2000, level: float = 0.95, name: str = "mean"
) -> Interval:
    """Percentile interval of a mean; Student's t below 10 values.

    Args:
        values: in time order when `block` > 1, shape (n,).
        block: mean block length in rows; 1 for independent rows.
        seed: with `name`, keys the random stream.
    Raises:
        DataError: a value is not finite.
    """
    array = finite(values, where=f"the interval of '{name}'")
    if len(array) < FEW:
        return t_interval(array, level)
    generator = stream(seed, f"evidence/interval/{name}")
    low, high = percentile(resampled_means(array, block=block, draws=draws, generator=generator), level)
    return Interval(float(array.mean()), low, high, len(array), method_text(block, draws, level))


def episode_interval(returns: npt.ArrayLike, *, seed: int, draws: int = 2000, level: float = 0.95) -> Interval:
    """Interval of a policy's mean return over independent episodes: Student's t below 10, bootstrap from 10."""
    return mean_interval(returns, block=1, seed=seed, draws=draws, level=level, name="episodes")


def method_text(block: float, draws: int, level: float) -> str:
    """`stationary bootstrap, mean block 20, 2000 resamples, 95 %`."""
    kind = "bootstrap of independent rows" if block == 1 else f"stationary bootstrap, mean block {block:g}"
    return f"{kind}, {draws} resamples, {level * 100:g} %"


def finite(values: npt.ArrayLike, *, where: str) -> Floats:
    """`values` as float64, shape (n,); a `DataError` that counts them when some are not finite or none is there."""
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    bad = int((~np.isfinite(array)).sum())
    if bad or not len(array):
        raise DataError(
            f"{bad} of {len(array)} values are not finite." if bad else "there are no values.",
            where=where,
            mend="leave out the rows that have no target yet" if bad else "give at least one row",
        )
    return array
