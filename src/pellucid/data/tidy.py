"""What people write in a column of numbers, dates or truth values, brought to one form, with a note of what was done.

Decimal commas, thousands separators, several date formats, several words for yes. A cell that cannot be what nearly
all others of its column are is a mistake: its row is set aside.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from pellucid.data.quick import numbers_of, strings

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
MOSTLY = 0.9  # a column with this share of numbers, or of dates, was meant to be one of them
ALL_BUT_FEW = 0.98  # from here on even a column with few different values was
FEW = 20  # different numbers that may as well be categories
CATEGORIES = 100  # different cells that a category may have

COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+")
POINTS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+")  # thousands, beside decimal commas
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")

YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})([T ].*)?")
YEAR_LAST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})([T ].*)?")
NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {month: i for i, month in enumerate(NAMES, start=1)}
WORDY = re.compile(r"(?:(\d{1,2})\.? ([A-Za-z]{3,9})\.?|([A-Za-z]{3,9})\.? (\d{1,2})),? (\d{4})")


@dataclass
class Tidied:
    """A column after tidying.

    Args:
        series: its cells; the given ones when nothing had to be done.
        bad: position -> why the cell cannot be read.
        kind: of the bad cells: "number", "date".
        notes: what was changed.
    """

    series: pd.Series[Any]
    bad: dict[int, str] = field(default_factory=dict)
    kind: str = "number"
    notes: list[str] = field(default_factory=list)


def tidy(name: str, series: pd.Series[Any], decimal: str | None = None) -> Tidied:
    """Bring a column of text to one form.

    Args:
        decimal: the decimal mark, "." or ","; None to find out.
    """
    array = strings(series)
    if array is not None:
        if decimal != "," and numbers_of(array) is not None:
            return Tidied(series)
    elif series.dtype != object:
        return Tidied(series)
    cells = series.tolist()
    if any(type(cell) is bool or isinstance(cell, list | dict | tuple | set | np.ndarray) for cell in cells):
        return Tidied(series)
    texts = [
        cell.strip() if isinstance(cell, str) else "" if cell is None or cell is pd.NA else str(cell) for cell in cells
    ]
    counts = Counter(text for text in texts if text.lower() not in MISSING)
    if not counts:
        return Tidied(series)
    return _truths(name, series, texts, counts) or _numbers(name, series, texts, counts, decimal) or _dates(
        name, series, texts, counts
    ) or Tidied(series)  # fmt: skip


def _mapped(series: pd.Series[Any], texts: list[str], to: dict[str, str]) -> pd.Series[Any]:
    return pd.Series([to.get(text, text) for text in texts], index=series.index, dtype="str")


def _truths(name: str, series: pd.Series[Any], texts: list[str], counts: Counter[str]) -> Tidied | None:
    """More than two spellings of yes and no."""
    if len(counts) <= 2 or not all(text.lower() in TRUE | FALSE for text in counts):
        return None
    if all(not math.isnan(number(text)) for text in counts):
        return None
    to = {text: "True" if text.lower() in TRUE else "False" for text in counts}
    note = f"'{name}' spells yes and no in {len(counts)} ways ({_some(counts)}): read as True and False"
    empty = dict.fromkeys(set(texts) - set(counts), "")
    return Tidied(_mapped(series, texts, to | empty), notes=[note])


def _numbers(
    name: str, series: pd.Series[Any], texts: list[str], counts: Counter[str], decimal: str | None
) -> Tidied | None:
    total = sum(counts.values())
    to, note = _marks(name, counts, decimal)
    words = {text: n for text, n in counts.items() if math.isnan(number(to.get(text, text)))}
    share = 1 - sum(words.values()) / total
    if not words:
        return Tidied(_mapped(series, texts, to), notes=[note]) if note else None
    distinct = len(counts) - len(words)
    category = len(counts) <= CATEGORIES and (len(counts) <= FEW or len(counts) <= total / 2)
    meant = share >= MOSTLY and (not category or (share >= ALL_BUT_FEW and distinct > FEW))
    if not meant:
        if share >= 0.1 and distinct > 1:
            wrong = sum(words.values())
            said = f"'{name}' mixes {total - wrong} numbers and {wrong} words: read as words"
            return Tidied(series, notes=[said])
        return None
    bad = {i: f"'{name}' holds {_cell(text)}, which is no number" for i, text in enumerate(texts) if text in words}
    out = _mapped(series, texts, to | dict.fromkeys(words, ""))
    return Tidied(out, bad, notes=[note] if note else [])


def _marks(name: str, counts: Counter[str], decimal: str | None) -> tuple[dict[str, str], str]:
    """(text -> text with a decimal point, note) of numbers with commas."""
    commas = [text for text in counts if COMMA.fullmatch(text) or THOUSANDS.fullmatch(text)]
    if decimal == "." or (not commas and decimal is None):
        return {}, ""
    english = decimal is None and all(THOUSANDS.fullmatch(text) for text in commas)
    if english:
        return {t: t.replace(",", "") for t in commas}, f"'{name}' has commas between thousands ({_some(commas)})"
    points = [text for text in counts if "." in text and text not in commas and not math.isnan(number(text))]
    if decimal is None and any(not POINTS.fullmatch(text) for text in points):
        return {}, ""  # both marks: what 1,5 means beside 1.5, nobody can tell
    to = {text: text.replace(".", "").replace(",", ".") for text in (*commas, *points) if not _english(text)}
    return to, f"'{name}' has decimal commas ({_some(commas or points)})"


def _english(text: str) -> bool:
    """Both marks in the English order, 1,234.5: no decimal comma."""
    return "," in text and "." in text and text.rindex(".") > text.rindex(",")


def number(text: str) -> float:
    """The number that a text spells, else NaN."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _dates(name: str, series: pd.Series[Any], texts: list[str], counts: Counter[str]) -> Tidied | None:
    styles = {text: style for text in counts if (style := _style(text))}
    total, dated = sum(counts.values()), sum(counts[text] for text in styles)
    if dated < MOSTLY * total:
        return None
    slashed = [m for text in styles if (m := YEAR_LAST.fullmatch(text))]
    month_first, note = _order(name, slashed)
    to: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for text in counts:
        day = _day(text, month_first) if text in styles else None
        if day is None:
            wrong[text] = f"'{name}' holds {_cell(text)}, which is no date"
        else:
            to[text] = day
    used = Counter(styles[text] for text in to)
    changed = any(day != text for text, day in to.items())
    several = f"'{name}' has dates in {len(used)} formats ({', '.join(sorted(used))}): read as one"
    notes = [several] if len(used) > 1 else []
    notes += [note] if note else []
    bad = {i: wrong[text] for i, text in enumerate(texts) if text in wrong}
    if not bad and not changed:
        return None
    return Tidied(_mapped(series, texts, to | dict.fromkeys(wrong, "")), bad, "date", notes)


def _style(text: str) -> str:
    if found := YEAR_FIRST.fullmatch(text):
        return f"year{text[4]}month{text[4]}day" + (" with a time" if found[4] else "")
    if found := YEAR_LAST.fullmatch(text):
        return f"{found[2].join(('day', 'month', 'year'))}" + (" with a time" if found[5] else "")
    return "with the month's name" if WORDY.fullmatch(text) else ""


def date_share(texts: list[str]) -> float:
    """Share of the texts that are written like dates."""
    return sum(bool(_style(text.strip())) for text in texts) / len(texts) if texts else 0.0


def _order(name: str, found: list[re.Match[str]]) -> tuple[bool, str]:
    """(month first, note): told by a number above 12; without one, the day comes first, and the note says so."""
    slashes = [m for m in found if m[2] != "."]
    if not slashes:
        return False, ""
    day_first = sum(int(m[1]) > 12 for m in slashes)
    month_first = sum(int(m[3]) > 12 for m in slashes)
    if day_first == month_first == 0:
        return False, f"'{name}' may have the day or the month first ({slashes[0][0]}): read day first"
    return month_first > day_first, ""


def _day(text: str, month_first: bool) -> str | None:
    """ISO text of a date, with its time as it stands; None when the calendar has no such day."""
    time = ""
    if found := YEAR_FIRST.fullmatch(text):
        year, month, day = int(found[1]), int(found[2]), int(found[3])
        time = found[4] or ""
    elif found := YEAR_LAST.fullmatch(text):
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        swap = month_first and found[2] != "."
        day, month = (second, first) if swap else (first, second)
        time = found[5] or ""
    elif found := WORDY.fullmatch(text):
        day, year = int(found[1] or found[4]), int(found[5])
        month = MONTHS.get((found[2] or found[3])[:3].lower(), 0)
    else:
        return None
    try:
        return date(year, month, day).isoformat() + time
    except ValueError:
        return None


def _cell(text: str, longest: int = 60) -> str:
    return repr(text if len(text) <= longest else text[:longest] + "...")


def _some(values: Any, most: int = 3) -> str:
    shown = [repr(value) for value in list(values)[:most]]
    return ", ".join(shown) + (", ..." if len(values) > most else "")


def bad_mask(n: int, found: Tidied) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows hold a bad cell, shape (n,)."""
    mask = np.zeros(n, dtype=bool)
    mask[list(found.bad)] = True
    return mask
