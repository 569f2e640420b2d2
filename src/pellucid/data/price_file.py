"""A file of daily prices, read and checked: every problem at once, each with its line or date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import DataError, nearest
from pellucid.data.unreadable import unreadable

Array = npt.NDArray[np.float64]

COLUMNS = ("open", "high", "low", "close", "volume")
_SHOWN = 20  # problems printed of one file


def read_file(path: Path) -> pd.DataFrame:
    """Checked prices from a CSV or Parquet file: float columns, an increasing index `date`.

    Raises:
        DataError: the file is empty, cannot be read or is wrong.
    """
    if path.stat().st_size == 0:
        raise DataError("the file is empty.", where=str(path), mend="give a header line and a row for every day")
    parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        if parquet:
            raw = pd.read_parquet(path)
            raw = raw if any(str(c).strip().lower() == "date" for c in raw.columns) else raw.reset_index()
        else:
            raw = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False, index_col=False)
    except (ValueError, OSError, pd.errors.ParserError) as error:  # UnicodeDecodeError, ArrowInvalid: ValueErrors
        raise unreadable(path, error) from error
    return check_frame(raw, str(path), by_line=not parquet)


def check_frame(raw: pd.DataFrame, where: str, *, by_line: bool) -> pd.DataFrame:
    """The frame with float columns and a date index, or one DataError with every problem.

    Args:
        raw: with a column `date` and those of `COLUMNS`, in any case and order.
        where: its name in messages.
        by_line: rows are named by their line in a file with a header, else by their date.
    """
    found: dict[str, Any] = {}
    for column in raw.columns:
        found.setdefault(str(column).strip().lower(), column)
    missing = [name for name in ("date", *COLUMNS) if name not in found]
    if missing:
        hints = "; ".join(f"for '{name}': {hint}" for name in missing if (hint := nearest(name, found)))
        raise DataError(
            f"missing column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}; "
            f"the file has {', '.join(map(str, raw.columns))}.",
            where=where,
            mend=hints or "give the columns date, open, high, low, close, volume",
        )
    frame = raw[[found[name] for name in ("date", *COLUMNS)]].copy()
    frame.columns = pd.Index(["date", *COLUMNS])
    text = frame.astype(str).apply(lambda column: column.str.strip())
    if by_line:
        frame, text = frame[(text != "").any(axis=1)], text[(text != "").any(axis=1)]  # blank lines
    if not len(frame):
        raise DataError("there are no rows below the header.", where=where, mend="give a row for every day")

    dates = _dates(frame["date"], text["date"])
    line = (lambda i: f"line {text.index[i] + 2}") if by_line else (lambda i: f"row {text['date'].iloc[i][:10]}")
    values = text[list(COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    problems = _date_problems(dates, text["date"], line) + _value_problems(values, text, line)
    if problems:
        problems.sort(key=lambda problem: problem[0])
        shown = [message for _, message in problems[:_SHOWN]]
        more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        one = len(problems) == 1
        raise DataError(
            f"{shown[0]}." if one else f"{len(problems)} problems:\n    " + "\n    ".join(shown + more),
            where=where,
            mend="correct or remove these rows; dates as YYYY-MM-DD, oldest first, one row a day",
        )
    return pd.DataFrame(values, columns=list(COLUMNS), index=pd.DatetimeIndex(dates, name="date"))


def _dates(raw: pd.Series[Any], text: pd.Series[str]) -> npt.NDArray[np.datetime64]:
    """The calendar day of each row as written, whatever time of day or zone follows it; NaT when unparsable."""
    well_formed = text.str.fullmatch(r"\d{4}-\d{2}-\d{2}([T ].*)?")
    day = text.str[:10].where(well_formed)
    return pd.to_datetime(day, format="%Y-%m-%d", errors="coerce").to_numpy().astype("datetime64[D]")


Problem = tuple[int, str]  # position, message


def _date_problems(
    dates: npt.NDArray[np.datetime64], text: pd.Series[str], line: Callable[[int], str]
) -> list[Problem]:
    bad = np.isnat(dates)
    problems = [(i, f"{line(i)}: '{text.iloc[i]}' is not a date (YYYY-MM-DD)") for i in np.flatnonzero(bad).tolist()]
    good = np.flatnonzero(~bad).tolist()
    seen: dict[np.datetime64, int] = {}
    latest: np.datetime64 | None = None
    for i in good:
        day = dates[i]
        if day in seen:
            problems.append((i, f"{line(i)}: {day} repeats {line(seen[day])}"))
        elif latest is not None and day < latest:
            problems.append((i, f"{line(i)}: {day} comes after {latest}; dates must increase"))
        seen.setdefault(day, i)
        latest = day if latest is None else max(latest, day)
    return problems


def _value_problems(values: Array, text: pd.DataFrame, line: Callable[[int], str]) -> list[Problem]:
    problems: list[Problem] = []
    for j, name in enumerate(COLUMNS):
        column = values[:, j]
        with np.errstate(invalid="ignore"):
            wrong = ~np.isfinite(column) | (column < 0 if name == "volume" else column <= 0)
        for i in np.flatnonzero(wrong).tolist():
            shown, value = text[name].iloc[i], column[i]
            if np.isfinite(value):
                kind = "negative" if name == "volume" else "not positive"
            else:
                kind = "missing" if shown.lower() in ("", "nan", "none", "<na>") else "not a finite number"
            what = name if kind == "missing" else f"{name} '{shown}'"
            problems.append((i, f"{line(i)}: {what} is {kind}"))
    high, low = values[:, COLUMNS.index("high")], values[:, COLUMNS.index("low")]
    with np.errstate(invalid="ignore"):
        crossed = np.flatnonzero(high < low).tolist()
    return problems + [(i, f"{line(i)}: high {high[i]:g} is below low {low[i]:g}") for i in crossed]
