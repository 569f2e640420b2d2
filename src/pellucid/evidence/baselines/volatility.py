"""Baselines for the log-variance of the next days, shape (n, 1).

QLIKE is least at the logarithm of the *expected* variance, so that is what each of them gives.
"""

from __future__ import annotations

import numpy as np

from pellucid.core.rows import Index
from pellucid.core.task import Task
from pellucid.evidence.baselines.context import FLOOR, Baseline, PriceContext
from pellucid.evidence.baselines.garch import fit_garch
from pellucid.evidence.intervals import Floats

__all__ = ["ALL"]

DECAY = 0.94  # RiskMetrics (1996), daily


def mean(task: Task, context: PriceContext) -> Floats:
    """The mean training variance, on every day."""
    level = np.log(max(float(np.exp(context.risk(context.labelled_risk)).mean()), FLOOR))
    return np.full((len(context.test), 1), level)


def persistence(task: Task, context: PriceContext) -> Floats:
    """The variance of the last `horizon` days, times the factor that suited the training part best.

    A variance of five returns is sometimes almost zero, which QLIKE punishes without bound: it is floored at the
    first percentile of the training part.
    """
    days = context.labelled_risk
    least = max(float(np.quantile(context.mean_square(days), 0.01)), FLOOR)

    def trailing(at: Index) -> Floats:
        variance: Floats = np.maximum(context.mean_square(at), least)
        return variance

    factor = float((np.exp(context.risk(days)) / trailing(days)).mean())  # minimises QLIKE over a constant factor
    level: Floats = np.log(np.maximum(factor, FLOOR) * trailing(context.test))
    return level[:, None]


def ewma(task: Task, context: PriceContext) -> Floats:
    """Exponentially weighted squared returns, decay 0.94 a day (RiskMetrics 1996)."""
    variance = max(float(context.past[:20].var()), FLOOR)
    out = np.empty(int(context.test.max()) + 1)
    for t, square in enumerate(context.log_returns[: len(out)] ** 2):
        variance = DECAY * variance + (1 - DECAY) * float(square)
        out[t] = variance
    return np.log(np.maximum(out[context.test], FLOOR))[:, None]


def garch(task: Task, context: PriceContext) -> Floats:
    """GARCH(1,1): expected mean squared return over the horizon."""
    model, variance = fit_garch(context)
    return np.log(np.maximum(model.mean_square(variance[context.test], context.horizon), FLOOR))[:, None]


ALL: dict[str, Baseline] = {
    "mean": Baseline("mean", "naive", "mean variance of the training part", mean),
    "persistence": Baseline("persistence", "naive", "variance of the last days, scaled", persistence),
    "ewma": Baseline("ewma", "model", "exponentially weighted variance, decay 0.94", ewma),
    "garch": Baseline("garch", "model", "GARCH(1,1)", garch),
}
