"""Swarm: every row's attribution to each player, shaded by the value that the player had there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pellucid.report.charts.axes import bottom_axis
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, finite, number, typeset
from pellucid.report.svg import Scale, empty_frame, fit_scale, frame, label, ordinal, segment, text_width

SINGLE = 300  # rows up to which each has a mark of its own; of more, marks of one place become a bar
BINS = 90  # places across the picture
TALL, GAP, RADIUS = 34.0, 6.0, 2.6
PALE, DARK = 0.18, 0.95  # opacity of the lowest and the highest value


class _Mark(NamedTuple):
    place: int
    value: float
    shade: float | None  # rank of the input among the rows, 0 to 1; None: it has no order


def swarm_chart(
    title: str,
    players: Sequence[str],
    values: Sequence[Sequence[Any]],
    inputs: Sequence[Sequence[Any]] = (),
    *,
    unit: str = "",
    width: int = 680,
) -> Markup:
    """Attributions of many rows, the players with the largest mean size first.

    Args:
        title: name of the picture.
        players: strips, in any order.
        values: shape (rows, players), as an explanation holds them.
        inputs: what each player's value was, same shape; a number or a day shades the mark: the darker the higher.
        unit: of the values.
        width: px.
    """
    known = [v for line in values for v in line[: len(players)] if finite(v)]
    if not players or not known:
        return empty_frame(title, width)
    column = [[_cell(values, i, j) for i in range(len(values))] for j in range(len(players))]
    size = [_mean([abs(v) for v in each if v is not None]) for each in column]
    order = sorted(range(len(players)), key=lambda j: -size[j])
    names = min(max(text_width(p) for p in players) + 12, width * 0.34)
    scale = fit_scale(known, names, width - 10, include=[0.0], pad=0.03)
    marks: list[Markup] = []
    strips, told = [], []
    for at, j in enumerate(order):
        top = 4.0 + at * (TALL + GAP)
        strips.append((top, top + TALL))
        marks.append(label(players[j], names - 10, top + TALL / 2 + 4, "end", room=names - 10))
        shades = _ranks([ordinal(_raw(inputs, i, j)) for i in range(len(values))])
        found = [_Mark(_place(v, scale), v, shade) for v, shade in zip(column[j], shades, strict=True) if v is not None]
        marks += _drawn(players[j], found, scale, top, one_by_one=len(values) <= SINGLE)
        told.append(f"{players[j]} {typeset(number(size[j]))}")
    end = strips[-1][1]
    axis = bottom_axis(scale, 4, end, unit, signed=True, wanted=4, strips=strips)
    axis += [segment(scale(0), a, scale(0), b, "zero") for a, b in strips]
    about = f"{title}. {count(len(values), 'row')}; mean size, largest first: {'; '.join(told)}."
    return frame(title, about, width, end + 40, *axis, *marks)


def _drawn(player: str, found: Sequence[_Mark], scale: Scale, top: float, *, one_by_one: bool) -> list[Markup]:
    """Marks that would lie on one another, stacked around the middle of the strip."""
    places: dict[int, list[_Mark]] = {}
    for mark in sorted(found, key=lambda m: (m.place, -1.0 if m.shade is None else m.shade)):
        places.setdefault(mark.place, []).append(mark)
    most = max(map(len, places.values()), default=1)
    middle, room = top + TALL / 2, TALL - 2 * RADIUS
    parts = []
    for place, here in places.items():
        if one_by_one:
            step = min(2 * RADIUS, room / max(most - 1, 1))
            for i, mark in enumerate(here):
                y = middle + step * (i - (len(here) - 1) / 2)
                hint = el("title", None, f"{player}: {typeset(number(mark.value, signed=True))}")
                side = {"x": scale(mark.value) - RADIUS, "y": y - RADIUS, "width": 2 * RADIUS, "height": 2 * RADIUS}
                parts.append(el("rect", {**side, "rx": RADIUS, **_ink(mark.shade)}, hint))  # a disc
            continue
        wide = (scale.stop - scale.start) / BINS
        tall = max(1.5, room * len(here) / most)
        shades = [mark.shade for mark in here if mark.shade is not None]
        hint = el("title", None, f"{player}: {count(len(here), 'row')}")
        shape = {"x": scale.start + place * wide, "y": middle - tall / 2, "width": wide, "height": tall}
        parts.append(el("rect", {**shape, **_ink(_mean(shades) if shades else None)}, hint))
    return parts


def _ink(shade: float | None) -> dict[str, str | float]:
    if shade is None:
        return {"class": "quiet", "fill-opacity": 0.7}
    return {"class": "up", "fill-opacity": round(PALE + (DARK - PALE) * shade, 2)}


def _place(value: float, scale: Scale) -> int:
    share = (scale(value) - scale.start) / (scale.stop - scale.start)
    return min(BINS - 1, max(0, int(share * BINS)))


def _cell(table: Sequence[Sequence[Any]], i: int, j: int) -> Any:
    value = _raw(table, i, j)
    return float(value) if finite(value) else None


def _raw(table: Sequence[Sequence[Any]], i: int, j: int) -> Any:
    return table[i][j] if i < len(table) and j < len(table[i]) else None


def _ranks(values: Sequence[float | None]) -> list[float | None]:
    """The share of lower ones among the different values; None where it is no number, or all are equal."""
    different = sorted({v for v in values if v is not None})
    if len(different) < 2:
        return [None] * len(values)
    place = {v: i / (len(different) - 1) for i, v in enumerate(different)}
    return [None if v is None else place[v] for v in values]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
