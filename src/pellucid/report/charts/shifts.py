"""Shift chart: how far each player's attribution moved, against the explainer's own noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import bottom_axis
from pellucid.report.markup import Markup
from pellucid.report.numbers import finite, number, typeset
from pellucid.report.svg import box, empty_frame, fit_scale, frame, label, marker, segment, shorten, text_width

_ROW = 42.0


@dataclass(frozen=True)
class Shift:
    """A player's shift, the explainer's own noise, and whether the shift counts against that noise."""

    player: str
    shift: Any
    noise: Any
    moved: bool = True


def shift_chart(title: str, rows: Sequence[Shift], *, unit: str = "", width: int = 480) -> Markup:
    """A mark per player; the band is what the explainer moves by itself under another seed.

    Args:
        title: name of the picture.
        rows: players from top to bottom.
        unit: of the attributions.
        width: px.
    """
    if not any(finite(row.shift) for row in rows):
        return empty_frame(title, width)
    noises = [d * row.noise for row in rows if finite(row.noise) for d in (-1, 1)]
    scale = fit_scale([row.shift for row in rows], 8, width - 8, include=[0.0, *noises])
    bottom = 4 + _ROW * len(rows)
    strips = [(4 + _ROW * i + 20, 4 + _ROW * i + 38) for i in range(len(rows))]
    parts = bottom_axis(scale, 4, bottom, unit, signed=True, wanted=5 if width >= 440 else 4, strips=strips)
    for i, row in enumerate(rows):
        top = 4 + _ROW * i
        shown = typeset(f"{number(row.shift, signed=True)} (noise {number(row.noise)})")
        weight = "halo strong" if row.moved else "halo soft"
        parts.append(label(shorten(row.player, width - 30 - text_width(shown)), 8, top + 15, weight))
        parts.append(label(shown, width - 8, top + 15, f"end {weight}"))
        if finite(row.noise):
            parts.append(box(scale(-row.noise), scale(row.noise), top + 22, 14, "band"))
        if finite(row.shift):
            parts.append(segment(scale(0), top + 29, scale(row.shift), top + 29, "whisker"))
            kind, colour = ("circle", 1) if row.moved else ("square", 6)
            parts.append(marker(kind, scale(row.shift), top + 29, colour, row.player))
    parts += [segment(scale(0), a, scale(0), b, "zero") for a, b in strips]
    told = "; ".join(f"{r.player} {typeset(number(r.shift, signed=True))}, noise {number(r.noise)}" for r in rows)
    return frame(title, f"{title}: {told}.", width, bottom + (42 if unit else 24), *parts)
