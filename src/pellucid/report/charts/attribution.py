"""Bars with intervals: attributions of several days or tasks, side by side for each player."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import bottom_axis
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import finite, typeset, with_error
from pellucid.report.svg import Scale, box, empty_frame, fit_scale, frame, label, segment, text_width, whisker

_SHADES = (1.0, 0.55, 0.8, 0.35)
_HEAD = 20.0  # height of a player's name above its bars


@dataclass(frozen=True)
class Column:
    """What is compared: a day or a task, with a value (and standard error) per player."""

    name: str
    values: Sequence[Any]
    errors: Sequence[Any] = ()

    def cell(self, i: int) -> tuple[Any, Any]:
        """Value and error of the i-th player, None where missing."""
        return (
            self.values[i] if i < len(self.values) else None,
            self.errors[i] if i < len(self.errors) else None,
        )


@dataclass(frozen=True)
class _Layout:
    """Where bars lie: beside their names on a wide page, below them on a narrow one."""

    scale: Scale
    names: float
    width: float
    narrow: bool

    @property
    def step(self) -> float:
        return 34.0 if self.narrow else 20.0

    def bar(self, top: float) -> float:
        return top + 15 if self.narrow else top


def attribution_bars(
    title: str, players: Sequence[str], columns: Sequence[Column], *, unit: str = "", width: int = 680
) -> Markup:
    """A group of bars per player, one bar per column; whiskers are one standard error.

    Args:
        title: name of the picture.
        players: rows.
        columns: bars of each group, each with one value per player.
        unit: of the values.
        width: px; below 480 names stand above the bars.
    """
    cells = [column.cell(i) for i in range(len(players)) for column in columns]
    known = [v for v, _ in cells if finite(v)]
    if not known:
        return empty_frame(title, width)
    reach = [v + d * e for v, e in cells if finite(v) and finite(e) for d in (-1, 1)]
    names = amounts = 8.0
    if width >= 480:
        names = min(max(text_width(c.name, 11.5) for c in columns) + 14, width * 0.3)
        amounts = max(text_width(typeset(with_error(v, e)), 11.5) for v, e in cells) + 10
    scale = fit_scale([*known, *reach], names, width - amounts, include=[0.0], pad=0.03)
    layout = _Layout(scale, names, float(width), narrow=width < 480)
    bars: list[Markup] = []
    strips, told, top = [], [], 4.0
    for i, player in enumerate(players):
        bars.append(label(player, 0, top + 14, "strong", room=width))
        top += _HEAD
        for j, column in enumerate(columns):
            amount = typeset(with_error(*column.cell(i)))
            bars += _bar(f"{player}, {column.name}: {amount}", column, i, _SHADES[j % 4], layout, top)
            strips.append((layout.bar(top) - 3, layout.bar(top) + 17))
            told.append(f"{player}, {column.name} {amount}")
            top += layout.step
        top += 10
    axis = bottom_axis(scale, 4, top - 6, unit, signed=True, wanted=4, strips=strips)
    axis += [segment(scale(0), a, scale(0), b, "zero") for a, b in strips]
    return frame(title, f"{title}. {'; '.join(told)}.", width, top + 34, *axis, *bars)


def _bar(hint: str, column: Column, player: int, shade: float, layout: _Layout, top: float) -> list[Markup]:
    value, error = column.cell(player)
    amount, scale, y = typeset(with_error(value, error)), layout.scale, layout.bar(top)
    if layout.narrow:
        room = layout.width - text_width(amount, 11.5) - 24
        parts = [label(column.name, 8, top + 10, "small soft", room=room)]
    else:
        parts = [label(column.name, layout.names - 10, top + 11, "small soft end", room=layout.names - 8)]
    parts.append(label(amount, layout.width - 2, top + 11, "small end"))
    if not finite(value):
        return parts
    tone = "up" if value >= 0 else "down"
    parts.append(box(scale(0), scale(value), y, 14, tone, el("title", None, hint), opacity=shade))
    if finite(error) and error > 0:
        parts += whisker(scale(value - error), scale(value + error), y + 7, 3)
    return parts
