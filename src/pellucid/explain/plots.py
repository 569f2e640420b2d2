"""Pictures of an explanation for a notebook, as matplotlib figures: bars, a waterfall, a swarm, a heat map."""

from __future__ import annotations

from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.explain.drawn import DOWN, UP, parts

if TYPE_CHECKING:
    from pellucid.explain.explanation import Explanation

Array = npt.NDArray[np.float64]
SINGLE, BINS = 2000, 60  # marks up to which a swarm is drawn row by row; places across it


def bars(explanation: Explanation, output: int, k: int, row: int | None) -> Any:
    """The k largest values of a row with two standard errors; without one, of several rows the mean sizes."""
    ranked = explanation.top(k, output=output, row=row)[::-1]
    figure, axes = _canvas(len(ranked))
    axes.barh([r.player for r in ranked], [r.value for r in ranked], xerr=[2 * r.error for r in ranked], color=UP)
    axes.set_xlabel(_label(explanation, output))
    return figure


def waterfall(explanation: Explanation, output: int, k: int, row: int | None) -> Any:
    """One row: from the mean output of the background to the prediction; all but the k largest together."""
    e, i = explanation, row or 0
    order = np.argsort(-np.abs(e.values[i, :, output]), kind="stable")
    steps = [(f"{e.players[j]} = {_shown(e.inputs[i, j])}", float(e.values[i, j, output])) for j in order[:k]]
    if len(order) > k:
        steps.append((f"{len(order) - k} more", float(e.values[i, order[k:], output].sum())))
    figure, axes = _canvas(len(steps))
    at = float(e.base[output])
    axes.axvline(at, color="0.6", linewidth=0.8, linestyle=":")
    for place, (_, value) in enumerate(steps):
        axes.barh(place, value, left=at, color=UP if value >= 0 else DOWN)
        at += value
    errors = [2 * float(e.error[i, j, output]) for j in order[:k]]
    ends = float(e.base[output]) + np.cumsum([value for _, value in steps])[: len(errors)]
    axes.errorbar(ends, range(len(errors)), xerr=errors, fmt="none", ecolor="0.2")
    axes.set_yticks(range(len(steps)), [name for name, _ in steps])
    axes.use_sticky_edges = False
    axes.invert_yaxis()
    axes.set_title(f"{e.keys[i]}: {e.base[output]:.4g} to {e.prediction[i, output]:.4g}")
    axes.set_xlabel(_label(e, output))
    return figure


def swarm(explanation: Explanation, output: int, k: int, row: int | None) -> Any:
    """Every row's values of the k players of the largest mean size; darker where the input is higher.

    Of more than 2,000 rows, those of equal places become a mark whose size tells their number.
    """
    e = explanation
    values = e.values[:, :, output]
    order = np.argsort(-np.abs(values).mean(0), kind="stable")[:k]
    figure, axes = _canvas(len(order))
    drawn = None
    for place, j in enumerate(order):
        ranks = _ranks(e.inputs[:, j])
        x, height, shade, size = _stacked(values[:, j], ranks, one_by_one=len(e) <= SINGLE)
        style: dict[str, Any] = {"c": shade, "cmap": "Blues", "vmin": -0.4, "vmax": 1.0}
        if np.isnan(ranks).all():
            style = {"color": "0.5"}
        marks = axes.scatter(x, place + height, s=size, linewidths=0, **style)
        drawn = drawn if np.isnan(ranks).all() else marks
    axes.axvline(0.0, color="0.3", linewidth=0.8)
    axes.set_yticks(range(len(order)), [e.players[j] for j in order])
    axes.invert_yaxis()
    axes.set_xlabel(_label(e, output))
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=axes, pad=0.01, ticks=[0, 1], boundaries=np.linspace(0, 1, 50))
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("value of the input")
    return figure


def heat(explanation: Explanation, output: int, k: int, row: int | None) -> Any:
    """Players by rows."""
    e = explanation
    values = e.values[:, :, output]
    order = np.argsort(-np.abs(values).mean(0), kind="stable")[:k]
    figure, axes = _canvas(len(order))
    most = float(np.abs(values).max()) or 1.0
    limits = {"vmin": -most, "vmax": most, "aspect": "auto", "interpolation": "nearest"}
    picture = axes.imshow(values[:, order].T, cmap="RdBu", **limits)
    axes.set_yticks(range(len(order)), [e.players[j] for j in order])
    if len(e) <= 12:
        axes.set_xticks(range(len(e)), e.keys, rotation=45, ha="right")
    else:
        axes.set_xlabel(f"{len(e)} rows")
    figure.colorbar(picture, ax=axes, label=_label(e, output), pad=0.01)
    return figure


ALL = {"bar": bars, "waterfall": waterfall, "swarm": swarm, "heat": heat, "parts": parts}


def _canvas(rows: int) -> tuple[Any, Any]:
    figure = import_module("matplotlib.figure").Figure(figsize=(7.0, 0.4 * rows + 1.4), layout="constrained")
    return figure, figure.add_subplot()


def _label(explanation: Explanation, output: int) -> str:
    unit = f" ({explanation.unit})" if explanation.unit else ""
    return f"{explanation.task}: {explanation.outputs[output]}{unit}"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(date.fromisoformat(value).toordinal())
        except ValueError:
            return np.nan
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else np.nan


def _ranks(inputs: npt.NDArray[np.object_]) -> Array:
    """The share of lower ones among the different values; NaN where it is no number and no day, or all are equal."""
    numbers = np.array([_number(v) for v in inputs], float)
    known = np.isfinite(numbers)
    different, place = np.unique(numbers[known], return_inverse=True)
    ranks = np.full(len(numbers), np.nan)
    if len(different) > 1:
        ranks[known] = place / (len(different) - 1)
    return ranks


def _stacked(values: Array, ranks: Array, *, one_by_one: bool) -> tuple[Array, Array, Array, Array]:
    """Where each mark lies, how far from the middle of its strip, its shade and its size."""
    low, high = float(values.min()), float(values.max())
    place = np.minimum(((values - low) / ((high - low) or 1.0) * BINS).astype(int), BINS - 1)
    shade = np.where(np.isnan(ranks), 0.5, ranks)
    counts = np.bincount(place, minlength=BINS)
    if not one_by_one:
        here = np.flatnonzero(counts)
        x, shades = (np.bincount(place, weights=w, minlength=BINS)[here] / counts[here] for w in (values, shade))
        return x, np.zeros(len(here)), shades, 8 + 90 * counts[here] / counts.max()
    order = np.lexsort((shade, place))
    nth = np.arange(len(values)) - np.concatenate([[0], np.cumsum(counts)])[place[order]]
    height = np.zeros(len(values))
    height[order] = 0.8 * (nth - (counts[place[order]] - 1) / 2) / max(counts.max(), 8)
    return values, height, shade, np.full(len(values), 12.0)
