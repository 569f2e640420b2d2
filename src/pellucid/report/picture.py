"""The behaviour diff as one picture, for a README or a pull request: per task the change of the loss, the decisions
that changed, and what the outputs rest on before and after.
"""

from __future__ import annotations

from typing import Any

from pellucid.report.charts.shares import flip_parts
from pellucid.report.markup import Markup
from pellucid.report.numbers import count, finite, measured, percent, typeset
from pellucid.report.svg import (
    box,
    fit_scale,
    frame,
    label,
    marker,
    segment,
    shorten,
    standalone,
    text_width,
    whisker,
)
from pellucid.report.units import in_units, metric_unit
from pellucid.report.words import Json, diff_headline, diff_sentences, diff_verdict, items, text

WIDTH = 720.0
_PAD = 22.0
_LEFT = (_PAD, 344.0)  # loss and decisions
_RIGHT = (386.0, WIDTH - _PAD)  # what the outputs rest on
_NAMES, _NUMBERS = 76.0, 96.0  # room for players and for their two shares
_ROW = 21.0
_PLAYERS = 5


def diff_picture(diff: Json) -> str:
    """A picture as a file of its own: light and dark, on a card so that it can be read on any page.

    Args:
        diff: Diff JSON.
    """
    tasks = items(diff, "tasks")
    symbol, verdict, tone = diff_verdict(diff)
    pair = f"{text(diff, 'base', 'base')} → {text(diff, 'candidate', 'candidate')}"
    mark = f"{symbol}  {verdict}"
    parts: list[Markup] = [
        label("Behaviour diff", _PAD, 32, "small soft"),
        label(pair, _PAD, 52, "strong", room=WIDTH - 240),
        label(mark, WIDTH - _PAD, 52, f"strong end {tone}"),
        label(_summary(diff), _PAD, 73, "soft", room=WIDTH - 2 * _PAD),
    ]
    top = 92.0
    for task in tasks:
        parts.append(segment(_PAD, top, WIDTH - _PAD, top, "grid"))
        drawn, height = _task(task, top)
        parts += drawn
        top += height
    if tasks:
        parts.append(segment(_PAD, top, WIDTH - _PAD, top, "grid"))
        line = "Both versions on the same review rows. Bars are 95 % intervals."
        parts.append(label(line, _PAD, top + 22, "small soft"))
        top += 14
    height = top + 24
    told = " ".join(diff_sentences(diff))
    return str(
        standalone(frame(diff_headline(diff), told, WIDTH, height, box(1, WIDTH - 1, 1, height - 2, "sheet"), *parts))
    )


def _summary(diff: Json) -> str:
    if diff.get("empty"):
        return "The same version on both sides."
    gates = items(diff, "gates")
    passed = sum(gate.get("passed") is True for gate in gates)
    parameters: Json = diff.get("parameters") or {}
    told = [f"{passed} of {count(len(gates), 'gate')} passed"] if gates else []
    if finite(parameters.get("share")):
        touched, total = count(parameters.get("touched")), count(parameters.get("total"))
        told.append(f"{touched} of {total} parameters touched ({percent(parameters['share'])})")
    return "; ".join(told)


def _task(task: Json, top: float) -> tuple[list[Markup], float]:
    """The parts of one task, and its height."""
    shown = sorted(items(task, "attribution"), key=lambda p: (-_size(p.get("shift")), text(p, "player")))[:_PLAYERS]
    parts = [
        label(text(task, "task", "task"), _PAD, top + 24, "strong", room=100),
        label(str(metric_unit(task)), _LEFT[1], top + 24, "small soft end", room=215),
    ]
    parts += _loss(task, top + 24)
    parts += _decisions(task, top + 84)
    parts += _shares(shown, top + 24)
    return parts, max(128.0, 44.0 + _ROW * len(shown))


def _size(value: Any) -> float:
    return abs(float(value)) if finite(value) else 0.0


def _loss(raw: Json, top: float) -> list[Markup]:
    task, unit = in_units(raw), metric_unit(raw)
    change, low, high = (task.get(key) for key in ("change", "low", "high"))
    start, stop = _LEFT
    shown = typeset(measured(change, low, high, signed=True))
    parts = [
        label(f"change; {unit.better} is better", start, top + 20, "small soft"),
        label(shown, stop, top + 20, "small end"),
    ]
    if not (finite(change) and finite(low) and finite(high)):
        return parts
    scale = fit_scale([change, low, high], start + 8, stop - 8, include=[0.0], pad=0.2)
    y = top + 33
    parts += [segment(start, y, stop, y, "grid"), segment(scale(0), y - 7, scale(0), y + 7, "zero")]
    parts.append(label("0", scale(0), y + 19, "small soft middle"))
    parts += whisker(scale(low), scale(high), y, 4)
    parts.append(marker("circle", scale(change), y, 1, shown))
    return parts


def _decisions(task: Json, top: float) -> list[Markup]:
    flips: Json = task.get("flips") or {}
    changed, n = flips.get("changed"), flips.get("n")
    if not finite(changed) or not finite(n) or not n:
        return []
    start, stop = _LEFT
    parts = [label(f"{count(changed)} of {count(n, 'decision')} changed", start, top + 8, "small soft")]
    bars, texts = flip_parts(flips.get("to_better"), flips.get("to_worse"), changed, start, stop, top + 15, 12)
    at = stop
    for shown, classes in reversed(texts[:2]):  # better and worse; the rest of the bar is neither
        short = shown.replace("to the ", "")
        parts.append(label(short, at, top + 8, f"{classes} strong small end"))
        at -= text_width(short, 11.5) + 12
    return parts + bars


def _shares(players: list[Json], top: float) -> list[Markup]:
    """A line per player from its share before (open) to its share after (filled)."""
    if not players:
        return []
    start, stop = _RIGHT
    parts = [label("what the outputs rest on: before □, after ●", start, top, "small soft", room=stop - start)]
    shares = [p.get(key) for p in players for key in ("base", "candidate")]
    scale = fit_scale(shares, start + _NAMES, stop - _NUMBERS, include=[0.0], pad=0.04)
    for i, player in enumerate(players):
        y = top + 18 + _ROW * i
        moved = bool(player.get("shown", True))
        base, candidate = player.get("base"), player.get("candidate")
        name = text(player, "player")
        parts.append(label(shorten(name, _NAMES - 12), start, y + 4, "" if moved else "soft"))
        parts.append(segment(scale(0), y, scale.stop, y, "grid"))
        shown = typeset(f"{percent(base)} → {percent(candidate)}")
        parts.append(label(shown, stop, y + 4, "small end" if moved else "small end soft"))
        if finite(base) and finite(candidate):
            parts.append(segment(scale(base), y, scale(candidate), y, "whisker"))
            parts.append(marker("square", scale(base), y, 6, f"{name} before"))
            parts.append(marker("circle", scale(candidate), y, 1, f"{name} after"))
    return parts
