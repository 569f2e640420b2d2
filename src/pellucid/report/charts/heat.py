"""Heat map: players by days; colour and printed sign both tell the direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pellucid.report.markup import Markup, el
from pellucid.report.numbers import finite, number, typeset, with_error
from pellucid.report.svg import empty_frame, frame, label, text_width

STRONGEST = 0.45  # opacity of the largest share: the ink printed on it stays readable in both themes


def heat_map(
    title: str,
    players: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[Any]],
    errors: Sequence[Sequence[Any]] = (),
    *,
    unit: str = "",
    width: int = 680,
) -> Markup:
    """Attributions of many rows at a glance.

    Args:
        title: name of the picture.
        players: rows of the map. columns: days or steps, in order.
        values: shape (len(columns), len(players)), as an explanation holds them.
        errors: standard errors, same shape; a value within two of them of zero is printed in brackets.
        unit: of the values.
        width: px; numbers are printed where a cell is wide enough for them.
    """
    strongest = max((abs(v) for line in values for v in line if finite(v)), default=0.0)
    if not players or not columns or not strongest:
        return empty_frame(title, width)
    names = min(max(text_width(p) for p in players) + 12, width * 0.34)
    step = (width - names) / len(columns)
    roomy = step >= 58
    tall, top = 30.0, 24.0
    parts: list[Markup] = []
    longest = min(max(text_width(c, 11.5) for c in columns) + 6, 110.0, width - names)
    every = max(1, math.ceil(longest / step))  # a name at every so many columns, so that none run into each other
    for j in range(0, len(columns), every):
        middle = min(names + step * (j + 0.5), width - longest / 2)
        parts.append(label(columns[j], middle, 14, "soft small middle", room=longest))
    for i, player in enumerate(players):
        y = top + tall * i
        parts.append(label(player, names - 10, y + 19, "end", room=names - 10))
        for j, column in enumerate(columns):
            value = values[j][i] if j < len(values) and i < len(values[j]) else None
            error = errors[j][i] if j < len(errors) and i < len(errors[j]) else None
            parts += _cell(f"{player}, {column}", value, error, strongest, names + step * j, y, (step, tall), roomy)
    height = top + tall * len(players) + 4
    told = f"{len(players)} players by {len(columns)} rows; the strongest is {typeset(number(strongest))} {unit}"
    return frame(title, f"{title}. {told}.", width, height, *parts)


def _cell(
    hint: str, value: Any, error: Any, strongest: float, x: float, y: float, size: tuple[float, float], roomy: bool
) -> list[Markup]:
    step, tall = size
    shape: dict[str, str | float] = {"x": float(x), "y": float(y), "width": float(step), "height": float(tall), "rx": 3}
    if not finite(value):
        empty = el("rect", {**shape, "class": "track cell"}, el("title", None, f"{hint}: not available"))
        return [empty, label("–", x + step / 2, y + 19, "soft small middle")]
    vague = finite(error) and abs(value) < 2 * error
    opacity = STRONGEST * abs(value) / strongest
    told = el("title", None, f"{hint}: {typeset(with_error(value, error))}")
    parts = [el("rect", {**shape, "class": ("up" if value >= 0 else "down") + " cell", "fill-opacity": opacity}, told)]
    places = min(8, max(0, 1 - math.floor(math.log10(strongest))))
    shown = (
        typeset(number(value, decimals=places, signed=True)) if roomy else "" if vague else "+" if value > 0 else "−"
    )
    if shown:
        shown = f"({shown})" if vague and roomy else shown
        parts.append(label(shown, x + step / 2, y + 19, "small middle"))
    return parts
