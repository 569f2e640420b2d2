"""Residuals: what predictions leave over, by the prediction; on the zero line nothing systematic is left."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.report.charts.axes import bottom_axis, left_axis
from pellucid.report.charts.reliability import Bin
from pellucid.report.markup import Markup
from pellucid.report.numbers import count, finite, measured, number, typeset
from pellucid.report.svg import empty_frame, fit_scale, frame, label, marker, segment, text_width, tick_labels


def residual_chart(title: str, bins: Sequence[Bin], *, unit: str = "", width: int = 330) -> Markup:
    """A point with an interval per bin of similar prediction, and the line of no residual.

    Args:
        title: name of the picture.
        bins: `observed`, `low` and `high` are the mean residual (observed less predicted) and its interval.
        unit: of the residuals.
        width: px.
    """
    known = [b for b in bins if finite(b.predicted) and finite(b.observed)]
    if not known:
        return empty_frame(title, width)
    side, top = min(width - 50.0, 240.0), 24.0
    y = fit_scale([v for b in known for v in (b.observed, b.low, b.high)], top + side, top, include=[0.0])
    ticks = y.ticks(4)
    texts = tick_labels(ticks)
    left = max(text_width(t, 11.5) for t in texts) + 14 if texts else 30.0
    x = fit_scale([b.predicted for b in known], left, width - 14.0)
    above = f"observed less predicted, {unit}" if unit else "observed less predicted"
    parts: list[Markup] = [label(above, 0, 12, "soft small", room=width)]
    parts += left_axis(y, left, x.stop, texts, ticks) + bottom_axis(x, top, top + side, "predicted", wanted=4)
    parts.append(segment(left, y(0.0), x.stop, y(0.0), "zero"))
    told = []
    for b in known:
        if finite(b.low) and finite(b.high):
            parts.append(segment(x(b.predicted), y(b.low), x(b.predicted), y(b.high), "whisker"))
        left_over = measured(b.observed, b.low, b.high, signed=True)
        hint = f"predicted {number(b.predicted)}: left over {left_over}, n = {count(b.n)}"
        parts.append(marker("circle", x(b.predicted), y(b.observed), 1, typeset(hint)))
        told.append(hint)
    return frame(title, f"{title}. {typeset('; '.join(told))}.", width, top + side + 40, *parts)
