"""Before and after: the share of every player on both sides of a change, one line a player."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import bottom_axis
from pellucid.report.markup import Markup
from pellucid.report.numbers import finite, percent, typeset
from pellucid.report.svg import empty_frame, fit_scale, frame, label, marker, segment, shorten, text_width

_ROW = 42.0


@dataclass(frozen=True)
class Moved:
    """A player's share before and after; `moved`: whether by more than the explainer's own noise."""

    player: str
    before: Any
    after: Any
    moved: bool = True


def moved_chart(title: str, rows: Sequence[Moved], *, unit: str = "", width: int = 480) -> Markup:
    """An open square before, a full circle after, on one scale from zero.

    Args:
        title: name of the picture.
        rows: players from top to bottom.
        unit: of the axis; shares are shown as percentages.
        width: px.
    """
    known = [100.0 * v for row in rows for v in (row.before, row.after) if finite(v)]
    if not known:
        return empty_frame(title, width)
    scale = fit_scale(known, 8, width - 8, include=[0.0])
    bottom = 4 + _ROW * len(rows)
    strips = [(4 + _ROW * i + 20, 4 + _ROW * i + 38) for i in range(len(rows))]
    parts = bottom_axis(scale, 4, bottom, unit, wanted=5 if width >= 440 else 4, strips=strips)
    told = []
    for i, row in enumerate(rows):
        y = 4 + _ROW * i + 29
        shown = typeset(f"{percent(row.before)} → {percent(row.after)}")
        weight = "halo strong" if row.moved else "halo soft"
        parts.append(label(shorten(row.player, width - 30 - text_width(shown)), 8, y - 14, weight))
        parts.append(label(shown, width - 8, y - 14, f"end {weight}"))
        told.append(f"{row.player} {shown}{'' if row.moved else ' (within the noise)'}")
        if finite(row.before) and finite(row.after):
            parts.append(segment(scale(100 * row.before), y, scale(100 * row.after), y, "whisker"))
        if finite(row.before):
            parts.append(marker("square", scale(100 * row.before), y, 6, f"{row.player} before"))
        if finite(row.after):
            parts.append(marker("circle", scale(100 * row.after), y, 1, f"{row.player} after"))
    parts += [segment(scale(0), a, scale(0), b, "zero") for a, b in strips]
    return frame(title, f"{title}: {'; '.join(told)}.", width, bottom + (42 if unit else 24), *parts)
