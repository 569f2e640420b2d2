"""Timeline: features by the steps of an episode, with what was done and numbers that went along with it.

Blue fills the upper half of a cell and raises the output, orange the lower half and lowers it: the direction can be
seen without colour. Neighbouring cells of one shade are drawn together, so that 500 steps stay a small picture.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pellucid.report.markup import Markup, coordinate, el
from pellucid.report.numbers import finite, number, percent, typeset
from pellucid.report.svg import Scale, empty_frame, fit_scale, frame, label, path, segment, text_width

LANE, STRIP, CURVE, GAP = 30.0, 13.0, 46.0, 8.0  # px: a feature, an action, a curve, between them
CELL = 2.5  # px: narrower steps are averaged
SHADES, DARKEST = 8, 0.92
MOST_ACTIONS = 8  # drawn as rows of their own

Numbers = Sequence[Any]


def timeline_chart(
    title: str,
    players: Sequence[str],
    values: Sequence[Numbers],
    *,
    actions: Sequence[str] = (),
    order: Sequence[str] = (),
    curves: Sequence[tuple[str, Numbers]] = (),
    steps: Sequence[str] = (),
    unit: str = "",
    width: int = 680,
) -> Markup:
    """An episode at a glance.

    Args:
        title: name of the picture.
        players: features, from top to bottom.
        values: shape (steps, len(players)), as an explanation holds them.
        actions: what was done at each step; `order`: the actions from top to bottom.
        curves: (name, a number per step) to be drawn beneath, the reward say.
        steps: what a step is called on the axis; by default its number.
        unit: of the values.
        width: px; where there is no room for every step, neighbours are averaged.
    """
    n = len(values)
    known = [abs(v) for line in values for v in line if finite(v)]
    if not players or not n or not known or not max(known):
        return empty_frame(title, width)
    rows = [word for word in dict.fromkeys((*order, *actions)) if word in set(actions)]
    rows = rows if len(rows) <= MOST_ACTIONS else []
    names = [*players, *rows, *(name for name, _ in curves)]
    ranges = [text_width(_range(numbers), 11.5) for _, numbers in curves]
    left = min(max(*map(text_width, names), *ranges, 0.0) + 12, width * 0.34)
    cells = max(1, min(n, int((width - left) / CELL)))
    ends = [round(i * n / cells) for i in range(cells + 1)]
    at = Scale(0.0, float(n), left, float(width))
    shades = [_means([line[j] if j < len(line) else None for line in values], ends) for j in range(len(players))]
    strongest = max((abs(v) for line in shades for v in line if v is not None), default=0.0)
    if not strongest:
        return empty_frame(title, width)
    parts: list[Markup] = []
    y = 4.0
    for j, player in enumerate(players):
        parts.append(label(player, left - 10, y + (j + 0.5) * LANE + 4, "end", room=left - 10))
        parts.append(segment(left, y + (j + 0.5) * LANE, width, y + (j + 0.5) * LANE, "grid"))
    parts += _cells(shades, ends, strongest, at, y)
    y += LANE * len(players) + GAP
    for word in rows:
        parts.append(label(word, left - 10, y + 10, "small end", room=left - 10))
        parts += _strip([word == done for done in actions], at, y)
        y += STRIP
    y += GAP if rows else 0.0
    for i, (name, numbers) in enumerate(curves):
        parts += _curve(name, numbers, at, y, left, i)
        y += CURVE + GAP
    parts += _axis(at, n, steps, y)
    told = _told(players, values, actions, unit)
    return frame(title, f"{title}. {told}", width, y + 22, *parts)


def _means(line: Numbers, ends: Sequence[int]) -> list[float | None]:
    """The mean of what is finite within each cell."""
    found: list[float | None] = []
    for start, stop in itertools.pairwise(ends):
        part = [float(v) for v in line[start:stop] if finite(v)]
        found.append(sum(v / len(part) for v in part) if part else None)
    return found


def _cells(
    shades: Sequence[Sequence[float | None]], ends: Sequence[int], strongest: float, at: Scale, top: float
) -> list[Markup]:
    """One path for each direction and shade."""
    drawn: dict[tuple[bool, int], list[str]] = {}
    for j, line in enumerate(shades):
        keys = [_shade(v, strongest) for v in line]
        start = 0
        for i in range(1, len(keys) + 1):
            if i < len(keys) and keys[i] == keys[start]:
                continue
            key = keys[start]
            if key is not None:
                x, stop = at(ends[start]), at(ends[i])
                y, half = top + j * LANE + (1.0 if key[0] else LANE / 2), LANE / 2 - 1.0
                shape = f"M{coordinate(x)} {coordinate(y)}H{coordinate(stop)}v{coordinate(half)}H{coordinate(x)}z"
                drawn.setdefault(key, []).append(shape)
            start = i
    return [
        el("path", {"d": "".join(shapes), "class": "up" if up else "down", "fill-opacity": DARKEST * shade / SHADES})
        for (up, shade), shapes in sorted(drawn.items())
    ]


def _shade(value: float | None, strongest: float) -> tuple[bool, int] | None:
    """(it raises the output, its shade); None where nothing is to be seen."""
    if value is None:
        return None
    shade = round(SHADES * min(1.0, abs(value) / strongest))
    return (value > 0, shade) if shade else None


def _strip(done: Sequence[bool], at: Scale, y: float) -> list[Markup]:
    """Bars where an action was taken."""
    shapes, start = [], 0
    for i in range(1, len(done) + 1):
        if i < len(done) and done[i] == done[start]:
            continue
        if done[start]:
            x, stop = at(start), at(i)
            shapes.append(f"M{coordinate(x)} {coordinate(y + 2)}H{coordinate(stop)}v9H{coordinate(x)}z")
        start = i
    return [el("path", {"d": "".join(shapes), "class": "quiet"})] if shapes else []


def _range(numbers: Numbers) -> str:
    """The least and the largest number."""
    known = [float(v) for v in numbers if finite(v)]
    if not known:
        return ""
    low, high = (number(end, digits=2) for end in (min(known), max(known)))
    return typeset(low if low == high else f"{low} to {high}")


def _curve(name: str, numbers: Numbers, at: Scale, y: float, left: float, series: int) -> list[Markup]:
    known = [float(v) for v in numbers if finite(v)]
    parts = [label(name, left - 10, y + CURVE / 2, "small end", room=left - 10)]
    if not known:
        return parts
    scale = fit_scale(known, y + CURVE - 4, y + 4)
    parts.append(label(_range(numbers), left - 10, y + CURVE / 2 + 14, "small soft end", room=left - 10))
    parts.append(segment(left, y + CURVE, at.stop, y + CURVE, "grid"))
    points = [(at(t + 0.5), scale(v)) if finite(v) else None for t, v in enumerate(numbers)]
    return [*parts, path(points, f"line c{series + 3}")]


def _axis(at: Scale, n: int, steps: Sequence[str], y: float) -> list[Markup]:
    """Names of some steps; those that would run into each other are left out."""
    parts: list[Markup] = []
    free = -math.inf
    for tick in at.ticks(6):
        t = round(tick)
        if t != tick or not 0 <= t < n:
            continue
        name = steps[t] if t < len(steps) else f"{t:,}"
        half = text_width(name, 11.5) / 2
        x = min(max(at(t + 0.5), at.start + half), at.stop - half)
        if x - half > free:
            parts.append(label(name, x, y + 12, "soft small middle"))
            free = x + half + 8
    return parts


def _told(players: Sequence[str], values: Sequence[Numbers], actions: Sequence[str], unit: str) -> str:
    """The picture in words."""
    sizes = []
    for j, player in enumerate(players):
        line = [abs(float(row[j])) for row in values if j < len(row) and finite(row[j])]
        sizes.append((sum(v / len(line) for v in line) if line else 0.0, player))
    sizes.sort(key=lambda one: -one[0])
    mean = ", ".join(f"{player} {typeset(number(size))}" for size, player in sizes[:5])
    done = ", ".join(
        f"{word} {typeset(percent(times / len(actions)))}"
        for word, times in Counter(actions).most_common(MOST_ACTIONS)
        if word
    )
    told = f"{len(values):,} steps; mean absolute values {f'in {unit} ' if unit else ''}of the largest: {mean}."
    return f"{told} Actions: {done}." if done else told
