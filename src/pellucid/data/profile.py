"""What the columns of a table are, for a person to look at: kind, missing cells, different values, examples.

The kinds are finer than what a program reads (`data.cells.infer`): a date, a text or a picture's path is named as such
even where it is left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.data.cells import Column, column, is_category
from pellucid.data.pictures import SUFFIXES
from pellucid.data.reading import Read
from pellucid.data.tidy import MOSTLY, date_share, tidy

KINDS = ("numeric", "category", "ordinal", "boolean", "date", "text", "image", "series", "id", "constant")
SHOWN = 3  # examples
LOOKED_AT = 2000  # cells by which paths and lists are told
# Words with an order that nobody disputes, lowest first.
ORDERS: tuple[tuple[str, ...], ...] = (
    ("very low", "low", "lower", "mid", "medium", "moderate", "normal", "higher", "high", "very high"),
    ("xxs", "xs", "s", "m", "l", "xl", "xxl", "xxxl"),
    ("tiny", "small", "medium", "large", "huge"),
    ("never", "rarely", "seldom", "sometimes", "often", "usually", "always"),
    ("awful", "very bad", "bad", "poor", "fair", "ok", "average", "good", "very good", "excellent"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("none", "mild", "moderate", "severe", "critical"),
    ("first", "second", "third", "fourth", "fifth"),
)
STEP = re.compile(r"[<>]?=?\s*(\d+(?:\.\d+)?)(?:\s*(?:-|–|to)\s*\d+(?:\.\d+)?)?\s*\+?")  # 18-25, 65+, <5


@dataclass(frozen=True)
class Finding:
    """One thing that must be mended.

    Args:
        check: which check found it, e.g. "target leakage".
    """

    check: str
    what: str
    where: str
    mend: str

    def __str__(self) -> str:
        return f"{self.check}: {self.what}\n  where: {self.where}\n  mend:  {self.mend}"

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class ColumnProfile:
    """One column.

    Args:
        kind: one of `KINDS`.
        missing: share of empty cells.
        distinct: different values.
        examples: the most frequent values first.
        order: of an ordinal, lowest first.
    """

    name: str
    kind: str
    missing: float
    distinct: int
    examples: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    unit: str = ""
    description: str = ""
    use: str = "input"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "examples": list(self.examples), "order": list(self.order)}


def profile_columns(found: Read, decimal: str | None = None) -> list[ColumnProfile]:
    """Every column of a table as it was read."""
    return [profile_column(name, found.series(name), found.where, decimal) for name in found.names]


def profile_column(name: str, series: pd.Series[Any], where: str = "", decimal: str | None = None) -> ColumnProfile:
    """Kind and figures of one column.

    Args:
        series: its cells, text or typed.
        decimal: the decimal mark; None to find out.
    """
    if (widths := _lists(series)) is not None:
        missing = float(pd.isna(series.map(lambda c: None if isinstance(c, list | np.ndarray | tuple) else c)).mean())
        told = (f"{min(widths)} values" if len(set(widths)) == 1 else f"{min(widths)} to {max(widths)} values",)
        return ColumnProfile(name, "series", 0.0 if len(widths) == len(series) else missing, len(widths), told)
    typed_date = pd.api.types.is_datetime64_any_dtype(series.dtype)
    tidied = tidy(name, series, decimal).series
    try:
        read = column(name, tidied, where)
    except DataError:
        return ColumnProfile(name, "text", float(series.isna().mean()), 0)
    present = read.texts[~read.missing]
    counts = Counter(present.tolist())
    kind, order = ("date", ()) if typed_date and counts else _kind(read, counts)
    missing = float(read.missing.mean()) if len(read) else 0.0
    return ColumnProfile(name, kind, missing, len(counts), _examples(counts), order)


def _kind(read: Column, counts: Counter[str]) -> tuple[str, tuple[str, ...]]:
    n = sum(counts.values())
    if len(counts) <= 1 and (not n or n == len(read)):
        return "constant", ()
    if read.boolean:
        return "boolean", ()
    if read.numbers is not None:
        return ("id" if counts_rows(read.numbers) else "numeric"), ()
    if date_share(list(counts)) >= MOSTLY:
        return "date", ()
    looked = list(counts)[:LOOKED_AT]
    if sum(PurePath(text).suffix.lower() in SUFFIXES for text in looked) >= MOSTLY * len(looked):
        return "image", ()
    if is_category(len(counts), n):
        order = order_of(list(counts))
        return ("ordinal", order) if order else ("category", ())
    if len(counts) == len(read) and all(len(text) <= 64 and " " not in text for text in looked):
        return "id", ()
    return "text", ()


def counts_rows(numbers: npt.NDArray[np.float64]) -> bool:
    """0, 1, 2, ... or 1, 2, 3, ...: a row's number says nothing of the row."""
    if len(numbers) < 10 or not np.isfinite(numbers).all() or numbers[0] not in (0, 1):
        return False
    return bool((np.diff(numbers) == 1).all())


def order_of(words: Sequence[str]) -> tuple[str, ...]:
    """The words of an ordinal, lowest first; empty unless at least three have an order that is plain."""
    if len(words) < 3:
        return ()
    plain = {word: word.strip().lower().replace("_", " ") for word in words}
    for order in ORDERS:
        if set(plain.values()) <= set(order) and len(set(plain.values())) == len(words):
            return tuple(sorted(words, key=lambda word: order.index(plain[word])))
    steps = {word: STEP.fullmatch(word.strip()) for word in words}
    if all(steps.values()):
        low = {word: float(m[1]) - (0.5 if word.strip().startswith("<") else 0) for word, m in steps.items() if m}
        if len(set(low.values())) == len(words):
            return tuple(sorted(words, key=lambda word: low[word]))
    return ()


def _lists(series: pd.Series[Any]) -> list[int] | None:
    """Lengths of the cells that are lists of numbers; None when they are not."""
    if series.dtype != object and not isinstance(series.dtype, pd.StringDtype):
        return None
    cells = [c for c in series.tolist() if not (c is None or c is pd.NA or c == "" or isinstance(c, float))] if not any(
        isinstance(c, np.ndarray) for c in series.iloc[:5]
    ) else list(series)  # fmt: skip
    widths: list[int] = []
    for cell in cells:
        if isinstance(cell, str) and cell.startswith("["):
            try:
                cell = json.loads(cell)
            except ValueError:
                return None
        if not isinstance(cell, list | tuple | np.ndarray) or not all(
            isinstance(v, int | float | np.number) for v in cell
        ):
            return None
        widths.append(len(cell))
    return widths or None


def _examples(counts: Counter[str], longest: int = 24) -> tuple[str, ...]:
    chosen = [text for text, _ in counts.most_common(SHOWN)]
    return tuple(text if len(text) <= longest else text[: longest - 3] + "..." for text in chosen)
