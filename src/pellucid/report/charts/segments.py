"""What the segments of a series add, over time: the series on a ground of their shares, the shares beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import bottom_axis, left_axis
from pellucid.report.charts.heat import STRONGEST
from pellucid.report.markup import Attribute, Markup, el
from pellucid.report.numbers import finite, typeset, with_error
from pellucid.report.svg import Scale, empty_frame, fit_scale, frame, path, segment, text_width, tick_labels

UPPER, GAP, LOWER = 120.0, 18.0, 110.0


@dataclass(frozen=True)
class Span:
    """A segment. Args: name: as it is called. first, last: its moments, the earlier first. value, error: its share."""

    name: str
    first: float
    last: float
    value: Any
    error: Any = None


def segment_chart(
    title: str,
    moments: Sequence[float],
    values: Sequence[Any],
    spans: Sequence[Span],
    *,
    unit: str = "",
    width: int = 680,
) -> Markup:
    """Above the series itself, below a bar per segment with whiskers of two standard errors; time runs to the right.

    Args:
        title: name of the picture.
        moments: steps ahead of the present of each value.
        values: what the row holds then.
        spans: segments with their shares.
        unit: of the shares. width: px.
    """
    known = [abs(one.value) for one in spans if finite(one.value)]
    if not any(finite(v) for v in values) or not known:
        return empty_frame(title, width)
    strongest = max(known)
    reach = [one.value + d * one.error for one in spans if finite(one.value) and finite(one.error) for d in (-2, 2)]
    upper = fit_scale(values, UPPER, 6.0)
    lower = fit_scale([s.value for s in spans], UPPER + GAP + LOWER, UPPER + GAP, include=[0.0, *reach], pad=0.08)
    marks = [(scale, ticks, tick_labels(ticks)) for scale in (upper, lower) for ticks in [scale.ticks(3)]]
    left = max((text_width(text, 11.5) for _, _, texts in marks for text in texts), default=0.0) + 14
    over = Scale(min(moments) - 0.5, max(moments) + 0.5, left, width - 8.0)
    parts: list[Markup] = []
    for scale, ticks, texts in marks:
        parts += left_axis(scale, left, width - 8.0, texts, ticks)
    for one in spans:
        parts += _span(one, over, lower, strongest)
    ordered = sorted(zip(moments, values, strict=True), key=lambda pair: pair[0])
    parts.append(path([(over(t), upper(v)) if finite(v) else None for t, v in ordered], "zero line"))
    parts.append(segment(left, lower(0), width - 8.0, lower(0), "zero"))
    bottom = UPPER + GAP + LOWER
    parts += bottom_axis(over, bottom, bottom, "steps ahead of the present")
    told = "; ".join(f"{s.name} {typeset(with_error(s.value, s.error))}" for s in spans[:40])
    within = f", shares in {unit}" if unit else ""
    return frame(title, f"{title}. {len(spans)} segments{within}: {told}.", width, bottom + 40, *parts)


def _span(one: Span, over: Scale, lower: Scale, strongest: float) -> list[Markup]:
    """Its ground behind the series, and its bar."""
    if not finite(one.value):
        return []
    x, wide = over(one.first - 0.5), over(one.last + 0.5) - over(one.first - 0.5)
    tone = "up" if one.value >= 0 else "down"
    hint = el("title", None, f"{one.name}: {typeset(with_error(one.value, one.error))}")
    share = abs(one.value) / strongest if strongest else 0.0
    ground: dict[str, Attribute] = {
        "x": x,
        "y": 0.0,
        "width": wide,
        "height": UPPER,
        "class": tone,
        "fill-opacity": STRONGEST * share,
    }
    high, low = sorted((lower(one.value), lower(0)))
    bar: dict[str, Attribute] = {
        "x": x + 1,
        "y": high,
        "width": max(wide - 2, 1.0),
        "height": low - high,
        "class": tone,
    }
    parts = [el("rect", ground), el("rect", bar, hint)]
    if finite(one.error) and one.error > 0:
        middle, ends = x + wide / 2, (lower(one.value - 2 * one.error), lower(one.value + 2 * one.error))
        parts += [segment(middle, ends[0], middle, ends[1], classes) for classes in ("under", "whisker")]
    return parts
