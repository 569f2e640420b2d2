"""Axes that several charts share."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.report.markup import Markup
from pellucid.report.svg import Scale, label, segment, text_width, tick_labels


def bottom_axis(
    scale: Scale,
    top: float,
    bottom: float,
    unit: str = "",
    *,
    signed: bool = False,
    wanted: int = 5,
    strips: Sequence[tuple[float, float]] = (),
) -> list[Markup]:
    """Grid lines, tick labels under `bottom`, and the unit under them (needs 40 px below `bottom`).

    With `strips`, grid lines are drawn only there, so that they do not run through texts between them.
    """
    ticks = scale.ticks(wanted)
    texts = tick_labels(ticks, signed=signed)
    widest = max((text_width(t, 11.5) for t in texts), default=0.0) + 14
    room = abs(scale.stop - scale.start)
    keep = max(1, -(-int(widest * len(ticks)) // max(int(room), 1)))
    parts: list[Markup] = []
    for i, (tick, text) in enumerate(zip(ticks, texts, strict=True)):
        x = scale(tick)
        parts += [segment(x, a, x, b, "grid") for a, b in strips or [(top, bottom)]]
        if i % keep == 0:
            half = text_width(text, 11.5) / 2  # a label near an edge moves inwards rather than lose its sign
            inside = max(min(x, scale.stop + 8 - half), half)
            parts.append(label(text, inside, bottom + 16, "soft small middle"))
    if unit:
        middle = (scale.start + scale.stop) / 2
        parts.append(label(unit, middle, bottom + 33, "soft small middle", room=room + 40))
    return parts


def left_axis(scale: Scale, left: float, right: float, texts: list[str], ticks: list[float]) -> list[Markup]:
    """Horizontal grid lines with labels left of `left`."""
    parts: list[Markup] = []
    for tick, text in zip(ticks, texts, strict=True):
        y = scale(tick)
        parts += [segment(left, y, right, y, "grid"), label(text, left - 8, y + 4, "soft small end")]
    return parts
