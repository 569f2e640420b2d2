"""Daily prices: read, checked, and cut into causal windows.

Every feature of day t uses days up to and including t only; the statistics that scale a feature are rolling,
never fitted on the whole series. Targets look ahead and are NaN where the future is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.core.errors import DataError, require
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.data.price_file import check_frame, read_file
from pellucid.data.unreadable import missing_file

Array = npt.NDArray[np.float64]

NAMED = ("sp500", "nasdaq", "planted", "random_walk")
LIMIT = 100.0  # fields are clipped to +-LIMIT: a day beyond it is a broken series, not information
_SIGMA_FLOOR = 1e-8  # daily log-return; keeps a constant series finite
_SQUARE_FLOOR = 1e-10  # (1 bp)^2 / 100: keeps log(0) out of the risk target


@dataclass(frozen=True)
class PriceTable:
    """Checked daily prices of one asset.

    Args:
        asset: name used in row keys, e.g. "SP500".
        frame: columns open, high, low, close, volume (float64), index `date` strictly increasing.
    """

    asset: str
    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def dates(self) -> npt.NDArray[np.datetime64]:
        return self.frame.index.to_numpy().astype("datetime64[D]")

    def column(self, name: str) -> Array:
        return self.frame[name].to_numpy(dtype=np.float64)


def load_prices(source: str | Path | pd.DataFrame, *, start: str | None = None, end: str | None = None) -> PriceTable:
    """Prices by name, from a file or from a table in memory.

    Args:
        source: "sp500" or "nasdaq" (1999-2018, read at run time from the `arch` package), "planted" or
            "random_walk" (simulated, 5031 days; "planted:3" is seed 3), or the path of a CSV or Parquet file with
            the columns date, open, high, low, close, volume (any case; others are ignored), or a data frame with these
            (the date may be its index), whose asset is "PRICES".
        start: first date kept, inclusive, "YYYY-MM-DD".
        end: last date kept, inclusive.
    Raises:
        DataError: the file is missing, empty or wrong; every problem is listed with its line or date.
        MissingExtra: `sp500` or `nasdaq` without the extra `finance`.
    """
    if isinstance(source, pd.DataFrame):
        frame = check_frame(_dated(source), "the data frame", by_line=False)
        return _between(PriceTable("PRICES", frame), start, end, "the data frame")
    name, _, seed = str(source).partition(":")
    if name in ("sp500", "nasdaq") and not seed:
        table = PriceTable(name.upper(), check_frame(_from_arch(name), str(source), by_line=False))
    elif name in ("planted", "random_walk"):
        table = _simulated(name, seed)
    else:
        path = Path(source)
        if not path.is_file():
            raise missing_file(path, "market", NAMED)
        table = PriceTable(path.stem.upper(), read_file(path))
    return _between(table, start, end, str(source))


def windows(table: PriceTable, window: int = 20, scale_days: int = 250, horizon: int = 5) -> Rows:
    """One row per decision day t (after the close of t), newest lag first.

    Fields: `return` (n, window) log-returns over sigma_t; `range` (n, window) log(high/low) over its rolling mean,
    minus 1; `volume` (n, window) log volume as a rolling z-score; `level` (n, 1) log sigma_t. sigma_t is the standard
    deviation of the `scale_days` log-returns up to and including day t. A day without volume (0) repeats the last
    known one, because vendors write 0 for "not recorded"; before the first known volume it counts as 1.

    Args:
        table: checked prices.
        window: lags per row, at most `scale_days`.
        scale_days: days of the rolling statistics.
        horizon: days of the risk target.
    Returns:
        Rows with targets `forecast` (log-return t -> t+1) and `risk` (log mean squared log-return of days
        t+1..t+horizon), extra `sigma`, `close`, `open`, `simple_return` (realised on day t), times = dates.
    Raises:
        DataError: fewer rows than scale_days + window + horizon, or window > scale_days.
    """
    _check_lengths(table, window, scale_days, horizon)
    close = table.column("close")
    log_return = np.diff(np.log(close), prepend=np.nan)
    log_range = np.log(table.column("high") / table.column("low"))
    log_volume = np.log(_known_volume(table.column("volume")))

    first = scale_days  # the first day with scale_days returns behind it
    days = np.arange(first, len(close))
    past = sliding_window_view(log_return[1:], scale_days)
    sigma = np.maximum(past.std(axis=1), _SIGMA_FLOOR)
    past = sliding_window_view(log_range[1:], scale_days)
    mean_range = np.maximum(past.mean(axis=1), _SIGMA_FLOOR)
    past = sliding_window_view(log_volume[1:], scale_days)
    mean_volume, sd_volume = past.mean(axis=1), np.maximum(past.std(axis=1), 1e-6)

    def lags(x: Array) -> Array:
        return sliding_window_view(x, window)[days - window + 1, ::-1]

    fields = {
        "return": lags(log_return) / sigma[:, None],
        "range": lags(log_range) / mean_range[:, None] - 1.0,
        "volume": (lags(log_volume) - mean_volume[:, None]) / sd_volume[:, None],
        "level": np.log(sigma)[:, None],
    }
    dates = table.dates[days]
    return Rows(
        keys=np.char.add(f"{table.asset}/", dates.astype(np.str_)),
        fields={name: np.clip(values, -LIMIT, LIMIT) for name, values in fields.items()},
        targets=_targets(log_return, days, horizon),
        times=dates,
        extra={
            "sigma": sigma,
            "close": close[days],
            "simple_return": close[days] / close[days - 1] - 1.0,
            "open": table.column("open")[days],
        },
    )


def schema_fields(window: int = 20, *, position: bool = False) -> tuple[Field, ...]:
    """The schema of `windows`; with `position`, also the position that a trading policy holds."""
    ranges = (("t", 0, 1), ("t-1..4", 1, 5), ("t-5..", 5, window))
    groups = tuple((label, a, min(b, window)) for label, a, b in ranges if a < window)
    fields = (
        Field("return", "series", window, "sigma", "log-returns, newest first, over their rolling sd", groups=groups),
        Field("range", "series", window, "relative", "log(high/low) over its rolling mean, minus 1", groups=groups),
        Field("volume", "series", window, "sd", "log volume as a rolling z-score", groups=groups),
        Field("level", "numeric", 1, "log(log return)", "log of the rolling sd of daily log-returns"),
    )
    held = Field("position", "numeric", 1, "notional", "the position held, -1 short to +1 long")
    return (*fields, held) if position else fields


def stale_open_share(table: PriceTable) -> dict[int, float]:
    """Share of days, by year, whose open repeats the last close (a fill "at the open" would be at a known price)."""
    stale = table.column("open")[1:] == table.column("close")[:-1]
    years = table.dates[1:].astype("datetime64[Y]").astype(int) + 1970
    return {int(year): float(stale[years == year].mean()) for year in np.unique(years)}


def _targets(log_return: Array, days: npt.NDArray[np.int64], horizon: int) -> dict[str, Array]:
    future = np.concatenate([log_return, np.full(horizon, np.nan)])
    ahead = sliding_window_view(future, horizon)[days + 1]
    return {"forecast": future[days + 1], "risk": np.log(np.maximum((ahead**2).mean(axis=1), _SQUARE_FLOOR))}


def _known_volume(volume: Array) -> Array:
    """Zero means "not recorded": the last known volume stands in, 1 before the first."""
    last = np.maximum.accumulate(np.where(volume > 0, np.arange(len(volume)), -1))
    return np.where(last >= 0, volume[np.maximum(last, 0)], 1.0)


def _check_lengths(table: PriceTable, window: int, scale_days: int, horizon: int) -> None:
    where = f"windows(window={window}, scale_days={scale_days}, horizon={horizon}) of {table.asset}"
    if min(window, horizon) < 1 or scale_days < 2 or window > scale_days:
        wrong = (
            f"window {window} is longer than scale_days {scale_days}"
            if window > scale_days
            else "a length is too small"
        )
        raise DataError(
            f"{wrong}: window and horizon are at least 1, scale_days at least 2 and at least window.",
            where=where,
            mend="choose, for example, window=20, scale_days=250, horizon=5",
        )
    need = scale_days + window + horizon
    if len(table) < need:
        raise DataError(
            f"{len(table)} rows are too few: scale_days + window + horizon = {need} are needed.",
            where=where,
            mend="give a longer history, or a smaller window or scale_days",
        )


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    if any(str(column).strip().lower() == "date" for column in frame.columns):
        return frame
    return frame.rename_axis("date").reset_index()


def _from_arch(name: str) -> pd.DataFrame:
    require("arch", extra="finance", purpose=f"the price series '{name}'")
    import importlib

    load: Callable[[], pd.DataFrame] = importlib.import_module(f"arch.data.{name}").load
    return load().reset_index()


def _simulated(name: str, seed: str) -> PriceTable:
    from pellucid.data import planted  # planted needs PriceTable

    if seed and not seed.isdecimal():
        raise DataError(f"'{seed}' is not a seed.", where=f"source '{name}:{seed}'", mend=f"write '{name}:3'")
    return planted.simulate(name, seed=int(seed or 0))[0]


def _between(table: PriceTable, start: str | None, end: str | None, where: str) -> PriceTable:
    frame = table.frame
    for label, text in (("start", start), ("end", end)):
        if text is None:
            continue
        moment = pd.to_datetime(str(text), format="%Y-%m-%d", errors="coerce")
        if not isinstance(moment, pd.Timestamp):
            raise DataError(f"{label} '{text}' is not a date.", where=where, mend="write YYYY-MM-DD")
        frame = frame[frame.index >= moment] if label == "start" else frame[frame.index <= moment]
    if not len(frame):
        raise DataError(
            f"no day between {start or 'the first'} and {end or 'the last'}.",
            where=where,
            mend=f"the series runs from {table.dates[0]} to {table.dates[-1]}",
        )
    return PriceTable(table.asset, frame)
