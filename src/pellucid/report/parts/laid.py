"""Values of parts where they belong: on the picture, or along the series."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from pellucid.report.blocks import figure
from pellucid.report.charts.overlay import Region, outlines, overlay_chart
from pellucid.report.charts.segments import Span, segment_chart
from pellucid.report.explained import at, names
from pellucid.report.markup import Markup
from pellucid.report.png import png
from pellucid.report.svg import responsive
from pellucid.report.words import Json, items, text


def laid_figures(one: Json, row: int, output: int, title: str) -> list[Markup]:
    """A figure per field in parts; none of one that cannot be read.

    Args:
        one: Explanation JSON, in the units in which it is shown.
    """
    found = []
    for field in items(one, "laid"):
        try:
            found.append((_picture if len(field["shape"]) == 3 else _series)(one, field, row, output, title))
        except (KeyError, IndexError, TypeError, ValueError, OverflowError):
            continue  # a file that somebody edited: the numbers are in the table all the same
    return found


def _picture(one: Json, field: Json, row: int, output: int, title: str) -> Markup:
    height, wide, channels = field["shape"]
    pixels = np.frombuffer(base64.b64decode(field["raw"][row]), dtype=np.uint8).reshape(height, wide, channels)
    shown = pixels if channels in (1, 3) else pixels[:, :, :1]
    file = png(shown)
    outlined = "regions" in field
    regions = (_superpixels if outlined else _patches)(one, field, row, output)
    name, unit = text(field, "field"), text(one, "unit")

    def draw(width: int) -> Markup:
        return overlay_chart(f"{title}: {name}", regions, file, (height, wide), unit=unit, width=width)

    line = "Blue and + raise the output, orange and − lower it; in brackets: within two standard errors of zero."
    kind = "superpixels" if outlined else "patches"
    return figure(responsive(draw, 640), f"{name} in {len(regions)} {kind}.", line)


def _patches(one: Json, field: Json, row: int, output: int) -> list[Region]:
    return [
        Region(name, place, value, error)
        for (name, value, error), place in zip(_shares(one, field, row, output), field["places"], strict=True)
    ]


def _superpixels(one: Json, field: Json, row: int, output: int) -> list[Region]:
    height, wide = field["shape"][:2]
    labels = np.frombuffer(base64.b64decode(field["regions"][row]), dtype="<u4").reshape(height, wide)
    found = []
    for part, (name, value, error) in enumerate(_shares(one, field, row, output)):
        inside = labels == part
        ys, xs = np.nonzero(inside)
        place = (int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1)
        near = int(np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2))  # the centroid itself may lie outside
        middle = (float(ys[near]) + 0.5, float(xs[near]) + 0.5)
        found.append(Region(name, place, value, error, outlines(inside), middle))
    return found


def _series(one: Json, field: Json, row: int, output: int, title: str) -> Markup:
    newest, (length,) = int(field["newest"]), field["shape"]
    moments = [float(newest - i) for i in range(length)]
    spans = [
        Span(name, newest - place[1] + 1.0, float(newest - place[0]), value, error)
        for (name, value, error), place in zip(_shares(one, field, row, output), field["places"], strict=True)
    ]
    name, unit = text(field, "field"), text(one, "unit")

    def draw(width: int) -> Markup:
        return segment_chart(f"{title}: {name}", moments, field["raw"][row], spans, unit=unit, width=width)

    line = "Above what the row holds, below what each segment adds, with two standard errors; time runs to the right."
    return figure(responsive(draw, 820), f"{name} in {len(spans)} segments.", line)


def _shares(one: Json, field: Json, row: int, output: int) -> list[tuple[str, Any, Any]]:
    """Name, value and error of every part."""
    players = names(one, "players")
    return [
        (players[j], at(one.get("values"), row, j, output), at(one.get("error"), row, j, output))
        for j in field["players"]
    ]
