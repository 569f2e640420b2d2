"""The series of bench/series.py: public ones, read from statsmodels at run time, and simulated ones for tuning.

Frequency, horizon, window, season and transform of each were fixed before any model was tried on it. Logarithms for
those that grow by rates (national accounts, prices, money, people); none for those that may be negative or are rates.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

LEVELS = ("realgdp", "realcons", "realinv", "realgovt", "realdpi", "cpi", "m1", "pop")
RATES = ("tbilrate", "unemp", "infl", "realint")


class Problem(NamedTuple):
    """One table of series with the section `data` that reads it."""

    frame: pd.DataFrame
    data: dict[str, Any]


def public(name: str) -> Problem:
    """One of `PUBLIC`."""
    return PUBLIC[name]()


def _data(**more: Any) -> dict[str, Any]:
    return {"kind": "series", "source": "dataframe", "target": "y", "time": "t", **more}


def _loaded(name: str) -> pd.DataFrame:
    frame: pd.DataFrame = import_module(f"statsmodels.datasets.{name}").load_pandas().data
    return frame


def sunspots() -> Problem:
    """Yearly, 1700 to 2008."""
    raw = _loaded("sunspots")
    frame = pd.DataFrame({"t": raw["YEAR"].astype(int).astype(str), "y": raw["SUNACTIVITY"]})
    return Problem(frame, _data(window=24, horizon=10))


def nile() -> Problem:
    """Yearly, 1871 to 1970."""
    raw = _loaded("nile")
    frame = pd.DataFrame({"t": raw["year"].astype(int).astype(str), "y": raw["volume"]})
    return Problem(frame, _data(window=16, horizon=5))


def co2() -> Problem:
    """Monthly means of weekly readings, 1958 to 2001; months without any are carried and not judged."""
    raw = _loaded("co2")["co2"].dropna()
    means = raw.groupby(raw.index.strftime("%Y-%m")).mean()
    frame = pd.DataFrame({"t": means.index, "y": means.to_numpy()})
    return Problem(frame, _data(window=36, horizon=12, step={"frequency": "month", "gaps": "carry"}))


def elnino() -> Problem:
    """Monthly temperature of the sea, 1950 to 2010."""
    raw = _loaded("elnino")
    months = raw.drop(columns="YEAR").to_numpy()
    years = raw["YEAR"].astype(int).to_numpy()
    times = [f"{year}-{month:02d}" for year in years for month in range(1, 13)]
    return Problem(pd.DataFrame({"t": times, "y": months.ravel()}), _data(window=36, horizon=12))


def _macro(names: tuple[str, ...], **more: Any) -> Problem:
    raw = _loaded("macrodata")
    times = [f"{y:.0f}Q{q:.0f}" for y, q in zip(raw["year"], raw["quarter"], strict=True)]
    parts = [pd.DataFrame({"g": name, "t": times, "y": raw[name]}) for name in names]
    return Problem(pd.concat(parts, ignore_index=True), _data(group="g", window=20, horizon=8, **more))


def macro_levels() -> Problem:
    """Eight quarterly series that grow, 1959 to 2009, in one program; logarithms."""
    return _macro(LEVELS, transform="log")


def macro_rates() -> Problem:
    """Four quarterly rates, 1959 to 2009, in one program."""
    return _macro(RATES)


PUBLIC = {f.__name__: f for f in (sunspots, nile, co2, elnino, macro_levels, macro_rates)}


# Simulated, for tuning


def _ar(generator: np.random.Generator, weights: tuple[float, ...], n: int, sd: float = 1.0) -> Floats:
    y = np.zeros(n + 100)
    for t in range(len(weights), len(y)):
        y[t] = sum(w * y[t - 1 - i] for i, w in enumerate(weights)) + sd * generator.standard_normal()
    return y[100:]


def simulated(name: str, seed: int) -> Problem:
    """One of `SIMULATED`, like the public ones in kind and size."""
    from pellucid.data.clock import labels_of

    generator = np.random.default_rng([seed, sorted(SIMULATED).index(name)])
    frequency, window, horizon, n = SIMULATED[name]
    wave = 2 * np.pi * np.arange(n) / 12
    noise = generator.standard_normal
    y = {
        "cycle": lambda: 50 + 10 * _ar(generator, (1.4, -0.7), n),
        "spots": lambda: 4 * np.abs(_ar(generator, (1.55, -0.85), n)) ** 1.5,
        "returning": lambda: 20 + 3 * _ar(generator, (0.7,), n),
        "walk": lambda: 100 + np.cumsum(noise(n)),
        "level": lambda: 1000 + 40 * np.cumsum(noise(n)) + 100 * noise(n),
        "trend": lambda: (
            300 + np.cumsum(0.1 + np.cumsum(0.002 * noise(n))) + 3 * np.sin(wave) + _ar(generator, (0.6,), n, 0.3)
        ),
        "sea": lambda: 23 + 2 * np.sin(wave) + _ar(generator, (1.3, -0.4), n, 0.4),
        "growth": lambda: np.exp(7 + np.cumsum(0.008 + _ar(generator, (0.4,), n, 0.008))),
    }[name]()
    frame = pd.DataFrame({"t": labels_of(np.arange(n), frequency), "y": y})
    transform = "log" if name == "growth" else "none"
    return Problem(frame, _data(window=window, horizon=horizon, transform=transform, step={"frequency": frequency}))


# name -> frequency, window, horizon, steps
SIMULATED = {
    "cycle": ("year", 24, 8, 300),
    "spots": ("year", 24, 10, 300),
    "returning": ("year", 16, 5, 120),
    "walk": ("year", 20, 6, 200),
    "level": ("year", 16, 5, 120),
    "trend": ("month", 36, 12, 400),
    "sea": ("month", 36, 12, 400),
    "growth": ("quarter", 20, 8, 200),
}
