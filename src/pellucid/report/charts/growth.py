"""Loss by number of training rows: a point with its interval for each number, over a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import left_axis
from pellucid.report.markup import Markup
from pellucid.report.numbers import count, finite, measured, typeset
from pellucid.report.svg import empty_frame, fit_scale, frame, label, marker, path, segment, text_width, tick_labels


@dataclass(frozen=True)
class Amount:
    """A number of rows, and the metric with its interval."""

    rows: Any
    value: Any
    low: Any
    high: Any


def growth_chart(title: str, amounts: Sequence[Amount], *, y_label: str = "", width: int = 330) -> Markup:
    """Points with intervals, joined by a line.

    Args:
        title: name of the picture.
        amounts: in their order.
        y_label: the metric with its unit.
        width: px.
    """
    known = [a for a in amounts if finite(a.rows) and a.rows >= 1 and finite(a.value)]
    if not known:
        return empty_frame(title, width)
    top, side = 24.0, min(width - 50.0, 240.0)
    y = fit_scale([v for a in known for v in (a.value, a.low, a.high)], top + side, top)
    ticks = y.ticks(4)
    texts = tick_labels(ticks)
    left = max((text_width(t, 11.5) for t in texts), default=20.0) + 14
    x = fit_scale([a.rows for a in known], left, width - 24.0, log=True)
    parts: list[Markup] = [label(y_label, 0, 12, "soft small", room=width), *left_axis(y, left, x.stop, texts, ticks)]
    parts.append(path([(x(a.rows), y(a.value)) for a in known], "line c1"))
    told = []
    for a in known:
        if finite(a.low) and finite(a.high):
            parts.append(segment(x(a.rows), y(a.low), x(a.rows), y(a.high), "whisker"))
        hint = f"{count(a.rows)} rows: {measured(a.value, a.low, a.high)}"
        parts.append(marker("circle", x(a.rows), y(a.value), 1, typeset(hint)))
        parts.append(label(count(a.rows), x(a.rows), top + side + 16, "soft small middle"))
        told.append(hint)
    parts.append(label("training rows, logarithmic", (left + x.stop) / 2, top + side + 33, "soft small middle"))
    return frame(title, f"{title}. {y_label}: {typeset('; '.join(told))}.", width, top + side + 40, *parts)
