"""What a book of daily net returns was worth: return, risk, drawdown, turnover, and a Sharpe ratio charged for trials.

Returns are simple and on a fixed notional, so wealth is one plus their running sum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence.intervals import (
    Floats,
    Interval,
    finite,
    method_text,
    percentile,
    resampled_means,
)

__all__ = [
    "DAYS",
    "annualised_return",
    "annualised_volatility",
    "deflated_sharpe",
    "expected_best_sharpe",
    "max_drawdown",
    "replay",
    "sharpe",
    "sharpe_interval",
    "trading_summary",
    "turnover",
]

DAYS = 252  # trading days a year


def replay(decided: npt.ArrayLike, next_returns: npt.ArrayLike, cost: float) -> Floats:
    """Net rewards of decisions that are filled one close later: the accounting of `StockTrading-v0`.

    Step i goes from close t to close t+1. The position p_i held over it earns next_returns[i]; the decision a_i made
    after close t is filled at close t+1 and pays cost * |a_i - p_i| there. p_0 = 0 and p_{i+1} = a_i.

    Args:
        decided: positions a_i, shape (..., n).
        next_returns: simple return from close t to close t+1, shape (..., n).
        cost: share of the notional traded, e.g. 0.0005 for 5 basis points.
    Returns:
        p_i * next_returns[i] - cost * |a_i - p_i|, shape (..., n).
    """
    a, r = np.asarray(decided, dtype=np.float64), np.asarray(next_returns, dtype=np.float64)
    if a.shape != r.shape:
        raise DataError(
            f"{a.shape} decisions do not go with {r.shape} returns.",
            where="replay(...)",
            mend="give the return of t -> t+1 for every decision after close t",
        )
    held = np.concatenate([np.zeros_like(a[..., :1]), a[..., :-1]], axis=-1)
    net: Floats = held * r - cost * np.abs(a - held)
    return net


def annualised_return(net: npt.ArrayLike, days: int = DAYS) -> float:
    """Mean net return a year on a fixed notional (not compounded)."""
    return float(np.mean(finite(net, where="annualised_return"))) * days


def annualised_volatility(net: npt.ArrayLike, days: int = DAYS) -> float:
    """Standard deviation of net returns, a year."""
    return float(np.std(finite(net, where="annualised_volatility"), ddof=1)) * float(np.sqrt(days))


def sharpe(net: npt.ArrayLike, days: int = DAYS) -> float:
    """Annualised mean over standard deviation (Sharpe 1994), no interest on cash; 0 when nothing moves."""
    spread = annualised_volatility(net, days)
    return annualised_return(net, days) / spread if spread > 0 else 0.0


def sharpe_interval(
    net: npt.ArrayLike, *, block: float, seed: int, draws: int = 2000, level: float = 0.95, days: int = DAYS
) -> Interval:
    """The annualised Sharpe ratio with a block-bootstrap percentile interval."""
    values = finite(net, where="sharpe_interval")
    if values.std() == 0:
        return Interval(0.0, 0.0, 0.0, len(values), "nothing moves")
    moments = np.stack([values, (values - values.mean()) ** 2], axis=1)
    means = resampled_means(moments, block=block, draws=draws, generator=stream(seed, "evidence/sharpe"))
    # the resample's variance about its own mean, from its second moment about the sample mean
    variance = np.maximum(means[:, 1] - (means[:, 0] - values.mean()) ** 2, 1e-300)
    low, high = percentile(means[:, 0] / np.sqrt(variance * len(values) / (len(values) - 1)), level)
    year = float(np.sqrt(days))
    return Interval(sharpe(values, days), low * year, high * year, len(values), method_text(block, draws, level))


def max_drawdown(net: npt.ArrayLike) -> float:
    """Largest fall of wealth below its earlier peak, in units of the fixed notional (0 or positive)."""
    wealth = np.concatenate([[0.0], np.cumsum(finite(net, where="max_drawdown"))])
    return float((np.maximum.accumulate(wealth) - wealth).max())


def turnover(decided: npt.ArrayLike, days: int = DAYS) -> float:
    """Notional traded a year, starting from no position, in units of the notional."""
    return float(np.abs(np.diff(np.asarray(decided, dtype=np.float64), prepend=0.0)).mean()) * days


def expected_best_sharpe(trials: int, variance: float) -> float:
    """Expected largest Sharpe ratio of `trials` without skill (Bailey & Lopez de Prado 2014, eq. 1).

    Args:
        trials: independent trials, at least 1; one trial is not selected, so nothing is charged.
        variance: of the trials' Sharpe ratios, in the same (per-day) unit.
    """
    if trials <= 1:
        return 0.0
    first, second = ndtri(1 - 1 / trials), ndtri(1 - 1 / (trials * np.e))
    return float(np.sqrt(variance) * ((1 - np.euler_gamma) * first + np.euler_gamma * second))


def deflated_sharpe(
    ratio: float, *, n: int, skew: float, kurtosis: float, trials: int, variance: float | None = None
) -> float:
    """Probability that the true Sharpe ratio exceeds what the best of `trials` would show by luck.

    Bailey & Lopez de Prado (2014), "The deflated Sharpe ratio".

    Args:
        ratio: observed Sharpe ratio **per day**, not annualised.
        n: days.
        skew, kurtosis: of the daily returns; 0 and 3 for a normal distribution.
        trials: how many programs were tried, this one included.
        variance: of the trials' daily Sharpe ratios; when None, the sampling variance of this one's.
    """
    spread = max(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2, 1e-12)
    best = expected_best_sharpe(trials, spread / (n - 1) if variance is None else variance)
    return float(ndtr((ratio - best) * np.sqrt(n - 1) / np.sqrt(spread)))


def trading_summary(
    net: npt.ArrayLike, decided: npt.ArrayLike, *, block: float, seed: int, trials: int = 1
) -> dict[str, float]:
    """The figures printed under a trading task; returns and volatility as shares of the notional a year."""
    values = finite(net, where="trading_summary")
    ratio = sharpe_interval(values, block=block, seed=seed)
    centred = values - values.mean()
    spread = float(values.std())
    skew = float((centred**3).mean()) / spread**3 if spread > 0 else 0.0
    kurtosis = float((centred**4).mean()) / spread**4 if spread > 0 else 3.0
    return {
        "annual_return": annualised_return(values),
        "annual_volatility": annualised_volatility(values),
        "sharpe": ratio.value,
        "sharpe_low": ratio.low,
        "sharpe_high": ratio.high,
        "deflated_sharpe": deflated_sharpe(
            ratio.value / float(np.sqrt(DAYS)), n=len(values), skew=skew, kurtosis=kurtosis, trials=trials
        ),
        "trials": float(trials),
        "max_drawdown": max_drawdown(values),
        "turnover": turnover(decided),
    }
