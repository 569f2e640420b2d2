"""A picture with its patches or superpixels coloured by what they add, beside the picture itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.report.charts.heat import STRONGEST
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import finite, number, typeset, with_error
from pellucid.report.svg import empty_frame, frame, label, text_width

TALLEST, GAP = 260.0, 24.0
FAINT = 0.25  # opacity of the picture beneath its colours
LARGE = 0.1  # of the largest share: from there on the number is printed, where there is room


@dataclass(frozen=True)
class Region:
    """A patch or a superpixel.

    Args:
        name: as it is called. value, error: its share.
        place: (top, left, bottom, right), pixels; of a superpixel, of the rectangle around it.
        loops: of a superpixel, its outlines: corners (x, y), pixels. middle: of its label, (y, x).
    """

    name: str
    place: Sequence[int]
    value: Any
    error: Any = None
    loops: Sequence[Sequence[tuple[int, int]]] = ()
    middle: tuple[float, float] | None = None


def outlines(inside: npt.NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Closed outlines of the pixels that are inside: corners (x, y), the inside to the right of the way."""
    padded = np.pad(inside, 1)
    onward: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Of every pixel inside, the sides on which there is none: above, right, below, left; the way is clockwise.
    for (dy, dx), (start, stop) in {
        (-1, 0): ((0, 0), (1, 0)),
        (0, 1): ((1, 0), (1, 1)),
        (1, 0): ((1, 1), (0, 1)),
        (0, -1): ((0, 1), (0, 0)),
    }.items():
        bare = inside & ~padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]
        for y, x in np.argwhere(bare).tolist():
            onward.setdefault((x + start[0], y + start[1]), []).append((x + stop[0], y + stop[1]))
    found = []
    while onward:
        first = at = min(onward)
        loop = [first]
        while True:
            to = onward[at].pop()
            if not onward[at]:
                del onward[at]
            if to == first:
                break
            loop.append(to)
            at = to
        corners = zip([loop[-1], *loop], loop, [*loop[1:], loop[0]], strict=False)
        found.append([here for before, here, after in corners if not _straight(before, here, after)])
    return found


def _straight(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return a[0] == b[0] == c[0] or a[1] == b[1] == c[1]


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
    parts += [_region(one, strongest, at, pixel) for one in regions]
    parts += [shown for one in regions for shown in _number(one, strongest, at, pixel)]  # over all the outlines
    ordered = sorted((r for r in regions if finite(r.value)), key=lambda r: -abs(r.value))[:8]
    told = "; ".join(f"{r.name} {typeset(with_error(r.value, r.error))}" for r in ordered)
    within = f" in {unit}" if unit else ""
    kind = "superpixels" if any(one.loops for one in regions) else "patches"
    return frame(
        title, f"{title}. {len(regions)} {kind}, the largest shares{within}: {told}.", width, at[1] + tall + 4, *parts
    )


def _image(source: str, at: tuple[float, float], size: tuple[float, float], opacity: float) -> Markup:
    shape = {"x": at[0], "y": at[1], "width": size[0], "height": size[1], "opacity": opacity}
    return el("image", {**shape, "href": source, "preserveAspectRatio": "none", "class": "pixels"})


def _region(one: Region, strongest: float, at: tuple[float, float], pixel: float) -> Markup:
    top, left, bottom, right = (pixel * edge for edge in one.place)
    kind, shape = "rect", dict[str, Any](x=at[0] + left, y=at[1] + top, width=right - left, height=bottom - top)
    if one.loops:
        kind, shape = "path", {"d": _drawn(one.loops, at, pixel), "fill-rule": "evenodd"}
    shape |= {"class": "track cell", "fill-opacity": 0.0}
    if finite(one.value):
        share = abs(one.value) / strongest
        shape |= {"class": "up cell" if one.value >= 0 else "down cell", "fill-opacity": 1.6 * STRONGEST * share}
    return el(kind, shape, el("title", None, f"{one.name}: {typeset(with_error(one.value, one.error))}"))


def _number(one: Region, strongest: float, at: tuple[float, float], pixel: float) -> list[Markup]:
    """The share of a region that has room for it."""
    top, left, bottom, right = one.place
    if not finite(one.value) or abs(one.value) < LARGE * strongest:
        return []
    shown = typeset(number(one.value, signed=True))
    if finite(one.error) and abs(one.value) < 2 * one.error:
        shown = f"({shown})"
    if text_width(shown, 11.5) >= pixel * (right - left) or pixel * (bottom - top) < 16:
        return []
    y, x = one.middle or ((top + bottom) / 2, (left + right) / 2)
    return [label(shown, at[0] + pixel * x, at[1] + pixel * y + 4, "small middle")]


def _drawn(loops: Sequence[Sequence[tuple[int, int]]], at: tuple[float, float], pixel: float) -> str:
    """The path of closed outlines."""
    return "".join(
        "M" + "L".join(f"{at[0] + pixel * x:.1f} {at[1] + pixel * y:.1f}" for x, y in loop) + "Z" for loop in loops
    )
