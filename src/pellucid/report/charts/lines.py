"""Line chart: learning curves, wealth curves, one or several series over numbers or days."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import left_axis
from pellucid.report.markup import Markup
from pellucid.report.numbers import finite, number, typeset
from pellucid.report.svg import (
    DASHES,
    Scale,
    date_ticks,
    empty_frame,
    fit_scale,
    frame,
    label,
    ordinal,
    path,
    segment,
    text_width,
    tick_labels,
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line: x are numbers or ISO days, in order; missing y break the line."""

    name: str
    x: Sequence[Any]
    y: Sequence[Any]


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str = "",
    y_label: str = "",
    log: bool = False,
    reference: float | None = None,
    behind: Sequence[Series] = (),
    x_range: tuple[float, float] | None = None,
    width: int = 680,
) -> Markup:
    """Lines with direct labels (wide) or a key on top (narrow).

    Args:
        title: name of the picture.
        series: the first is drawn strongest; colours and dashes repeat after six.
        x_label, y_label: what the axes show, with units.
        log: logarithmic y; values that are not positive are missing.
        reference: a horizontal guide, e.g. the starting wealth.
        behind: drawn pale under the series, e.g. what they are the running means of.
        x_range: least and largest x of the axis, when it is to reach beyond the data.
        width: px; below 480 the narrow layout.
    """
    clean_lines, pale_lines = ([_points(one, log) for one in group] for group in (series, behind))
    known = [p for line in (*clean_lines, *pale_lines) for p in line if p is not None]
    if not known:
        return empty_frame(title, width)
    narrow = width < 480
    key_rows = _key_rows(series, width) if narrow and len(series) > 1 else []
    names_width = max(text_width(one.name) for one in series) + 14 if not narrow and len(series) > 1 else 12.0
    names_width = min(names_width, width * 0.3)
    top, height = 26.0 + 18 * len(key_rows), 250.0 if narrow else 300.0
    bottom = top + height - 70
    y_scale = fit_scale((y for _, y in known), bottom, top, log=log, include=[] if reference is None else [reference])
    y_ticks = y_scale.ticks(5)
    y_texts = tick_labels(y_ticks)
    left = max((text_width(t, 11.5) for t in y_texts), default=0.0) + 14
    x_scale = fit_scale((x for x, _ in known), left, width - names_width, include=x_range or (), pad=0.0)
    parts: list[Markup] = [label(y_label, 0, 12, "soft small", room=width), *_key(key_rows, 30.0)]
    parts += left_axis(y_scale, left, width - names_width, y_texts, y_ticks)
    parts += _x_axis(x_scale, series, bottom, x_label, names_width)
    if reference is not None:
        parts.append(segment(left, y_scale(reference), width - names_width, y_scale(reference), "guide"))

    def drawn(line: list[Point | None]) -> list[Point | None]:
        return [None if p is None else (x_scale(p[0]), y_scale(p[1])) for p in _thin(line, 2 * width)]

    parts += [path(drawn(line), f"line c{i % 6 + 1} pale") for i, line in enumerate(pale_lines)]
    for i, line in reversed(list(enumerate(clean_lines))):
        parts.append(path(drawn(line), f"line c{i % 6 + 1}" + (" first" if i == 0 else ""), DASHES[i % 6]))
    if not narrow and len(series) > 1:
        parts += _end_labels(series, clean_lines, y_scale, width - names_width + 8, names_width - 8)
    return frame(title, _describe(title, series, clean_lines, y_label), width, top + height - 26, *parts)


def _points(one: Series, log: bool) -> list[Point | None]:
    line: list[Point | None] = []
    for x, y in zip(one.x, one.y, strict=False):
        at = ordinal(x)
        line.append((at, float(y)) if at is not None and finite(y) and (not log or y > 0) else None)
    return line


def _thin(line: list[Point | None], most: int) -> list[Point | None]:
    """At most about `most` points; of each stretch its lowest and highest are kept, so no spike is lost."""
    if len(line) <= most:
        return line
    stretch = -(-2 * len(line) // most)
    kept: list[Point | None] = []
    for start in range(0, len(line), stretch):
        part = line[start : start + stretch]
        numbers = [p for p in part if p is not None]
        if not numbers:
            kept.append(None)
            continue
        ends = {min(numbers, key=lambda p: p[1]), max(numbers, key=lambda p: p[1])}
        if start == 0:
            ends.add(numbers[0])
        if start + stretch >= len(line):
            ends.add(numbers[-1])
        kept += sorted(ends)
    return kept


def _x_axis(scale: Scale, series: Sequence[Series], bottom: float, x_label: str, room: float) -> list[Markup]:
    """Ticks and labels; `room` px are free to the right of the axis."""
    dates = any(isinstance(x, str) for one in series for x in one.x[:1])
    wanted = max(2, int((scale.stop - scale.start) / 80))
    if dates:
        ticks, texts = date_ticks(scale, wanted)
    else:
        ticks = scale.ticks(wanted)
        texts = tick_labels(ticks)
    parts = [segment(scale.start, bottom, scale.stop, bottom, "axis")]
    for tick, text in zip(ticks, texts, strict=True):
        x = scale(tick)
        half = text_width(text, 11.5) / 2
        inside = max(min(x, scale.stop + room - half), half)
        parts += [segment(x, bottom, x, bottom + 5, "axis"), label(text, inside, bottom + 19, "soft small middle")]
    parts.append(label(x_label, (scale.start + scale.stop) / 2, bottom + 38, "soft small middle"))
    return parts


def _end_labels(
    series: Sequence[Series], lines: list[list[Point | None]], scale: Scale, x: float, room: float
) -> list[Markup]:
    """The name beside each line's end, pushed apart where ends meet."""
    ends = []
    for i, line in enumerate(lines):
        last = next((p for p in reversed(line) if p is not None), None)
        if last is not None:
            ends.append([scale(last[1]) + 4, float(i)])
    ends.sort()
    for before, after in itertools.pairwise(ends):
        after[0] = max(after[0], before[0] + 15)
    over = max((ends[-1][0] - max(scale.start, scale.stop) - 8) if ends else 0.0, 0.0)
    return [
        label(series[int(i)].name, x, y - over, f"f{int(i) % 6 + 1} keyed" + (" strong" if i == 0 else ""), room=room)
        for y, i in ends
    ]


def _key_rows(series: Sequence[Series], width: float) -> list[list[tuple[int, str, float]]]:
    rows: list[list[tuple[int, str, float]]] = [[]]
    x = 0.0
    for i, one in enumerate(series):
        need = text_width(one.name) + 46
        if rows[-1] and x + need > width:
            rows.append([])
            x = 0.0
        rows[-1].append((i, one.name, x))
        x += need
    return rows


def _key(rows: list[list[tuple[int, str, float]]], top: float) -> list[Markup]:
    parts: list[Markup] = []
    for r, row in enumerate(rows):
        for i, name, x in row:
            y = top + 18 * r
            parts.append(path([(x, y - 4), (x + 26, y - 4)], f"line c{i % 6 + 1}", DASHES[i % 6]))
            parts.append(label(name, x + 32, y, "", room=280))
    return parts


def _describe(title: str, series: Sequence[Series], lines: list[list[Point | None]], unit: str) -> str:
    told = []
    for one, line in zip(series, lines, strict=True):
        known = [p[1] for p in line if p is not None]
        if known:
            told.append(f"{one.name} from {typeset(number(known[0]))} to {typeset(number(known[-1]))}")
        else:
            told.append(f"{one.name} not available")
    return f"{title}. {unit}: {'; '.join(told)}."
