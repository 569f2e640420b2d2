"""A picture with its patches coloured by what they add, beside the picture itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.heat import STRONGEST
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import finite, number, typeset, with_error
from pellucid.report.svg import empty_frame, frame, label, text_width

TALLEST, GAP = 260.0, 24.0
FAINT = 0.25  # opacity of the picture beneath its colours
LARGE = 0.1  # of the largest share: from there on the number is printed, where there is room


@dataclass(frozen=True)
class Region:
    """A patch. Args: name: as it is called. place: (top, left, bottom, right), pixels. value, error: its share."""

    name: str
    place: Sequence[int]
    value: Any
    error: Any = None


def overlay_chart(
    title: str, regions: Sequence[Region], file: bytes, size: tuple[int, int], *, unit: str = "", width: int = 680
) -> Markup:
    """Blue and + raise the output, orange and − lower it; in brackets: within two standard errors of zero.

    Args:
        title: name of the picture.
        regions: patches with their shares.
        file: the picture as a PNG.
        size: its height and width in pixels.
        unit: of the shares. width: px; on a narrow page the two lie one above the other.
    """
    strongest = max((abs(one.value) for one in regions if finite(one.value)), default=0.0)
    if not regions or not strongest or min(size) < 1:
        return empty_frame(title, width)
    beside = width >= 480
    room = (width - GAP) / 2 if beside else float(width)
    pixel = min(TALLEST / size[0], room / size[1])
    wide, tall = pixel * size[1], pixel * size[0]
    at = (wide + GAP, 0.0) if beside else (0.0, tall + GAP)
    source = "data:image/png;base64," + base64.b64encode(file).decode()
    parts = [_image(source, (0.0, 0.0), (wide, tall), 1.0), _image(source, at, (wide, tall), FAINT)]
    for one in regions:
        parts += _region(one, strongest, at, pixel)
    ordered = sorted((r for r in regions if finite(r.value)), key=lambda r: -abs(r.value))[:8]
    told = "; ".join(f"{r.name} {typeset(with_error(r.value, r.error))}" for r in ordered)
    within = f" in {unit}" if unit else ""
    return frame(
        title, f"{title}. {len(regions)} patches, the largest shares{within}: {told}.", width, at[1] + tall + 4, *parts
    )


def _image(source: str, at: tuple[float, float], size: tuple[float, float], opacity: float) -> Markup:
    shape = {"x": at[0], "y": at[1], "width": size[0], "height": size[1], "opacity": opacity}
    return el("image", {**shape, "href": source, "preserveAspectRatio": "none", "class": "pixels"})


def _region(one: Region, strongest: float, at: tuple[float, float], pixel: float) -> list[Markup]:
    top, left, bottom, right = (pixel * edge for edge in one.place)
    x, y, wide, tall = at[0] + left, at[1] + top, right - left, bottom - top
    hint = el("title", None, f"{one.name}: {typeset(with_error(one.value, one.error))}")
    shape: dict[str, Any] = {"x": x, "y": y, "width": wide, "height": tall, "class": "track cell", "fill-opacity": 0.0}
    if not finite(one.value):
        return [el("rect", shape, hint)]
    share = abs(one.value) / strongest
    shape |= {"class": "up cell" if one.value >= 0 else "down cell", "fill-opacity": 1.6 * STRONGEST * share}
    parts = [el("rect", shape, hint)]
    shown = typeset(number(one.value, signed=True))
    if finite(one.error) and abs(one.value) < 2 * one.error:
        shown = f"({shown})"
    if share >= LARGE and text_width(shown, 11.5) < wide and tall >= 16:
        parts.append(label(shown, x + wide / 2, y + tall / 2 + 4, "small middle"))
    return parts
