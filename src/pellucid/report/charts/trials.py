"""Trials of a search: their losses one after the other, or by the value of one setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import left_axis
from pellucid.report.markup import Markup
from pellucid.report.numbers import finite, number, typeset
from pellucid.report.svg import (
    Scale,
    empty_frame,
    fit_scale,
    frame,
    label,
    marker,
    path,
    segment,
    text_width,
    tick_labels,
)

WIDE = 30.0  # largest over least loss from which on the axis is logarithmic


@dataclass(frozen=True)
class Tried:
    """One trial: where it lies on the x axis, its loss, whether it ran to its end, what it is."""

    x: Any
    loss: Any
    whole: bool
    hint: str


def trials_chart(
    title: str,
    tried: Sequence[Tried],
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
    words: Sequence[str] = (),
    best: bool = False,
    width: int = 680,
) -> Markup:
    """A mark a trial: a circle for one that ran to its end, a square for one that was ended early.

    Args:
        log: logarithmic x.
        words: what the places 0, 1, ... on the x axis are, where it holds choices.
        best: draw the least loss so far of trials that ran to their end.
    """
    known = [t for t in tried if finite(t.x) and finite(t.loss) and (not log or t.x > 0)]
    if not known:
        return empty_frame(title, width)
    losses = [float(t.loss) for t in known]
    steep = min(losses) > 0 and max(losses) / min(losses) > WIDE
    top, height = 26.0, 230.0
    bottom = top + height - 60
    y = fit_scale(losses, bottom, top, log=steep)
    ticks = y.ticks(4)
    texts = tick_labels(ticks)
    left = max((text_width(t, 11.5) for t in texts), default=20.0) + 14
    ends = (-0.5, len(words) - 0.5) if words else ()
    x = fit_scale([t.x for t in known], left, width - 14.0, log=log, include=ends, pad=0.0 if words else 0.05)
    named = y_label + (", logarithmic" if steep else "")
    parts: list[Markup] = [label(named, 0, 12, "soft small", room=width), *left_axis(y, left, x.stop, texts, ticks)]
    parts += _x_axis(x, bottom, x_label, words)
    if best:
        parts.append(path([(x(a), y(b)) for a, b in _falling(known)], "line c1"))
    for t in known:
        parts.append(marker("circle" if t.whole else "square", x(t.x), y(t.loss), 1 if t.whole else 3, typeset(t.hint)))
    whole = [t for t in known if t.whole]
    least = min(whole or known, key=lambda t: float(t.loss))
    told = f"{len(known)} trials, {len(known) - len(whole)} of them ended early; the least loss is {number(least.loss)}"
    return frame(
        title,
        f"{title}. {y_label} by {x_label}: {typeset(f'{told} ({least.hint})')}.",
        width,
        top + height - 16,
        *parts,
    )


def _falling(known: Sequence[Tried]) -> list[tuple[float, float]]:
    """The least loss so far, as steps."""
    points: list[tuple[float, float]] = []
    for t in known:
        if t.whole:
            before = points[-1][1] if points else float(t.loss)
            points += [(float(t.x), before), (float(t.x), min(before, float(t.loss)))]
    if points:
        points.append((float(known[-1].x), points[-1][1]))
    return points


def _x_axis(x: Scale, bottom: float, x_label: str, words: Sequence[str]) -> list[Markup]:
    ticks = [float(i) for i in range(len(words))] if words else x.ticks(max(2, int((x.stop - x.start) / 90)))
    texts = list(words) if words else tick_labels(ticks)
    room = (x.stop - x.start) / max(1, len(ticks))
    parts = [segment(x.start, bottom, x.stop, bottom, "axis")]
    for tick, text in zip(ticks, texts, strict=True):
        parts.append(segment(x(tick), bottom, x(tick), bottom + 5, "axis"))
        half = text_width(text, 11.5) / 2  # a label near an edge moves inwards
        middle = x(tick) if words else max(min(x(tick), x.stop + 14 - half), half)
        parts.append(label(text, middle, bottom + 19, "soft small middle", room=max(room, 30.0)))
    parts.append(label(x_label, (x.start + x.stop) / 2, bottom + 38, "soft small middle", room=x.stop - x.start))
    return parts
