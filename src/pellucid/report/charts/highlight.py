"""Highlighted text: every word on a ground as strong as its share, with the share beneath where it is large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.heat import STRONGEST
from pellucid.report.markup import Markup, clean, el
from pellucid.report.numbers import finite, number, typeset, with_error
from pellucid.report.svg import SIZE, empty_frame, frame, label, shorten, text_width

MOST = 400  # pieces that are drawn
LARGE = 0.2  # of the largest share: from there on the number is printed
LINE, SPACE, EDGE = 44.0, 4.0, 3.0


@dataclass(frozen=True)
class Piece:
    """A word or phrase. Args: text: as written. value, error: its share. line: a new line begins with it."""

    text: str
    value: Any
    error: Any = None
    line: bool = False

    @property
    def vague(self) -> bool:
        """Within two standard errors of zero."""
        return bool(finite(self.error) and finite(self.value) and abs(self.value) < 2 * self.error)


def highlight_chart(title: str, pieces: Sequence[Piece], *, unit: str = "", width: int = 680) -> Markup:
    """The text itself; blue and + raise the output, orange and − lower it.

    Args:
        title: name of the picture.
        pieces: the players in the order of the text; of very many the first 400 are drawn.
        unit: of the shares. width: px.
    """
    known = [abs(piece.value) for piece in pieces if finite(piece.value)]
    strongest = max(known, default=0.0)
    if not pieces:
        return empty_frame(title, width)
    x, y = 0.0, 4.0
    parts: list[Markup] = []
    for piece in pieces[:MOST]:
        shown = shorten(" ".join(piece.text.split()), width - 2 * EDGE)
        beneath = _beneath(piece, strongest)
        room = max(text_width(shown), text_width(beneath, 11.5)) + 2 * EDGE
        if x and (piece.line or x + room > width):
            x, y = 0.0, y + LINE
        parts += _drawn(piece, shown, beneath, strongest, (x, y, room))
        x += room + SPACE
    left = len(pieces) - MOST
    if left > 0:
        y += LINE
        parts.append(label(f"… and {left:,} more", 0, y + 17, "soft"))
    return frame(title, _described(title, pieces, unit), width, y + LINE, *parts)


def _beneath(piece: Piece, strongest: float) -> str:
    if not finite(piece.value) or not strongest or abs(piece.value) < LARGE * strongest:
        return ""
    shown = typeset(number(piece.value, signed=True))
    return f"({shown})" if piece.vague else shown


def _drawn(piece: Piece, shown: str, beneath: str, strongest: float, at: tuple[float, float, float]) -> list[Markup]:
    x, y, room = at
    hint = el("title", None, f"{clean(piece.text)}: {typeset(with_error(piece.value, piece.error))}")
    share = abs(piece.value) / strongest if finite(piece.value) and strongest else 0.0
    ground = el(
        "rect",
        {"x": x, "y": y, "width": room, "height": SIZE + 11.0, "rx": 3, "fill-opacity": STRONGEST * share,
         "class": "down" if finite(piece.value) and piece.value < 0 else "up"},
        hint,
    )  # fmt: skip
    middle = x + room / 2
    parts = [ground, label(shown, middle, y + 17, "middle")]
    if beneath:
        parts.append(label(beneath, middle, y + 35, "soft small middle"))
    return parts


def _described(title: str, pieces: Sequence[Piece], unit: str) -> str:
    ordered = sorted((p for p in pieces if finite(p.value)), key=lambda p: -abs(p.value))[:10]
    told = "; ".join(f"{clean(p.text)} {typeset(with_error(p.value, p.error))}" for p in ordered)
    return f"{title}. {len(pieces)} pieces of text, the largest shares{f' in {unit}' if unit else ''}: {told}."
