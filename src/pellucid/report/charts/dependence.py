"""Dependence chart: an output over one field, with a bundle of individual curves and where the rows lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from pellucid.report.charts.axes import left_axis
from pellucid.report.markup import Markup, coordinate, el
from pellucid.report.numbers import finite, number, typeset
from pellucid.report.svg import (
    Scale,
    date_ticks,
    empty_frame,
    fit_scale,
    frame,
    label,
    path,
    segment,
    text_width,
    tick_labels,
)

FEW = 30  # curves that are drawn one by one; of more, the bands that hold half and nine tenths of them


def dependence_chart(
    title: str,
    grid: Sequence[Any],
    values: Sequence[Any],
    errors: Sequence[Any] = (),
    curves: Sequence[Sequence[Any]] = (),
    *,
    seen: Sequence[Any] = (),
    x_label: str = "",
    y_label: str = "",
    dated: bool = False,
    width: int = 680,
) -> Markup:
    """A line with its curves behind it.

    Args:
        title: name of the picture.
        grid, values: the line, shape (g,). errors: standard errors, whiskers of two of them are drawn.
        curves: individual ones, each of length g: up to 30 as pale lines, more as bands.
        seen: quantiles of the field in the rows: ticks under the line, so that one sees where it rests on few rows.
        x_label, y_label: with units. dated: grid and seen are days since 1970-01-01, and are shown as dates.
        width: px.
    """
    first = date(1970, 1, 1).toordinal() if dated else 0
    grid, seen = ([x + first if finite(x) else x for x in some] for some in (grid, seen))
    line = [(float(x), float(y)) for x, y in zip(grid, values, strict=False) if finite(x) and finite(y)]
    if not line:
        return empty_frame(title, width)
    bands = _bands(curves) if len(curves) > FEW else []
    drawn = [] if bands else [list(curve) for curve in curves]
    ends = [y for curve in (*drawn, *(c for low_high in bands for c in low_high)) for y in curve]
    reach = [y + side * 2 * e for (_, y), e in zip(line, errors, strict=False) if finite(e) for side in (-1, 1)]
    height, top = 250.0 if width < 480 else 300.0, 26.0
    bottom = top + height - 76
    y_scale = fit_scale([*(y for _, y in line), *ends, *reach], bottom, top)
    ticks = y_scale.ticks(5)
    texts = tick_labels(ticks)
    left = max((text_width(text, 11.5) for text in texts), default=0.0) + 14
    x_scale = fit_scale([x for x, _ in line], left, width - 12.0, pad=0.0 if len(line) > 1 else 0.05)
    parts: list[Markup] = [label(y_label, 0, 12, "soft small", room=width)]
    parts += left_axis(y_scale, left, width - 12, texts, ticks)
    parts += [_area(grid, low, high, x_scale, y_scale) for low, high in bands]
    parts += [path(_points(grid, curve, x_scale, y_scale), "line c1 pale") for curve in drawn]
    for (x, y), error in zip(line, errors, strict=False):
        if finite(error) and error > 0:
            parts.append(segment(x_scale(x), y_scale(y - 2 * error), x_scale(x), y_scale(y + 2 * error), "whisker"))
    parts.append(path([(x_scale(x), y_scale(y)) for x, y in line], "line c1 first"))
    parts += _bottom(x_scale, bottom, seen, x_label, dated=dated)
    ends_told = [date.fromordinal(int(x)).isoformat() if dated else typeset(number(x)) for x, _ in (line[0], line[-1])]
    values_told = f"from {typeset(number(line[0][1]))} at {ends_told[0]} to "
    values_told += f"{typeset(number(line[-1][1]))} at {ends_told[1]}"
    bundle = f"; {len(curves)} individual curves" if len(curves) else ""
    return frame(title, f"{title}. {y_label}: {values_told}{bundle}.", width, top + height - 26, *parts)


def _bottom(scale: Scale, bottom: float, seen: Sequence[Any], x_label: str, *, dated: bool) -> list[Markup]:
    wanted = max(2, int((scale.stop - scale.start) / 80))
    ticks = scale.ticks(wanted)
    ticks, texts = date_ticks(scale, wanted) if dated else (ticks, tick_labels(ticks))
    parts = [segment(scale.start, bottom, scale.stop, bottom, "axis")]
    for x in seen:
        if finite(x) and scale.low <= x <= scale.high:
            parts.append(segment(scale(x), bottom - 7, scale(x), bottom, "axis"))
    for tick, text in zip(ticks, texts, strict=True):
        half = text_width(text, 11.5) / 2
        x = scale(tick)
        parts.append(segment(x, bottom, x, bottom + 5, "axis"))
        parts.append(label(text, max(min(x, scale.stop + 12 - half), half), bottom + 19, "soft small middle"))
    middle = (scale.start + scale.stop) / 2
    parts.append(label(x_label, middle, bottom + 38, "soft small middle", room=scale.stop - scale.start))
    return parts


def _points(grid: Sequence[Any], curve: Sequence[Any], x: Scale, y: Scale) -> list[tuple[float, float] | None]:
    return [(x(a), y(b)) if finite(a) and finite(b) else None for a, b in zip(grid, curve, strict=False)]


def _bands(curves: Sequence[Sequence[Any]]) -> list[tuple[list[float], list[float]]]:
    """The 5 % and 95 %, and the 25 % and 75 % quantiles of the curves at each point."""
    columns = [sorted(float(y) for y in column if finite(y)) for column in zip(*curves, strict=False)]

    def quantile(share: float) -> list[float]:
        found = []
        for column in columns:
            if not column:
                found.append(math.nan)
                continue
            at = share * (len(column) - 1)
            low = math.floor(at)
            high = min(low + 1, len(column) - 1)
            found.append(column[low] + (at - low) * (column[high] - column[low]))
        return found

    return [(quantile(0.05), quantile(0.95)), (quantile(0.25), quantile(0.75))]


def _area(grid: Sequence[Any], low: list[float], high: list[float], x: Scale, y: Scale) -> Markup:
    upper = [point for point in _points(grid, high, x, y) if point]
    lower = [point for point in _points(grid, low, x, y) if point]
    corners = "L".join(f"{coordinate(a)} {coordinate(b)}" for a, b in [*upper, *reversed(lower)])
    return el("path", {"d": f"M{corners}z", "class": "band"})
