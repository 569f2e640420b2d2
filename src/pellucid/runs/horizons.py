"""What is said of forecasts of several steps beside their metric: scaled errors by step, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.evidence.baselines import Answer, spoken
from pellucid.evidence.intervals import mean_interval
from pellucid.evidence.metrics import row_losses, with_scale
from pellucid.spec.series import FUTURE

Floats = npt.NDArray[np.float64]
Json = dict[str, Any]


def horizons_extra(
    task: Task, rows: Rows, outputs: Floats, baselines: Sequence[Answer], *, block: float, seed: int
) -> Json:
    """For the evidence.

    Args:
        rows: the judged rows of all folds, in order.
        outputs: of the program, (n, H Q).
        baselines: their answers on the same rows.
    """
    y = with_scale(rows.targets[FUTURE], rows.extra["error_scale"])
    judged = replace(task, metric="mase")
    own = mean_interval(row_losses(judged, y, outputs), block=block, seed=seed, name=f"{task.name}/mase")
    others = {
        spoken(one.name): float(row_losses(judged, y, one.outputs).mean())
        for one in baselines
        if one.outputs is not None
    }
    levels = task.options["quantiles"]
    said = outputs.reshape(len(outputs), -1, len(levels))
    known = np.isfinite(y[:, :-1])
    covered = {}
    for low, high in zip(levels, reversed(levels), strict=True):
        if low < 0.5:
            first, last = said[:, :, levels.index(low)], said[:, :, levels.index(high)]
            held = (y[:, :-1] >= first) & (y[:, :-1] <= last)
            covered[f"{100 * low:g} to {100 * high:g} % quantile"] = round(float(held[known].mean()), 4)
    middle = said[:, :, levels.index(0.5)]
    steps = np.nanmean(np.abs(y[:, :-1] - middle) / y[:, -1:], axis=0)
    return {
        "mase": {"value": own.value, "low": own.low, "high": own.high},
        "mase_of_baselines": others,
        "mase_by_step": [float(v) for v in steps],
        "inside": covered,
    }
