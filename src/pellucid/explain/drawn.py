"""Values on the picture or along the series that they belong to, by matplotlib, for notebooks (`plots.ALL`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.core.errors import DataError
from pellucid.explain.laid import Laid

if TYPE_CHECKING:
    from pellucid.explain.explanation import Explanation

UP, DOWN = "#0b66a3", "#b8500b"
NUMBERED = 64  # patches up to which the larger shares are printed


def parts(explanation: Explanation, output: int, k: int, row: int | None) -> Any:
    """One row's values where its parts lie, a panel per field; blue raises the output, orange lowers it.

    Raises:
        DataError: no player is a part of a picture or a series.
    """
    e, i = explanation, row or 0
    if not e.laid:
        raise DataError(
            "no player is a part of a picture or a series.",
            where="Explanation.plot('parts')",
            mend="explain with grain='part'",
        )
    pictures = sum(one.picture for one in e.laid)
    tall = 3.4 * pictures + 2.6 * (len(e.laid) - pictures) + 0.6
    figure = import_module("matplotlib.figure").Figure(figsize=(6.4, tall), layout="constrained")
    strongest = float(np.abs(e.values[i, :, output]).max()) or 1.0
    for one, axes in zip(e.laid, np.atleast_1d(figure.subplots(len(e.laid), 1)), strict=True):
        values, error = (of[i, list(one.players), output] for of in (e.values, e.error))
        (_picture if one.picture else _series)(axes, one, i, values, error, strongest)
        axes.set_title(one.field)
    unit = f" ({e.unit})" if e.unit else ""
    figure.suptitle(f"{e.task}: {e.outputs[output]}{unit}, {e.keys[i]}")
    return figure


def _picture(ax: Any, one: Laid, row: int, values: Any, error: Any, strongest: float) -> None:
    pixels = one.pixels(row)
    ax.imshow(pixels.repeat(3, 2) if pixels.shape[2] == 1 else pixels, alpha=0.6)
    if one.regions is None:
        rectangle = import_module("matplotlib.patches").Rectangle
        for (top, left, bottom, right), value in zip(one.places, values, strict=True):
            tone = {"facecolor": UP if value >= 0 else DOWN, "alpha": 0.6 * abs(value) / strongest}
            ax.add_patch(rectangle((left - 0.5, top - 0.5), right - left, bottom - top, **tone))
    else:
        to_rgb = import_module("matplotlib.colors").to_rgb
        tones = np.asarray([(*to_rgb(UP if v >= 0 else DOWN), 0.6 * abs(v) / strongest) for v in values])
        ax.imshow(tones[one.parts(row)])
    if len(values) <= NUMBERED:
        parts = one.parts(row)
        for part, (value, sd) in enumerate(zip(values, error, strict=True)):
            if abs(value) > 2 * sd and abs(value) > 0.1 * strongest:
                own = np.argwhere(parts == part)
                y, x = own.mean(0) if one.regions is None else own[np.square(own - own.mean(0)).sum(1).argmin()]
                ax.text(x, y, f"{value:+.2g}", ha="center", va="center", size=7)
    ax.set_axis_off()


def _series(ax: Any, one: Laid, row: int, values: Any, error: Any, strongest: float) -> None:
    at = one.moments()
    for (start, stop), value, sd in zip(one.places, values, error, strict=True):
        tone = UP if value >= 0 else DOWN
        ax.axvspan(at[stop - 1] - 0.5, at[start] + 0.5, color=tone, alpha=0.35 * abs(value) / strongest, lw=0)
        ax.errorbar((at[stop - 1] + at[start]) / 2, value, yerr=2 * sd, fmt="o", color=tone, ms=4)
    ax.axhline(0, color="#888888", lw=0.8)
    ax.set_xlabel("steps ahead of the present")
    ax.set_ylabel("share")
    beside = ax.twinx()
    beside.plot(at, one.raw[row], color="#444444", lw=1)
    beside.set_ylabel(one.field)
