"""Numbers for people: as many digits as the interval bears, never a bare NaN."""

from __future__ import annotations

import math
import re
from typing import Any, TypeGuard

MISSING = "not available"


def finite(value: Any) -> TypeGuard[float]:
    """Is this a number that can be drawn? None, NaN, infinities, text and truth values are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, *, digits: int = 3, signed: bool = False, decimals: int | None = None) -> str:
    """A number with `digits` significant digits (or exactly `decimals`), or "not available"."""
    if not finite(value):
        return MISSING
    sign = "+" if signed and value > 0 else ""
    if value == 0:
        return "0" if decimals is None else f"{0.0:.{decimals}f}"
    if not 1e-5 <= abs(value) < 1e9 and not (decimals is not None and abs(value) < 1):
        return f"{sign}{value:.{digits - 1}e}"
    if decimals is None:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        if isinstance(value, int):
            decimals = 0
    text = f"{value:,.{decimals}f}"
    return sign + text if float(text.replace(",", "")) else f"{0.0:.{decimals}f}"


def decimals_for(*values: Any) -> int | None:
    """Decimals that show half the spread of these values with two digits; None when none or too many are needed."""
    known = [float(v) for v in values if finite(v)]
    spread = max(known) - min(known) if known else 0.0
    if spread <= 0 or spread < 1e-9 * max(abs(v) for v in known):
        return None
    places = max(0, 1 - math.floor(math.log10(spread / 2)))
    return places if places <= 8 else None


def interval(low: Any, high: Any, *, signed: bool = False, decimals: int | None = None) -> str:
    """`[low, high]`."""
    if not finite(low) and not finite(high):
        return f"[{MISSING}]"
    places = decimals_for(low, high) if decimals is None else decimals
    return f"[{number(low, signed=signed, decimals=places)}, {number(high, signed=signed, decimals=places)}]"


def measured(value: Any, low: Any, high: Any, *, signed: bool = False) -> str:
    """`value [low, high]` with the digits that the interval bears."""
    places = decimals_for(low, high)
    return f"{number(value, signed=signed, decimals=places)} {interval(low, high, signed=signed, decimals=places)}"


def with_error(value: Any, error: Any, *, signed: bool = True) -> str:
    """`value ± standard error`; without an error, the value alone."""
    if not finite(error):
        return number(value, signed=signed)
    places = None
    if finite(value):
        # two digits of the error, but about four of the value at most: a vanishing error shows no noise digits
        size = max(abs(error), abs(value) * 1e-2)
        places = min(8, max(0, 1 - math.floor(math.log10(size)))) if size > 0 else None
    shown = "0" if error == 0 else number(error, decimals=places)
    return f"{number(value, signed=signed, decimals=places)} ± {shown}"


def percent(share: Any, *, digits: int = 2) -> str:
    """A share as a percentage."""
    return f"{number(100 * share, digits=digits)} %" if finite(share) else MISSING


def count(value: Any, singular: str = "", plural: str = "") -> str:
    """`2,514 rows`."""
    if not finite(value):
        return f"{plural or singular} {MISSING}".strip()
    return (
        f"{number(int(value), decimals=0)} {singular if int(value) == 1 else plural or singular + 's'}".strip()
        if (singular)
        else number(int(value), decimals=0)
    )


def size(n_bytes: Any) -> str:
    """`12.3 KB`."""
    if not finite(n_bytes):
        return MISSING
    amount, unit = float(n_bytes), "bytes"
    for bigger in ("KB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, bigger
    return f"{number(amount)} {unit}" if unit != "bytes" else count(n_bytes, "byte")


def duration(seconds: Any) -> str:
    """`2 min 14 s`."""
    if not finite(seconds) or seconds < 0:
        return MISSING
    if seconds < 60:
        return f"{number(float(seconds), digits=2)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


_BOUND = re.compile(r"(?<=\d) (?=(?:%|bp|sd)(?!\w))|(?<=\bn) (?== \d)|(?<=\bn =) (?=\d)")
_MINUS = re.compile(r"(?<![\w.)\]-])-(?=\d)")


def typeset_sentence(text: str) -> str:
    """A sentence with true minus signs, and numbers that keep their unit on the line; days and names stay."""
    return _BOUND.sub("\u00a0", _MINUS.sub("\u2212", text))


def typeset(text: str) -> str:
    """A printed number with a true minus sign, for pages and pictures."""
    return text.replace("-", "\u2212")
