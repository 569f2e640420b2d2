"""How strange what came was to a program, by the form of its task, and what would have been less strange.

Whatever the form, a row is covered exactly when its score is at most the threshold of `evidence.conformal`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.task import Task
from pellucid.evidence.conformal import interval, lac_scores, lac_sets, quantile_scores
from pellucid.evidence.metrics import density_of, probabilities, quantile_levels

Floats = npt.NDArray[np.float64]
Sets = npt.NDArray[np.bool_]


def strangeness(task: Task, outputs: Floats, y: npt.NDArray[Any], level: float) -> Floats:
    """A score of each row, shape (n,); large is strange.

    Args:
        y: targets as of `metrics.coded`.
        level: of the promise; of quantiles, it decides which two bound the interval.
    Classes: 1 - probability of the true one; labels: of the least likely true one; a number: the distance from it;
    quantiles: how far outside the two (Romano et al. 2019); a distribution: how far F(y) lies from one half.
    """
    if task.kind in ("classify", "ordinal"):
        return lac_scores(y, probabilities(outputs, task))
    if task.kind == "multilabel":
        return np.asarray(np.where(y, 1.0 - probabilities(outputs, task), 0.0).max(axis=1))
    if task.form == "distribution":
        return np.asarray(np.abs(density_of(task).cdf(y, outputs) - 0.5))
    low, high = _ends(task, outputs, level)
    return quantile_scores(y, low, high)


def sets(task: Task, outputs: Floats, limit: float) -> Sets:
    """Which classes or labels are no stranger than the limit, shape (n, k)."""
    return lac_sets(probabilities(outputs, task), limit)


def bounds(task: Task, outputs: Floats, limit: float, level: float) -> tuple[Floats, Floats]:
    """Between which numbers none is stranger than the limit, each (n,)."""
    if task.form == "distribution":
        family, half = density_of(task), min(limit, 0.5)
        return family.quantile(0.5 - half, outputs), family.quantile(0.5 + half, outputs)
    return interval(*_ends(task, outputs, level), limit)


def _ends(task: Task, outputs: Floats, level: float) -> tuple[Floats, Floats]:
    """The two quantiles that lie next outside the level, or the outermost; of a number twice itself."""
    if task.form != "quantiles":
        return outputs[:, 0], outputs[:, 0]
    levels = quantile_levels(task)
    low = max(int(np.searchsorted(levels, (1 - level) / 2 + 1e-9, side="right")) - 1, 0)
    high = min(int(np.searchsorted(levels, (1 + level) / 2 - 1e-9, side="left")), len(levels) - 1)
    return outputs[:, low], outputs[:, high]
