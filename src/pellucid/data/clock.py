"""Moments of a series as whole steps: which frequency, which step, and what a step is called.

A step is a whole number that grows by one from a moment to the next, so that a gap or a repetition is seen at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError

Steps = npt.NDArray[np.int64]
Moments = npt.NDArray[np.datetime64]

QUARTER = re.compile(r"(\d{4})[- ]?[Qq]([1-4])")
# Days between moments, at the median -> what that is.
SPANS = (
    ("hour", 0.9 / 24, 1.1 / 24),
    ("week", 6.5, 7.5),
    ("month", 27.5, 31.5),
    ("quarter", 88, 93),
    ("year", 360, 370),
)
SATURDAY, MONDAY = 2, 3  # days from 1970-01-01, a Thursday, to the next one and from the last one


def moments(texts: npt.NDArray[Any], name: str, where: str) -> Moments:
    """Cells of a column as moments, shape (n,): ISO dates and times, years, months, quarters.

    Raises:
        DataError: a cell is empty or no moment; the first five are named by row.
    """
    out = np.full(len(texts), np.datetime64("NaT"), dtype="datetime64[s]")
    wrong = []
    for i, cell in enumerate(texts):
        text = str(cell).strip()
        if (found := QUARTER.fullmatch(text)) is not None:
            text = f"{found[1]}-{3 * int(found[2]) - 2:02d}"
        with suppress(ValueError):
            out[i] = np.datetime64(text.replace(" ", "T", 1), "s")
        if np.isnat(out[i]):
            wrong.append(f"{text[:30]!r} in row {i + 1}")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DataError(
            f"the time '{name}' holds {', '.join(wrong[:5])}{more}.",
            where=where,
            mend="give moments as 2024-02-29, 2024-02-29T13:00, 2024-02, 2024Q1 or 2024",
        )
    return out


def frequency_of(times: Moments, where: str) -> str:
    """The frequency that sorted moments of one series suggest.

    Raises:
        DataError: none does.
    """
    days = times.astype(np.int64) / 86400.0
    span = float(np.median(np.diff(days))) if len(days) > 1 else 0.0
    if span == 1.0:
        weekend = (np.floor(days).astype(np.int64) - SATURDAY) % 7 < 2
        return "day" if weekend.any() or len(days) < 8 else "weekday"
    for name, low, high in SPANS:
        if low <= span <= high:
            return name
    raise DataError(
        f"the moments lie {span:g} days apart at the median, which is no known frequency.",
        where=where,
        mend="name it: data.step.frequency (hour, day, weekday, week, month, quarter or year)",
    )


def steps_of(times: Moments, frequency: str) -> Steps:
    """The step in which each moment lies, shape (n,)."""
    days = times.astype("datetime64[D]")
    if frequency == "hour":
        return times.astype("datetime64[h]").astype(np.int64)
    if frequency == "day":
        return days.astype(np.int64)
    if frequency in ("weekday", "week"):
        weeks, day = np.divmod(days.astype(np.int64) + MONDAY, 7)
        return weeks if frequency == "week" else 5 * weeks + np.minimum(day, 4)  # a weekend counts as its Friday
    months = times.astype("datetime64[M]").astype(np.int64)
    return {"month": months, "quarter": months // 3, "year": months // 12}[frequency]


def times_of(steps: Steps, frequency: str) -> Moments:
    """The first moment of each step, shape (n,): the inverse of `steps_of`."""
    if frequency == "hour":
        return steps.astype("datetime64[h]").astype("datetime64[m]")
    if frequency == "day":
        return steps.astype("datetime64[D]")
    if frequency == "weekday":
        weeks, day = np.divmod(steps, 5)
        return (7 * weeks + day - MONDAY).astype("datetime64[D]")
    if frequency == "week":
        return (7 * steps - MONDAY).astype("datetime64[D]")
    months = steps * {"month": 1, "quarter": 3, "year": 12}[frequency]
    return months.astype("datetime64[M]").astype("datetime64[D]")


def labels_of(steps: Steps, frequency: str) -> list[str]:
    """What each step is called: 2024, 2024Q1, 2024-02, 2024-02-29, 2024-02-29T13."""
    times = times_of(steps, frequency)
    if frequency == "year":
        return [str(text) for text in times.astype("datetime64[Y]")]
    if frequency == "quarter":
        years, quarters = np.divmod(steps, 4)
        return [f"{y + 1970:04d}Q{q + 1}" for y, q in zip(years.tolist(), quarters.tolist(), strict=True)]
    unit = {"month": "M", "hour": "h"}.get(frequency, "D")
    return [str(text) for text in times.astype(f"datetime64[{unit}]")]


def irregular(steps: Steps, name: str, frequency: str) -> list[str]:
    """One line for every gap and repetition of a series' sorted steps."""
    found = []
    jumps = np.diff(steps)
    for i in np.flatnonzero(jumps != 1):
        if jumps[i] == 0:
            found.append(f"{name}: {labels_of(steps[i : i + 1], frequency)[0]} stands twice")
        else:
            first, last = labels_of(np.asarray([steps[i] + 1, steps[i + 1] - 1]), frequency)
            found.append(f"{name}: {first} is missing" if first == last else f"{name}: {first} to {last} are missing")
    return found


def listed(problems: Sequence[str], most: int = 8) -> str:
    """Some problems in one line, with how many more there are."""
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more
