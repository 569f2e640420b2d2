"""Windows of series: a row for every moment at which one could forecast, with what was known then and nothing else.

Everything is relative to the last value and over the series' own past mean step of one season, so that series of any
size and level are rows of one table. These numbers grow with the series: nothing is fitted on the whole of it.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.data.clock import labels_of, listed, times_of
from pellucid.data.series import Series, SeriesTable
from pellucid.spec.series import FUTURE, SeriesData

Floats = npt.NDArray[np.float64]

CALENDAR = "calendar"
LIMIT = 1000.0  # of what is scaled: beyond it a series is broken
TINY = 1e-9  # least step, relative to the values themselves: keeps constant series finite
SETTLE = 4  # steps of a season that must be seen before there is a scale
WAVES = 3  # sines and cosines of a season


def windows(table: SeriesTable, data: SeriesData) -> tuple[Rows, tuple[str, ...]]:
    """Rows in order of time, then of series, and notes.

    With y the target (its logarithm, if so declared), t the present, L the window and H the horizon, the fields are

    - `<target>.level` y_t; `<target>.scale` the mean of |y_i - y_(i - season)| over all i <= t
    - `<target>` (L,): (y_(t-k) - y_t) / scale, k = 1..L; `<target>.mean`: the same of the mean of all values so far
    - each `past` column (L,): its last L values as z-scores of all so far, newest first
    - each `known` column (H + L,): the values of t+H, ..., t+1, t, ..., t-L+1
    - `calendar`: sines and cosines of the season's step t+1; the group's column: the series' name

    Targets: `future` (n, H) in the series' units, NaN where there is none yet. Extra: `error_scale`, what errors are
    measured by (Hyndman & Koehler 2006), `value`, `series` and `step`, both whole numbers.

    Raises:
        DataError: no series is long enough.
    """
    first = max(data.window, table.season + SETTLE)
    long = [one for one in table.series if one.observed > first + data.horizon]
    short = [f"{one.name} ({one.observed})" for one in table.series if one.observed <= first + data.horizon]
    if not long:
        raise DataError(
            f"no series has the {first + data.horizon + 1} values that a window of {data.window}, a season of "
            f"{table.season} and a horizon of {data.horizon} need: {listed(short)}.",
            where=table.where,
            mend="give longer series, or a smaller data.window or data.horizon",
        )
    notes = [f"{len(short)} series are too short and left out: {listed(short)}"] if short else []
    parts = [_one(one, code, table, data, first) for code, one in enumerate(long)]
    rows = _joined(parts)
    order = np.lexsort((rows.extra["series"], rows.extra["step"]))
    lost = sum(one.observed - first - len(part) for one, part in zip(long, parts, strict=True))
    if lost:
        notes.append(f"{lost} moments are left out: {', '.join(data.known)} of the {data.horizon} steps after them are "
                     "not given")  # fmt: skip
    return rows.take(order), tuple(notes)


def _one(one: Series, code: int, table: SeriesTable, data: SeriesData, first: int) -> Rows:
    """The rows of one series, in order of time."""
    window, horizon, raw = data.window, data.horizon, one.values
    y = np.log(raw) if data.transform == "log" else raw
    origins = np.arange(first, one.observed)
    ahead = _lags_of(one.known, origins, window, horizon)
    given = np.ones(len(origins), dtype=bool)
    for values in ahead.values():
        given &= np.isfinite(values).all(1)
    origins = origins[given]
    scale = expanding_scale(y, table.season)[origins]
    level = y[origins]
    lags = sliding_window_view(y, window + 1)[origins - window, ::-1][:, 1:]
    mean = (np.cumsum(y) / np.arange(1, len(y) + 1))[origins]
    target = data.target
    fields: dict[str, npt.NDArray[np.generic]] = {
        f"{target}.level": level[:, None],
        f"{target}.scale": scale[:, None],
        target: np.clip((lags - level[:, None]) / scale[:, None], -LIMIT, LIMIT),
        f"{target}.mean": np.clip((mean - level) / scale, -LIMIT, LIMIT)[:, None],
    }
    for name, cells in one.past.items():
        fields[name] = _scored(cells, origins, window)
    fields |= {name: values[given] for name, values in ahead.items()}
    if data.step.calendar and table.season > 1:
        fields[CALENDAR] = seasonal(one.steps[origins] + 1, table.season)
    if data.group:
        fields[data.group] = np.full(len(origins), one.name, dtype=object)
    known = np.where(one.missing, np.nan, raw)
    future = sliding_window_view(np.r_[known, np.full(horizon, np.nan)], horizon)[origins + 1].copy()
    future[origins + horizon >= one.observed] = np.nan  # judged by all its steps, or not at all
    labels = labels_of(one.steps[origins], table.frequency)
    return Rows(
        np.asarray([f"{one.name}/{label}" for label in labels], dtype=np.str_),
        fields,
        {FUTURE: future},
        times_of(one.steps[origins], table.frequency),
        {
            "error_scale": expanding_scale(raw, table.season)[origins],
            "value": raw[origins],
            "series": np.full(len(origins), code),
            "step": one.steps[origins],
        },
    )


def expanding_scale(y: Floats, season: int) -> Floats:
    """Mean of |y_i - y_(i - season)| over all i up to each step, shape (T,); NaN before there is one."""
    steps = np.abs(y[season:] - y[:-season])
    mean = np.cumsum(steps) / np.arange(1, len(steps) + 1)
    found = np.r_[np.full(season, np.nan), mean]
    size = np.maximum.accumulate(np.abs(y))
    return np.maximum(found, TINY * np.maximum(size, TINY))


def seasonal(steps: npt.NDArray[np.int64], season: int) -> Floats:
    """Sines and cosines of each step's place in its season, shape (n, 2 waves)."""
    waves = np.arange(1, min(WAVES, season // 2) + 1)
    angle = 2.0 * np.pi * (steps[:, None] % season) * waves / season
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def _scored(cells: Floats, origins: npt.NDArray[np.int64], window: int) -> Floats:
    """The last values of a column as z-scores of all values so far, newest first, shape (n, window)."""
    count = np.arange(1, len(cells) + 1)
    mean = np.cumsum(cells) / count
    centred = cells - cells[0]  # sums of squares lose fewer digits
    spread = np.maximum(np.cumsum(centred**2) / count - (np.cumsum(centred) / count) ** 2, 0.0)
    sd = np.maximum(np.sqrt(spread), TINY * np.maximum(np.maximum.accumulate(np.abs(cells)), TINY))
    lags = sliding_window_view(cells, window)[origins - window + 1, ::-1]
    return np.clip((lags - mean[origins, None]) / sd[origins, None], -LIMIT, LIMIT)


def _lags_of(known: dict[str, Floats], origins: npt.NDArray[np.int64], window: int, horizon: int) -> dict[str, Floats]:
    """Values of t+horizon, ..., t, ..., t-window+1 of each column, NaN where they are not given."""
    out = {}
    for name, cells in known.items():
        padded = np.r_[cells, np.full(horizon, np.nan)]
        out[name] = sliding_window_view(padded, horizon + window)[origins - window + 1, ::-1].copy()
    return out


def _joined(parts: list[Rows]) -> Rows:
    first = parts[0]
    return Rows(
        np.concatenate([part.keys for part in parts]),
        {name: np.concatenate([part.fields[name] for part in parts]) for name in first.fields},
        {name: np.concatenate([part.targets[name] for part in parts]) for name in first.targets},
        np.concatenate([part.times for part in parts if part.times is not None]),
        {name: np.concatenate([part.extra[name] for part in parts]) for name in first.extra},
    )


def schema_fields(table: SeriesTable, data: SeriesData) -> tuple[Field, ...]:
    """The schema of `windows`."""
    target, window, horizon = data.target, data.window, data.horizon
    what = f"log of {target}" if data.transform == "log" else target
    unit = "log" if data.transform == "log" else ""
    past = lag_groups(window, table.season)
    fields = [
        Field(f"{target}.level", "numeric", 1, unit, f"the last value of {what}"),
        Field(f"{target}.scale", "numeric", 1, unit, f"mean step of {what} over {table.season} steps, up to now"),
        Field(target, "series", window, "steps", "values before the last one, less it, over the scale", groups=past),
        Field(f"{target}.mean", "numeric", 1, "steps", "mean of all values so far, less the last one, over the scale"),
    ]
    now = ("t", 0, 1)
    older = (("t-1..", 1, window),) if window > 1 else ()
    fields += [Field(n, "series", window, "sd", "last values, newest first", groups=(now, *older)) for n in data.past]
    ahead = (("ahead", 0, horizon), ("t..", horizon, horizon + window))
    fields += [Field(n, "series", horizon + window, "", "values ahead and up to now, latest first", groups=ahead)
               for n in data.known]  # fmt: skip
    if data.step.calendar and table.season > 1:
        width = 2 * min(WAVES, table.season // 2)
        fields.append(
            Field(CALENDAR, "series", width, "", f"sines and cosines of the place among {table.season} steps")
        )
    if data.group:
        names = tuple(one.name for one in table.series)
        fields.append(Field(data.group, "category", description="the series", categories=names))
    called = [field.name for field in fields]
    if twice := sorted({name for name in called if called.count(name) > 1}):
        raise DataError(
            f"a column may not be called '{twice[0]}': that is a field of every series.",
            where="data.known, data.past, data.group",
            mend="rename it",
        )
    return tuple(fields)


def lag_groups(window: int, season: int) -> tuple[tuple[str, int, int], ...]:
    """Lags 1..window as players: the last one, the next ones, those around one season, the rest."""
    cuts = {0, 1, 4, window}
    if season > 4 and season - 1 <= window:
        cuts |= {season - 2, season + 1}
    edges = sorted(cut for cut in cuts if 0 <= cut <= window)
    return tuple((f"t-{a + 1}" if b == a + 1 else f"t-{a + 1}..{b}", a, b) for a, b in itertools.pairwise(edges))
