"""Baselines for quantiles of the next log-return, shape (n, k)."""

from __future__ import annotations

import numpy as np

from pellucid.core.task import Task
from pellucid.evidence.baselines.context import Baseline, PriceContext
from pellucid.evidence.baselines.garch import fit_garch, standardised
from pellucid.evidence.intervals import Floats
from pellucid.evidence.metrics import quantile_levels

__all__ = ["ALL"]


def mean(task: Task, context: PriceContext) -> Floats:
    """The quantiles of the training returns, on every day."""
    quantiles = np.quantile(context.log_returns[context.labelled + 1], quantile_levels(task))
    return np.tile(quantiles, (len(context.test), 1))


def persistence(task: Task, context: PriceContext) -> Floats:
    """Tomorrow is like today: the last return plus quantiles of the changes seen in training."""
    return _around(task, context, intercept=0.0, slope=1.0)


def ar1(task: Task, context: PriceContext) -> Floats:
    """A first-order autoregression by least squares, plus quantiles of its training residuals."""
    last, following = context.log_returns[context.labelled], context.log_returns[context.labelled + 1]
    centred = last - last.mean()
    spread = float((centred**2).sum())
    slope = float((centred * following).sum()) / spread if spread > 0 else 0.0
    return _around(task, context, intercept=float(following.mean() - slope * last.mean()), slope=slope)


def garch(task: Task, context: PriceContext) -> Floats:
    """The mean, plus GARCH(1,1)'s deviation times the quantiles of the standardised training residuals."""
    model, variance = fit_garch(context)
    quantiles = np.quantile(standardised(context, model, variance), quantile_levels(task))
    return model.mean + np.sqrt(variance[context.test])[:, None] * quantiles


def _around(task: Task, context: PriceContext, *, intercept: float, slope: float) -> Floats:
    returns, days = context.log_returns, context.labelled
    residual = returns[days + 1] - intercept - slope * returns[days]
    centre = intercept + slope * returns[context.test]
    shifted: Floats = centre[:, None] + np.quantile(residual, quantile_levels(task))
    return shifted


ALL: dict[str, Baseline] = {
    "mean": Baseline("mean", "naive", "quantiles of the training returns", mean),
    "persistence": Baseline("persistence", "naive", "the last return, plus quantiles of its changes", persistence),
    "ar1": Baseline("ar1", "model", "first-order autoregression", ar1),
    "garch": Baseline("garch", "model", "GARCH(1,1) deviation times standardised quantiles", garch),
}
