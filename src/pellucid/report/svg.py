"""A small kit for accessible pictures: scales, ticks, text that fits, and the frame with title and description."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.markup import Attribute, Markup, clean, coordinate, el, join
from pellucid.report.numbers import MISSING, finite, number, typeset
from pellucid.report.theme import PICTURE, variables

FAR = 1e306  # beyond this, differences overflow: drawn at the edge
SIZE = 12.5  # px of the usual text
DASHES = (None, "7 4", "2 4", "9 4 2 4", "1 4", "12 4")  # one per series, beside its colour


@dataclass(frozen=True)
class Scale:
    """A monotone map from data [low, high] to the picture's [start, stop]."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(float(value), -FAR), FAR)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        # halves: the difference of two huge numbers of opposite sign is not finite
        width = high / 2 - low / 2
        share = (at / 2 - low / 2) / width if width else 0.5  # a width of the least of floats has no half
        return self.start + share * (self.stop - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values within the scale."""
        return _log_ticks(self.low, self.high, wanted) if self.log else _ticks(self.low, self.high, wanted)


def fit_scale(
    values: Iterable[Any],
    start: float,
    stop: float,
    *,
    log: bool = False,
    include: Sequence[float] = (),
    pad: float = 0.05,
) -> Scale:
    """A scale over the finite values (the positive ones when `log`), padded, never of zero width."""
    known = [min(max(float(v), -FAR), FAR) for v in (*values, *include) if finite(v) and (not log or v > 0)]
    low, high = (min(known), max(known)) if known else (1.0, 10.0) if log else (0.0, 1.0)
    if log:
        room = max(math.log(high / low) * pad, 0.05)
        return Scale(low * math.exp(-room), high * math.exp(room), start, stop, log=True)
    room = (high / 2 - low / 2) * 2 * pad if high > low else abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, stop)


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    rough = (high / wanted - low / wanted) or 1.0
    power = math.floor(math.log10(rough))
    step = next(s * 10.0**power for s in (1, 2, 2.5, 5, 10) if s * 10.0**power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, wanted: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high]
        if len(ticks) >= 3:
            return ticks[:: max(1, round(len(ticks) / wanted))]
    return _ticks(low, high, wanted)


def tick_labels(ticks: Sequence[float], *, signed: bool = False) -> list[str]:
    """All ticks with the decimals that the finest step needs."""
    if not ticks:
        return []
    gaps = [b - a for a, b in itertools.pairwise(ticks) if b > a]
    step = min(gaps, default=abs(ticks[0]) or 1.0)
    biggest = max(abs(t) for t in ticks)
    if biggest >= 1e7 or step < 1e-6:
        return [typeset(f"{t:.1e}" if t else "0") for t in ticks]
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, places) and abs(step / round(step, places) - 1) > 1e-6:
        places += 1
    return [typeset(number(float(t) if abs(t) > step * 1e-6 else 0.0, decimals=places, signed=signed)) for t in ticks]


def ordinal(x: Any) -> float | None:
    """A place on the x axis: a number, or a day (`2018-02-05`, also with a time behind it) as its ordinal."""
    if isinstance(x, str):
        try:
            return float(dt.date.fromisoformat(x[:10]).toordinal())
        except ValueError:
            return None
    return float(x) if finite(x) else None


def date_ticks(scale: Scale, wanted: int = 6) -> tuple[list[float], list[str]]:
    """First days of years, or of months when the axis is shorter."""
    first, last = (dt.date.fromordinal(max(1, math.floor(v))) for v in (scale.low, scale.high))
    months = (last.year - first.year) * 12 + last.month - first.month
    if months <= 2:
        days = [round(t) for t in scale.ticks(wanted)]
        return [float(d) for d in days], [dt.date.fromordinal(d).isoformat() for d in days]
    step = next((s for s in (1, 2, 3, 6, 12, 24, 60, 120, 240) if months / s <= wanted), 1200)
    starts = [dt.date(y, m, 1) for y in range(first.year, last.year + 1) for m in range(1, 13)]
    chosen = [d for d in starts if (d.year * 12 + d.month - 1) % step == 0 and scale.low <= d.toordinal() <= scale.high]
    return [float(d.toordinal()) for d in chosen], [f"{d:%Y}" if step >= 12 else f"{d:%Y-%m}" for d in chosen]


@functools.cache
def _letter_width(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    if letter in "iljtfI.,:;'|![]() ":
        return 0.36
    return 0.92 if letter in "mwMW@%" else 0.7 if letter.isupper() else 0.58


def text_width(text: str, size: float = SIZE) -> float:
    """A cautious estimate of the width of a text, in px: there is no font to ask."""
    return size * sum(map(_letter_width, text))


def shorten(text: object, room: float, size: float = SIZE) -> str:
    """The text, or its beginning and an ellipsis when it needs more than `room` px."""
    whole = clean(text).replace("\n", " ")
    if text_width(whole, size) <= room:
        return whole
    used, kept = _letter_width("…"), 0
    for letter in whole:
        used += _letter_width(letter)
        if used * size > room:
            break
        kept += 1
    return whole[:kept].rstrip() + "…"


def label(text: object, x: float, y: float, classes: str = "", *, room: float | None = None) -> Markup:
    """A text; shortened to `room` px, the whole of it as its tooltip."""
    whole = clean(text)
    shown = whole if room is None else shorten(whole, room)
    hint = el("title", None, whole) if shown != whole else None
    return el("text", {"x": float(x), "y": float(y), "class": classes or None}, shown, hint)


def segment(x1: float, y1: float, x2: float, y2: float, classes: str) -> Markup:
    """A straight line."""
    return el("line", {"x1": float(x1), "y1": float(y1), "x2": float(x2), "y2": float(y2), "class": classes})


def whisker(low: float, high: float, y: float, half: float) -> list[Markup]:
    """A horizontal interval with caps, on a pale underlay so that it shows on bars of any colour."""
    strokes = [(low, y, high, y), (low, y - half, low, y + half), (high, y - half, high, y + half)]
    return [segment(*stroke, classes) for classes in ("under", "whisker") for stroke in strokes]


def box(
    x1: float, x2: float, y: float, height: float, classes: str, *children: object, opacity: float | None = None
) -> Markup:
    """A rectangle between two x in any order, at least one pixel wide."""
    left, width = min(x1, x2), max(abs(x2 - x1), 1.0)
    shape: dict[str, Attribute] = {
        "x": left,
        "y": float(y),
        "width": width,
        "height": float(height),
        "rx": 2,
        "class": classes,
    }
    shape["fill-opacity"] = opacity
    return el("rect", shape, *children)


def marker(kind: str, x: float, y: float, series: int, hint: str = "") -> Markup:
    """A mark whose shape tells the role without colour: circle, square, diamond or triangle."""
    d = {
        "circle": f"M{coordinate(x - 5)} {coordinate(y)}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
        "square": f"M{coordinate(x - 4.2)} {coordinate(y - 4.2)}h8.4v8.4h-8.4z",
        "diamond": f"M{coordinate(x)} {coordinate(y - 6)}l6 6l-6 6l-6 -6z",
        "triangle": f"M{coordinate(x)} {coordinate(y - 5.5)}l5.5 9.5h-11z",
    }[kind]
    fill = f"f{series}" if kind == "circle" else f"open c{series}"
    return el("path", {"d": d, "class": fill}, el("title", None, hint) if hint else None)


def path(points: Iterable[tuple[float, float] | None], classes: str, dash: str | None = None) -> Markup:
    """A line through the points, broken where there is none."""
    parts, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        parts.append(f"{pen}{coordinate(point[0])} {coordinate(point[1])}")
        pen = "L"
    return el("path", {"d": "".join(parts), "class": classes, "stroke-dasharray": dash})


def frame(title: str, description: str, width: float, height: float, *parts: object) -> Markup:
    """The picture: an image with a name and a description for those who do not see it."""
    head: dict[str, Attribute] = {
        "viewBox": f"0 0 {coordinate(width)} {coordinate(height)}",
        "width": float(width),
        "height": float(height),
        "role": "img",
        "class": "figure",
        "focusable": "false",
    }
    return el("svg", head, el("title", None, title), el("desc", None, description), join(parts))


def empty_frame(title: str, width: float) -> Markup:
    """The picture when there is nothing to draw."""
    return frame(title, f"{title}: {MISSING}.", width, 48, label(MISSING, 0, 28, "soft"))


def standalone(picture: Markup) -> Markup:
    """A picture as a file of its own (a notebook, the docs): name space and style inside."""
    sheet = el("style", None, Markup(variables("svg.figure") + PICTURE))
    head, _, rest = picture.partition("><title>")
    return Markup(f'{head} xmlns="http://www.w3.org/2000/svg">{sheet}<title>{rest}')


def responsive(draw: Callable[[int], Markup], wide: int = 680, narrow: int = 330) -> Markup:
    """The same picture laid out for a wide and for a narrow page; the style sheet shows one of them."""
    return join([el("div", {"class": "wide"}, draw(wide)), el("div", {"class": "narrow"}, draw(narrow))])
