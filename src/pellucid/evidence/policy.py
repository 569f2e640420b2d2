"""One figure for several training seeds: what a method earns, not what one lucky fit earned.

Below ten seeds the mean with Student's t; from ten on the interquartile mean with a stratified bootstrap (Agarwal et
al. 2021, "Deep reinforcement learning at the edge of the statistical precipice"; their library is rliable).

Every policy plays the same held-out episodes, so two things are drawn by chance, seeds and episodes, and they are
crossed. Both are counted: an interval of seeds alone has no width when all fits agree, however few their episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence.intervals import FEW, Floats, percentile

__all__ = ["Against", "Aggregate", "aggregate", "compare_with", "interquartile_mean"]

TRIM = 0.25  # of the scores on either side


@dataclass(frozen=True)
class Aggregate:
    """A figure over seeds with its interval.

    Args:
        statistic: "mean" below ten seeds, else "interquartile mean".
        seeds: how many fits.
        episodes: how many held-out episodes each of them played.
        scores: mean return of every seed, in the order given; of several environments one after the other.
        mean: of all scores, whatever the statistic.
    """

    statistic: Literal["mean", "interquartile mean"]
    value: float
    low: float
    high: float
    seeds: int
    episodes: int
    scores: tuple[float, ...]
    mean: float
    method: str


@dataclass(frozen=True)
class Against:
    """The seeds' return minus a baseline's on the same episodes; a verdict where the interval leaves zero."""

    name: str
    difference: Aggregate
    verdict: Literal["better", "worse", "undecided"]


def aggregate(*returns: npt.ArrayLike, seed: int = 0, draws: int = 2000, level: float = 0.95) -> Aggregate:
    """Mean or interquartile mean over seeds, with its interval.

    Args:
        returns: of each environment (a stratum), a return per seed (S,), or per seed and episode (S, E), the same
            episodes for every seed. Several environments must have comparable, normalised returns.
        draws: bootstrap samples.
    Raises:
        DataError: fewer than two seeds, or a return that is not finite.
    Differs from the paper: episodes are resampled beside seeds (the pigeonhole bootstrap of Owen 2007, which errs on
    the wide side), and the percentiles are spread as Student's t asks for few seeds (Hesterberg 2015, section 3.3).
    """
    strata = [_checked(one) for one in returns]
    if not strata:
        raise DataError("there are no returns.", where="aggregate(...)", mend="give an array (seeds, episodes)")
    scores = np.concatenate([one.mean(1) for one in strata])
    few = min(len(one) for one in strata)
    value, low, high, method = _student(strata, level) if few < FEW else _bootstrap(strata, seed, draws, level)
    if all(np.ptp(one) == 0.0 for one in strata):
        method += "; all returns are equal"
    return Aggregate(
        "mean" if few < FEW else "interquartile mean",
        value,
        low,
        high,
        few,
        min(one.shape[1] for one in strata),
        tuple(float(x) for x in scores),
        float(scores.mean()),
        method,
    )


def compare_with(
    name: str, returns: npt.ArrayLike, baseline: npt.ArrayLike, *, seed: int = 0, draws: int = 2000, level: float = 0.95
) -> Against:
    """Every seed's return minus a baseline's, episode by episode.

    Args:
        returns: (S, E).
        baseline: of the same episodes in the same order, (E,).
    """
    ours, theirs = _checked(returns), np.asarray(baseline, dtype=np.float64).reshape(-1)
    if ours.shape[1] != len(theirs):
        raise DataError(
            f"the seeds played {ours.shape[1]} episodes, '{name}' {len(theirs)}.",
            where="compare_with(...)",
            mend="give the returns of the same held-out episodes",
        )
    found = aggregate(ours - theirs, seed=seed, draws=draws, level=level)
    return Against(name, found, "better" if found.low > 0.0 else "worse" if found.high < 0.0 else "undecided")


def interquartile_mean(scores: Floats) -> Floats:
    """Mean of what is left without the lowest and the highest quarter (rounded down to whole scores), last axis."""
    cut = int(TRIM * scores.shape[-1])
    found: Floats = np.sort(scores, axis=-1)[..., cut : scores.shape[-1] - cut].mean(-1)
    return found


def _checked(returns: npt.ArrayLike) -> Floats:
    found = np.asarray(returns, dtype=np.float64)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or len(found) < 2 or not found.shape[1] or not np.isfinite(found).all():
        raise DataError(
            f"returns of the shape {found.shape} hold fewer than two seeds, or a value that is not finite.",
            where="aggregate(...)",
            mend="give finite returns (seeds, episodes) of two seeds at least",
        )
    return found


def _student(strata: list[Floats], level: float) -> tuple[float, float, float, str]:
    """Mean and t-interval: variances of the strata's means add up, their degrees of freedom by Satterthwaite (1946)."""
    parts = np.concatenate([_variances(one) for one in strata])  # rows: (signed variance of the mean, its freedom)
    value = float(np.mean([one.mean() for one in strata]))
    # Seed and episode parts both hold the interaction's: it is taken off once, but never below the larger part.
    least = sum(max(float(v) for v, _ in _variances(one)) for one in strata)
    variance = max(float(parts[:, 0].sum()), least)
    if variance == 0.0:
        half = 0.0
    else:
        freedom = variance**2 / float((parts[:, 0] ** 2 / parts[:, 1]).sum())
        half = float(stdtrit(max(1.0, freedom), (1 + level) / 2) * np.sqrt(variance)) / len(strata)
    crossed = any(one.shape[1] > 1 for one in strata)
    return value, value - half, value + half, f"Student's t over seeds{' and episodes' * crossed}, {level * 100:g} %"


def _variances(x: Floats) -> Floats:
    """(variance of the mean, degrees of freedom) of seeds, of episodes, and minus their interaction, (1 or 3, 2)."""
    S, E = x.shape
    seeds = (float(x.mean(1).var(ddof=1)) / S, S - 1.0)
    if E == 1:
        return np.array([seeds])
    episodes = (float(x.mean(0).var(ddof=1)) / E, E - 1.0)
    rest = x - x.mean(1, keepdims=True) - x.mean(0) + x.mean()
    freedom = (S - 1.0) * (E - 1.0)
    return np.array([seeds, episodes, (-float((rest**2).sum()) / freedom / (S * E), freedom)])


def _bootstrap(strata: list[Floats], seed: int, draws: int, level: float) -> tuple[float, float, float, str]:
    generator = stream(seed, "evidence/seeds")
    resampled = []
    for x in strata:
        S, E = x.shape
        weights = generator.multinomial(E, np.full(E, 1.0 / E), size=draws) / E if E > 1 else np.ones((draws, 1))
        means = weights @ x.T  # (draws, S): every seed's score on the episodes drawn
        chosen = generator.integers(0, S, size=(draws, S))
        resampled.append(np.take_along_axis(means, chosen, axis=1))
    found = interquartile_mean(np.concatenate(resampled, axis=1))
    S = min(len(x) for x in strata)
    freedom = float(sum(len(x) - 1 for x in strata))
    # A bootstrap of few values is too narrow by sqrt((n-1)/n) and by the tails that t has beside the normal.
    spread = 2.0 * float(ndtr(np.sqrt(S / (S - 1.0)) * stdtrit(freedom, (1 + level) / 2))) - 1.0
    low, high = percentile(found, spread)
    value = float(interquartile_mean(np.concatenate([x.mean(1) for x in strata])))
    crossed = " and episodes" * any(x.shape[1] > 1 for x in strata)
    kind = "stratified bootstrap" if len(strata) > 1 else "bootstrap"
    return value, low, high, f"{kind} over seeds{crossed}, expanded percentiles, {draws} resamples, {level * 100:g} %"
