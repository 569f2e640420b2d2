"""Confusion: how many rows of each class were taken for which; the diagonal was right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.report.charts.heat import STRONGEST
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, finite, typeset
from pellucid.report.svg import empty_frame, frame, label, text_width

_TALL, _TOP = 28.0, 40.0


def confusion_chart(title: str, classes: Sequence[str], counts: Sequence[Sequence[Any]], *, width: int = 330) -> Markup:
    """A cell per pair of classes, as dark as its share of the row's class; counts are printed where they fit.

    Args:
        title: name of the picture.
        classes: rows (what was true) and columns (what was said).
        counts: shape (len(classes), len(classes)).
        width: px.
    """
    known = [v for line in counts for v in line if finite(v)]
    if not classes or not known:
        return empty_frame(title, width)
    names = min(max(text_width(c) for c in classes) + 12, width * 0.34)
    step = (width - names) / len(classes)
    parts = [label("said (across), true (down)", 0, 12, "soft small", room=width)]
    told = []
    for j, name in enumerate(classes):
        if step >= 14:
            parts.append(label(name, names + step * (j + 0.5), _TOP - 8, "soft small middle", room=max(step - 2, 12)))
    for i, true in enumerate(classes):
        y = _TOP + _TALL * i
        parts.append(label(true, names - 10, y + 18, "end", room=names - 10))
        line = [v if finite(v) and v > 0 else 0.0 for v in counts[i]]
        most = max(line)
        whole = sum(v / most for v in line) if most else 1.0  # shares of the largest: no sum overflows
        for j, said in enumerate(classes):
            value, hint = counts[i][j], f"{true} taken for {said}: {typeset(_shown(counts[i][j]))}"
            share = line[j] / most / whole if most else 0.0
            tone = ("up" if i == j else "down") + " cell"
            shape: dict[str, str | float] = {"x": names + step * j, "y": y, "width": step, "height": _TALL, "rx": 3}
            shape |= {"class": tone, "fill-opacity": STRONGEST * share}
            parts.append(el("rect", shape, el("title", None, hint)))
            shown = typeset(_shown(value))
            if (value or not finite(value)) and text_width(shown, 11.5) <= step - 2:
                parts.append(label(shown, names + step * (j + 0.5), y + 18, "small middle"))
            if i != j and finite(value) and value > 0:
                told.append((value, hint))
    worst = [hint for _, hint in sorted(told, key=lambda pair: -pair[0])[:5]]
    text = f"most frequent confusions: {'; '.join(worst)}" if worst else "no row was taken for another class"
    if len(known) < len(classes) ** 2:
        text += "; some counts are not available"
    return frame(title, f"{title}. {text}.", width, _TOP + _TALL * len(classes) + 4, *parts)


def _shown(value: Any) -> str:
    return count(value) if finite(value) and abs(value) < 1e12 else "–"
