"""A text with its values: marks for a terminal, a matplotlib figure for a notebook. The report has its own picture."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.explain.drawn import DOWN, UP

if TYPE_CHECKING:
    from pellucid.explain.texts import TextExplanation

LARGE = 0.2  # of the largest value: from there on a word is marked
LINE, MOST = 80, 400  # letters of a line; words that are drawn


def marked(one: TextExplanation, output: int) -> str:
    """The text; ▲ before words that raise the output, ▼ before those that lower it, where that is much and settled."""
    found, before = [], 0
    values, error = one.values.values[0, :, output], one.values.error[0, :, output]
    largest = float(np.abs(values).max(initial=0.0))
    for (start, stop), value, sd in zip(one.spans, values.tolist(), error.tolist(), strict=True):
        shown = largest > 0 and abs(value) >= max(LARGE * largest, 2 * sd)
        found += [one.text[before:start], ("▲" if value > 0 else "▼") if shown else "", one.text[start:stop]]
        before = stop
    return "".join([*found, one.text[before:]])


def drawn(one: TextExplanation, output: int) -> Any:
    """Words on a ground as strong as their value, blue above and orange below zero; the value beneath where large."""
    values = one.values.values[0, :MOST, output]
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    places, x, y = [], 0, 0
    for start, stop in one.spans[:MOST]:
        word = " ".join(one.text[start:stop].split())
        if x and x + len(word) > LINE:
            x, y = 0, y + 1
        places.append((x, y, word))
        x += len(word) + 2
    figure = import_module("matplotlib.figure").Figure(figsize=(10.0, 0.5 * (y + 1) + 0.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-1, LINE + 4), ylim=(y + 1, -0.8))
    axes.axis("off")
    for (at, line, word), value in zip(places, values.tolist(), strict=True):
        ground = {"facecolor": UP if value >= 0 else DOWN, "alpha": 0.5 * abs(value) / largest, "linewidth": 0}
        axes.text(at, line, word, family="monospace", fontsize=10, bbox={**ground, "pad": 2.0})
        if abs(value) >= LARGE * largest:
            axes.text(at, line + 0.42, f"{value:+.2g}", family="monospace", fontsize=7, color="0.35")
    e = one.values
    axes.set_title(f"{e.task}: {e.outputs[output]}{f' ({e.unit})' if e.unit else ''}; {one.mask}", fontsize=9)
    return figure
