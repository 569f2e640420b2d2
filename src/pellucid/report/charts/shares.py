"""Shares: decisions that flipped, parameters that a delta touches."""

from __future__ import annotations

from typing import Any

from pellucid.report.markup import Markup
from pellucid.report.numbers import MISSING, count, finite, number, percent
from pellucid.report.svg import box, empty_frame, fit_scale, frame, label, text_width


def share_bar(title: str, share: Any, *, width: int = 330) -> Markup:
    """A share of a whole as a bar with its percentage."""
    if not finite(share):
        return empty_frame(title, width)
    scale = fit_scale([0.0, 1.0], 0, width, pad=0)
    end = scale(min(max(float(share), 0.0), 1.0))
    return frame(
        title, f"{title}: {percent(share)}.", width, 14, box(0, width, 1, 12, "track"), box(0, end, 1, 12, "f1")
    )


def flip_chart(title: str, n: Any, to_better: Any, to_worse: Any, changed: Any = None, *, width: int = 480) -> Markup:
    """Decisions that changed, split into better, worse and neither, on one bar of those changed.

    Args:
        title: name of the picture.
        n: decisions in all. to_better, to_worse: of those changed. changed: all that changed.
        width: px.
    """
    if not finite(n) or not n:
        return empty_frame(title, width)
    better, worse = (max(float(v), 0.0) if finite(v) else 0.0 for v in (to_better, to_worse))
    total = float(changed) if finite(changed) else better + worse
    neither = max(total - better - worse, 0.0)
    told = f"{count(total) if total else 'no'} of {count(n, 'decision')} changed"
    if to_better is not None or to_worse is not None:
        told += (
            f": {count(to_better) if finite(to_better) else MISSING} to the better, "
            f"{count(to_worse) if finite(to_worse) else MISSING} to the worse, {count(neither)} neither"
        )
    parts = [label(f"{count(total)} of {count(n)} changed ({percent(total / n)})", 0, 14, "strong")]
    bars, texts = flip_parts(to_better, to_worse, total, 0, width, 24, 20)
    parts += bars
    x = 0.0
    for text, classes in texts:
        parts.append(label(text, x, 62, f"{classes} strong"))
        x += text_width(text) * 1.06 + 14
    return frame(title, f"{title}: {told}.", width, 70, *parts)


def flip_parts(
    to_better: Any, to_worse: Any, changed: Any, start: float, stop: float, top: float, height: float
) -> tuple[list[Markup], list[tuple[str, str]]]:
    """The bar of a flip chart from `start` to `stop`, and (text, classes) of each of its parts."""
    better, worse = (max(float(v), 0.0) if finite(v) else 0.0 for v in (to_better, to_worse))
    total = float(changed) if finite(changed) else better + worse
    scale = fit_scale([0.0, total or 1.0], start, stop, pad=0)
    bars, texts, at = [box(start, stop, top, height, "track")], [], 0.0
    kinds = [
        (better, "good", "▲", "to the better"),
        (worse, "bad", "▼", "to the worse"),
        (max(total - better - worse, 0.0), "quiet", "●", "neither"),
    ]
    if to_better is None and to_worse is None:  # decisions of a policy: only an episode tells what they are worth
        kinds = [(total, "quiet", "●", "changed")]
    for amount, classes, sign, name in kinds:
        if amount:
            bars.append(box(scale(at), scale(at + amount) - (1 if total > 1 else 0), top, height, classes))
        if amount or name != "neither":
            texts.append((f"{sign} {number(int(amount))} {name}", classes))
        at += amount
    return bars, texts
