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


@dataclass(frozen=True)
class Column:
    """What is compared: a day or a task, with a value (and standard error) per player."""

    name: str
    values: Sequence[Any]
    errors: Sequence[Any] = ()


def attribution_bars(
    title: str, players: Sequence[str], columns: Sequence[Column], *, unit: str = "", width: int = 680
) -> Markup:
    """A group of bars per player, one bar per column; whiskers are one standard error.

    Args:
        title: name of the picture.
        players: rows.
        columns: bars of each group, each with one value per player.
        unit: of the values.
        width: px.
    """
    cells = [(c.values[i] if i < len(c.values) else None, c.errors[i] if i < len(c.errors) else None)
             for i in range(len(players)) for c in columns]  # fmt: skip
    known = [v for v, _ in cells if finite(v)]
    if not known:
        return empty_frame(title, width)
    reach = [v + d * e for v, e in cells if finite(v) and finite(e) for d in (-1, 1)]
    names = min(max(text_width(c.name, 11.5) for c in columns) + 14, width * 0.3)
    amounts = max(text_width(typeset(with_error(v, e)), 11.5) for v, e in cells) + 10
    scale = fit_scale([*known, *reach], names, width - amounts, include=[0.0], pad=0.03)
    parts: list[Markup] = []
    top = 4.0
    for i, player in enumerate(players):
        parts.append(label(player, 0, top + 14, "strong", room=width))
        for j, column in enumerate(columns):
            value, error = cells[i * len(columns) + j]
            parts += _bar(player, column.name, value, error, _SHADES[j % 4], scale, top + 20 + 20 * j, names, width)
        top += 30 + 20 * len(columns)
    axis = bottom_axis(scale, 4, top - 4, unit, signed=True, wanted=5 if width >= 480 else 3)
    axis.append(segment(scale(0), 22, scale(0), top - 4, "zero"))
    names_of = [c.name for c in columns]
    told = "; ".join(f"{p}: {_told(names_of, cells[i * len(columns) :])}" for i, p in enumerate(players))
    return frame(title, f"{title}. {told}.", width, top + 38, *axis, *parts)


def _told(names: Sequence[str], cells: Sequence[tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} {typeset(with_error(*cell))}" for name, cell in zip(names, cells, strict=False))


def _bar(
    player: str, name: str, value: Any, error: Any, shade: float, scale: Scale, y: float, names: float, width: float
) -> list[Markup]:
    amount = typeset(with_error(value, error))
    parts = [label(name, names - 10, y + 11, "small soft end", room=names - 8)]
    parts.append(label(amount, width - 2, y + 11, "small end"))
    if not finite(value):
        return parts
    hint = el("title", None, f"{player}, {name}: {amount}")
    parts.append(box(scale(0), scale(value), y, 14, "up" if value >= 0 else "down", hint, opacity=shade))
    if finite(error) and error > 0:
        parts += whisker(scale(value - error), scale(value + error), y + 7, 3)
    return parts
