"""Interval chart: one value with its interval per row; the program among its baselines, or paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pellucid.report.charts.axes import bottom_axis
from pellucid.report.markup import Markup
from pellucid.report.numbers import finite, measured, typeset
from pellucid.report.svg import (
    Scale,
    empty_frame,
    fit_scale,
    frame,
    label,
    marker,
    segment,
    shorten,
    text_width,
    whisker,
)

Role = Literal["program", "model", "naive"]
_MARKS = {"program": ("circle", 1), "model": ("diamond", 4), "naive": ("square", 6)}
_ROW = 44.0


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `role` chooses the mark (circle: program, diamond: model, square: naive)."""

    label: str
    value: Any
    low: Any
    high: Any
    role: Role = "program"


def interval_chart(
    title: str, rows: Sequence[Estimate], *, unit: str = "", zero: bool = False, better: str = "", width: int = 480
) -> Markup:
    """Rows of intervals on one scale.

    Args:
        title: name of the picture.
        rows: estimates, from top to bottom.
        unit: of the axis.
        zero: differences: draw the line of no difference, and put signs on the numbers.
        better: "lower" or "higher": which side is better, said under the axis.
        width: px.
    """
    if not any(finite(v) for row in rows for v in (row.value, row.low, row.high)):
        return empty_frame(title, width)
    values = [v for row in rows for v in (row.value, row.low, row.high)]
    scale = fit_scale(values, 8, width - 8, include=[0.0] if zero else [])
    top, bottom = 4.0, 4.0 + _ROW * len(rows)
    unit = f"{unit}; {better} is better" if better and unit else f"{better} is better" if better else unit
    strips = [(top + _ROW * i + 22, top + _ROW * i + 40) for i in range(len(rows))]
    parts = bottom_axis(scale, top, bottom, unit, signed=zero, wanted=5 if width >= 440 else 4, strips=strips)
    if zero:
        parts += [segment(scale(0), a, scale(0), b, "zero") for a, b in strips]
    for i, row in enumerate(rows):
        parts += _row(row, top + _ROW * i, scale, width, zero)
    told = "; ".join(f"{r.label} {typeset(measured(r.value, r.low, r.high, signed=zero))}" for r in rows)
    return frame(title, f"{title}, {unit}: {told}.", width, bottom + (42 if unit else 24), *parts)


def _row(row: Estimate, top: float, scale: Scale, width: float, signed: bool) -> list[Markup]:
    shown = typeset(measured(row.value, row.low, row.high, signed=signed))
    name = shorten(row.label, width - 16 - text_width(shown) - 14)
    y = top + 31
    weight = " strong" if row.role == "program" else ""
    parts = [
        label(name if name != row.label else row.label, 8, top + 16, "halo" + weight),
        label(shown, width - 8, top + 16, "halo end" + weight),
    ]
    if finite(row.low) and finite(row.high):
        parts += whisker(scale(row.low), scale(row.high), y, 4)
    if finite(row.value):
        kind, colour = _MARKS[row.role]
        parts.append(marker(kind, scale(row.value), y, colour, f"{row.label}: {shown}"))
    return parts
