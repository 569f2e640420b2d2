"""Two simulated markets of the same shape as the real one, whose truth is known.

`planted` holds a signal that a program must find (the positive control); `random_walk` holds nothing that can be
found (the negative control). In both, volume moves like real volume and means nothing.

    planted       r[t+1] = x[t] + sigma[t] * eps,  x[t] = PHI x[t-1] + noise,  log sigma an AR(1) of its own
    random_walk   r[t+1] = sigma * eps - sigma^2/2, sigma constant: the price is a martingale

With PHI = .9 and x carrying 36 % of the variance of r, the best linear forecast from 20 lags explains about 18 % of
the next return and 14 % of the one after (which a fill at the next close earns). Prices are observed on a path of
16 steps a day, so open, high and low agree with each other and with the close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import DataError, nearest
from pellucid.core.random import stream
from pellucid.data.prices import PriceTable

Array = npt.NDArray[np.float64]
Kind = Literal["planted", "random_walk"]

DAYS = 5031
FIRST_DAY = "1999-01-04"
DAILY_SD = 0.011  # log-return
PHI = 0.9  # of the signal
SIGNAL_SHARE = 0.36  # var(x) / var(r)
SIGMA_PHI, SIGMA_SD = 0.98, 0.45  # of log sigma: about what daily stock indices show
VOLUME_PHI, VOLUME_SD, VOLUME_MEAN = 0.85, 0.25, 21.5  # of log volume
INTRADAY = 16
FIRST_PRICE = 1000.0


@dataclass(frozen=True)
class Truth:
    """What the simulation knows: day t's distribution of the log-return t -> t+1.

    Args:
        signal: its mean, shape (n,).
        sigma: its standard deviation, shape (n,).
    """

    signal: Array
    sigma: Array


def simulate(kind: Kind | str, n: int = DAYS, seed: int = 0) -> tuple[PriceTable, Truth]:
    """A market and its truth; a shorter one is the beginning of a longer one.

    Args:
        kind: "planted" or "random_walk".
        n: business days from 1999-01-04.
        seed: the same seed gives the same market.
    Returns:
        The prices (asset "PLANTED" or "RANDOM_WALK", with ":seed" unless it is 0) and what generated them.
    """
    if kind not in get_args(Kind):
        mend = nearest(kind, get_args(Kind)) or f"one of {', '.join(get_args(Kind))}"
        raise DataError(f"no simulated market '{kind}'.", where="simulate(kind)", mend=mend)
    if n < 2:
        raise DataError(f"{n} days make no market.", where="simulate(n)", mend="ask for at least 2")

    def noise(part: str, *shape: int) -> Array:
        return stream(seed, f"{kind}/{part}").standard_normal((n, *shape))

    if kind == "planted":
        signal = _ar1(noise("signal"), PHI) * DAILY_SD * np.sqrt(SIGNAL_SHARE)
        level = DAILY_SD * np.sqrt(1 - SIGNAL_SHARE) * np.exp(-(SIGMA_SD**2))  # so that E[sigma^2] is as declared
        sigma = level * np.exp(SIGMA_SD * _ar1(noise("sigma"), SIGMA_PHI))
    else:
        signal, sigma = np.full(n, -(DAILY_SD**2) / 2), np.full(n, DAILY_SD)  # E[exp(r)] = 1

    log_return = np.concatenate([[0.0], signal[:-1] + sigma[:-1] * noise("return")[1:]])
    day_sd = np.concatenate([sigma[:1], sigma[:-1]])
    close = FIRST_PRICE * np.exp(np.cumsum(log_return))
    path = _path(close, log_return, day_sd, noise("path", INTRADAY))
    volume = np.exp(VOLUME_MEAN + VOLUME_SD * _ar1(noise("volume"), VOLUME_PHI))
    frame = pd.DataFrame(
        {
            "open": path[:, 0],
            "high": path.max(axis=1),
            "low": path.min(axis=1),
            "close": close,
            "volume": np.round(volume),
        },
        index=pd.bdate_range(FIRST_DAY, periods=n, name="date"),
    )
    asset = kind.upper() if seed == 0 else f"{kind.upper()}:{seed}"
    return PriceTable(asset, frame), Truth(signal, sigma)


def _ar1(noise: Array, phi: float) -> Array:
    """A stationary AR(1) of unit variance driven by unit `noise`."""
    out, scale = np.empty_like(noise), float(np.sqrt(1 - phi**2))
    value = float(noise[0])
    out[0] = value
    for t in range(1, len(noise)):
        value = phi * value + scale * float(noise[t])
        out[t] = value
    return out


def _path(close: Array, log_return: Array, sd: Array, noise: Array) -> Array:
    """Prices after each of the day's steps, shape (n, steps): a Brownian bridge from the last close to this one.

    The first step is the night: its end is the open.
    """
    steps = noise.shape[1]
    bridge = (noise - noise.mean(axis=1, keepdims=True)) * (sd / np.sqrt(steps))[:, None]
    walked = np.cumsum(bridge + (log_return / steps)[:, None], axis=1)
    path: Array = (close / np.exp(log_return))[:, None] * np.exp(walked)
    path[:, -1] = close  # without rounding
    return path
