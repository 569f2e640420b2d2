"""Two programs on the same rows: the interval of the mean paired difference, and what it allows one to say.

Never two separate averages: what both find hard cancels in the pair, which makes the interval of the change
much narrower than the intervals of the two losses suggest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri, stdtrit

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence.intervals import FEW, Floats, finite, method_text, percentile, resampled_means

__all__ = ["Comparison", "McNemar", "PairedVerdict", "compare", "mcnemar"]

PairedVerdict = Literal["better", "equivalent", "worse", "undecided"]

# k differing pairs cannot be significant at 5 % by the sign test while 2^(1-k) > 0.05
FEWEST_CHANGES = 6


@dataclass(frozen=True)
class Comparison:
    """A candidate against a base, in units of the loss.

    Args:
        change: mean of (candidate - base); negative is better.
        low, high: its confidence interval.
        verdict: see `compare`.
        detectable: the smallest change found with 80 % probability on this many rows.
        changed: rows on which the losses differ.
    """

    change: float
    low: float
    high: float
    verdict: PairedVerdict
    n: int
    changed: int
    detectable: float
    method: str


def compare(
    base: npt.ArrayLike,
    candidate: npt.ArrayLike,
    *,
    block: float = 1,
    margin: float = 0.0,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
    name: str = "pair",
) -> Comparison:
    """The paired verdict on a candidate's losses.

    `equivalent` when the whole interval lies within ±margin, **even if it leaves zero out**: the margin says which
    changes do not matter, so a change that is certain and too small to matter is called equivalent. Else `worse`
    when the interval lies above zero, `better` when below, otherwise `undecided`. Using one 95 % interval for all
    makes the equivalence test a TOST (Schuirmann 1987) at 2.5 % a side, stricter than the usual 5 %. With a margin
    of 0 only identical losses are equivalent.

    Below 10 rows the interval is Student's t. When fewer than 6 rows differ at all, no sign test could be
    significant and the bootstrap is too sure of itself: the interval is widened to hold zero.

    Args:
        base, candidate: losses of the same rows in the same order, shape (n,); lower is better.
        block: mean block length of the stationary bootstrap, in rows; 1 for independent rows.
        margin: in units of the loss.
    Raises:
        DataError: the lengths differ, or a loss is not finite.
    """
    a, b = finite(base, where="compare(base)"), finite(candidate, where="compare(candidate)")
    if len(a) != len(b):
        raise DataError(
            f"the base has {len(a)} losses, the candidate {len(b)}.",
            where="compare(base, candidate)",
            mend="join both on their keys first, then compare row by row",
        )
    difference = b - a
    n, changed = len(difference), int((difference != 0).sum())
    change = float(difference.mean())
    if changed == 0:
        return Comparison(0.0, 0.0, 0.0, "equivalent", n, 0, 0.0, "identical losses")
    if n < FEW:
        low, high, error = _student(difference, level)
        method = f"paired Student's t, {level * 100:g} %"
    else:
        generator = stream(seed, f"evidence/paired/{name}")
        means = resampled_means(difference, block=block, draws=draws, generator=generator)
        (low, high), error = percentile(means, level), float(means.std())
        method = "paired " + method_text(block, draws, level)
    if changed < FEWEST_CHANGES:
        low, high = min(low, 0.0), max(high, 0.0)
    detectable = float(ndtri((1 + level) / 2) + ndtri(0.8)) * error
    return Comparison(change, low, high, _verdict(low, high, margin), n, changed, detectable, method)


def _student(difference: Floats, level: float) -> tuple[float, float, float]:
    """Bounds and standard error; infinite when a handful of equal differences leaves no spread to estimate from."""
    n = len(difference)
    error = float(difference.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    if error <= 1e-12 * float(np.abs(difference).max()):
        return -np.inf, np.inf, np.inf
    half = float(stdtrit(n - 1, (1 + level) / 2)) * error
    return float(difference.mean()) - half, float(difference.mean()) + half, error


def _verdict(low: float, high: float, margin: float) -> PairedVerdict:
    if -margin <= low and high <= margin:
        return "equivalent"
    if low > 0:
        return "worse"
    return "better" if high < 0 else "undecided"


@dataclass(frozen=True)
class McNemar:
    """Rows that only one of two classifiers gets wrong, and the exact probability of a split so uneven."""

    to_worse: int
    to_better: int
    p: float


def mcnemar(base_wrong: npt.ArrayLike, candidate_wrong: npt.ArrayLike) -> McNemar:
    """McNemar's exact two-sided test (McNemar 1947): are flips to worse as likely as flips to better?

    Args:
        base_wrong, candidate_wrong: booleans for the same rows, shape (n,).
    """
    a, b = np.asarray(base_wrong, dtype=bool), np.asarray(candidate_wrong, dtype=bool)
    to_worse, to_better = int((~a & b).sum()), int((a & ~b).sum())
    flips = to_worse + to_better
    p = min(1.0, 2 * float(bdtr(min(to_worse, to_better), flips, 0.5))) if flips else 1.0
    return McNemar(to_worse, to_better, p)
