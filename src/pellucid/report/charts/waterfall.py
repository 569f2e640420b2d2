"""Waterfall: how one prediction comes about, from the background's mean through every player to the output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.charts.axes import bottom_axis
from pellucid.report.markup import Markup, clean, el
from pellucid.report.numbers import finite, number, typeset, with_error
from pellucid.report.svg import Scale, box, empty_frame, fit_scale, frame, label, segment, shorten, text_width, whisker


@dataclass(frozen=True)
class Step:
    """One player: what it adds, the standard error of that, and its raw value for display."""

    player: str
    value: Any
    error: Any = None
    shown: str = ""


def waterfall_chart(
    title: str, steps: Sequence[Step], base: Any, prediction: Any, *, unit: str = "", most: int = 12, width: int = 680
) -> Markup:
    """Bars from base to prediction, largest first; whiskers are one standard error.

    Args:
        title: name of the picture.
        steps: the players, in any order; beyond `most` the smallest are summed into one row.
        base: mean output over the background. prediction: output of this row.
        unit: of outputs and attributions.
        most: rows before the rest are summed.
        width: px; below 480 names stand above the bars.
    """
    known = [s for s in steps if finite(s.value)]
    if not known or not finite(base):
        return empty_frame(title, width)
    ordered = fold_steps(steps, most)
    narrow = width < 480
    row = 44.0 if narrow else 30.0
    longest = max(text_width(_name(s)) for s in ordered)
    left = 8.0 if narrow else min(max(longest, 110.0) + 18, width * 0.36)
    right = width - 8.0 if narrow else width - max(text_width(_amount(s)) for s in ordered) - 20
    ends = _running(ordered, float(base))
    reach = [e + d * s.error for e, s in zip(ends[1:], ordered, strict=True) if finite(s.error) for d in (-1, 1)]
    scale = fit_scale([*ends, *reach, prediction], left, right)
    top = 46.0
    bottom = top + row * len(ordered)
    strips = [(top + row * i + 18, top + row * i + 38) for i in range(len(ordered))] if narrow else []
    parts = bottom_axis(scale, top - 10, bottom + 26, unit, wanted=4 if narrow else 5, strips=strips)
    parts.append(_anchor("average", base, scale, top - 14, width, above=True))
    parts.append(segment(scale(base), top - 10, scale(base), top + (28 if narrow else 8), "guide"))
    for i, step in enumerate(ordered):
        parts += _bar(step, ends[i], ends[i + 1], scale, top + row * i, narrow, width, left)
    if finite(prediction):
        parts.append(segment(scale(prediction), bottom - 4, scale(prediction), bottom + 8, "guide"))
        parts.append(_anchor("this row", prediction, scale, bottom + 20, width, above=False))
    missing = len(steps) - len(known)
    return frame(title, _describe(title, ordered, base, prediction, missing), width, bottom + 68, *parts)


def fold_steps(steps: Sequence[Step], most: int) -> list[Step]:
    """Steps with a value, largest first; beyond `most` rows the smallest are summed into one."""
    ordered = sorted((s for s in steps if finite(s.value)), key=lambda s: -abs(s.value))
    if len(ordered) <= most:
        return ordered
    rest = ordered[most - 1 :]
    errors = [float(s.error) for s in rest if finite(s.error)]
    total = math.fsum(float(s.value) for s in rest)
    return [*ordered[: most - 1], Step(f"{len(rest)} smaller ones", total, math.hypot(*errors) if errors else None)]


def _running(ordered: Sequence[Step], base: float) -> list[float]:
    ends = [base]
    for step in ordered:
        ends.append(ends[-1] + float(step.value))
    return ends


def _name(step: Step) -> str:
    return f"{clean(step.player)} = {clean(step.shown)}" if step.shown else clean(step.player)


def _amount(step: Step) -> str:
    return typeset(with_error(step.value, step.error))


def _anchor(name: str, value: Any, scale: Scale, y: float, width: float, *, above: bool) -> Markup:
    """`base 0.12` at its place on the axis, kept inside the picture."""
    text = f"{name} {typeset(number(value))}"
    half = text_width(text) / 2
    x = min(max(scale(value), half + 2), width - half - 2)
    return label(text, x, y, "strong middle halo" if not above else "middle halo soft")


def _bar(
    step: Step, start: float, stop: float, scale: Scale, top: float, narrow: bool, width: float, left: float
) -> list[Markup]:
    y, height = (top + 20, 16.0) if narrow else (top + 6, 18.0)
    colour = "up" if stop >= start else "down"
    amount = _amount(step)
    hint = el("title", None, f"{_name(step)}: {amount}")
    parts = [box(scale(start), scale(stop), y, height, colour, hint)]
    if finite(step.error) and step.error > 0:
        parts += whisker(scale(stop - step.error), scale(stop + step.error), y + height / 2, 3)
    step_down = top + (64 if narrow else 36)
    parts.append(segment(scale(stop), y + height, scale(stop), step_down, "guide"))
    if narrow:
        name = shorten(_name(step), width - 30 - text_width(amount))
        parts += [label(name, 8, top + 14, "halo"), label(amount, width - 8, top + 14, "end halo")]
    else:
        parts += [
            label(_name(step), left - 10, top + 19, "end", room=left - 12),
            label(amount, width - 4, top + 19, "end"),
        ]
    return parts


def _describe(title: str, steps: Sequence[Step], base: Any, prediction: Any, missing: int) -> str:
    told = "; ".join(f"{_name(s)} {_amount(s)}" for s in steps)
    lost = f" {missing} players not available." if missing else ""
    return f"{title}. Base {typeset(number(base))}; {told}; prediction {typeset(number(prediction))}.{lost}"
