"""Reliability: what was predicted against what came, with intervals; on the diagonal a program is calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import bottom_axis, left_axis
from pellucid.report.markup import Markup
from pellucid.report.numbers import count, finite, measured, number, typeset
from pellucid.report.svg import empty_frame, fit_scale, frame, label, marker, segment, text_width, tick_labels


@dataclass(frozen=True)
class Bin:
    """Rows of similar prediction: the mean prediction, the observed frequency or mean, its interval, n."""

    predicted: Any
    observed: Any
    low: Any
    high: Any
    n: Any


def reliability_chart(
    title: str, bins: Sequence[Bin], *, x_label: str = "predicted", y_label: str = "observed", width: int = 330
) -> Markup:
    """A point with an interval per bin, and the diagonal of perfect calibration."""
    known = [b for b in bins if finite(b.predicted) and finite(b.observed)]
    if not known:
        return empty_frame(title, width)
    values = [v for b in known for v in (b.predicted, b.observed, b.low, b.high)]
    side, top = min(width - 50.0, 300.0), 24.0
    y = fit_scale(values, top + side, top)
    ticks = y.ticks(4)
    texts = tick_labels(ticks)
    left = max(text_width(t, 11.5) for t in texts) + 14 if texts else 30.0
    x = fit_scale(values, left, left + side - 14)
    parts: list[Markup] = [label(y_label, 0, 12, "soft small", room=width)]
    parts += left_axis(y, left, x.stop, texts, ticks) + bottom_axis(x, top, top + side, x_label, wanted=4)
    parts.append(segment(x(x.low), y(y.low), x(x.high), y(y.high), "guide"))
    for b in known:
        if finite(b.low) and finite(b.high):
            parts.append(segment(x(b.predicted), y(b.low), x(b.predicted), y(b.high), "whisker"))
        hint = f"predicted {number(b.predicted)}: observed {measured(b.observed, b.low, b.high)}, n = {count(b.n)}"
        parts.append(marker("circle", x(b.predicted), y(b.observed), 1, typeset(hint)))
    told = "; ".join(
        f"predicted {number(b.predicted)}, observed {measured(b.observed, b.low, b.high)}, n {count(b.n)}"
        for b in known
    )
    return frame(title, f"{title}. {typeset(told)}.", width, top + side + 40, *parts)
