"""Baselines for series: quantiles of every step ahead, (n, H Q), each series by itself.

All are fitted once on the training part, and forecast from every test row with all values up to it. The quantiles lie
around the forecast as its errors did at the training rows, step by step ahead, over the series' scale.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from pellucid.core.errors import require
from pellucid.core.rows import Index
from pellucid.core.task import Task
from pellucid.evidence.baselines.context import Baseline, OneSeries, SeriesContext
from pellucid.evidence.intervals import Floats
from pellucid.evidence.metrics import quantile_levels

__all__ = ["ALL"]

MOST = 30  # series up to which ETS is fitted to each: of hundreds it would take longer than all else

Forecast = Callable[[OneSeries, SeriesContext, Index], Floats]
"""(series, context, steps at which one forecasts (n,)) -> what is said of the steps ahead (n, H)."""


def persistence(one: OneSeries, context: SeriesContext, at: Index) -> Floats:
    """The last value."""
    return np.repeat(one.values[at][:, None], context.horizon, axis=1)


def seasonal_naive(one: OneSeries, context: SeriesContext, at: Index) -> Floats:
    """The last value in the same place of the season."""
    ahead = np.arange(1, context.horizon + 1)
    back = context.season * -(-ahead // context.season)
    found: Floats = one.values[np.maximum(at[:, None] + ahead - back, 0)]
    return found


def autoregression(one: OneSeries, context: SeriesContext, at: Index) -> Floats:
    """An autoregression with a constant by least squares, its order by AIC, iterated."""
    past = _seen(one, context)
    weights = fit_ar(past, most_lags(len(past), context.season))
    order = len(weights) - 1
    lags = [one.values[np.maximum(at - k, 0)] for k in range(order)]  # newest first
    found = np.empty((len(at), context.horizon))
    for h in range(context.horizon):
        ahead = weights[0] + sum(w * x for w, x in zip(weights[1:], lags, strict=True))
        found[:, h] = ahead
        lags = [found[:, h], *lags[:-1]] if order else []
    return found


def most_lags(n: int, season: int) -> int:
    """The largest order that is tried: Schwert's rule (1989), or a little more than a season."""
    return max(1, min(n // 4, max(int(12 * (n / 100) ** 0.25), season + 1 if season > 1 else 0)))


def fit_ar(y: Floats, most: int) -> Floats:
    """Constant and weights of the lags, newest first, of the order up to `most` that has the least AIC."""
    n = len(y) - most
    x = np.column_stack([np.ones(n), *(y[most - k : len(y) - k] for k in range(1, most + 1))])
    aim, best, lowest = y[most:], np.array([y.mean()]), np.inf
    for order in range(most + 1):
        weights, *_ = np.linalg.lstsq(x[:, : order + 1], aim, rcond=None)
        rss = float(((aim - x[:, : order + 1] @ weights) ** 2).sum())
        score = n * np.log(max(rss / n, 1e-300)) + 2 * (order + 2)
        if score < lowest:
            lowest, best = score, weights
    full = np.column_stack([np.ones(len(y) - len(best) + 1),
                            *(y[len(best) - 1 - k : len(y) - k] for k in range(1, len(best)))])  # fmt: skip
    found, *_ = np.linalg.lstsq(full, y[len(best) - 1 :], rcond=None)
    return np.asarray(found)


def ets(one: OneSeries, context: SeriesContext, at: Index) -> Floats:
    """Exponential smoothing with additive errors by statsmodels: trend and season by the corrected AIC."""
    require("statsmodels", extra="series", purpose="the baseline ETS")
    import pandas as pd

    ETSModel = import_module("statsmodels.tsa.exponential_smoothing.ets").ETSModel

    def model(y: Floats, **how: Any) -> Any:
        return ETSModel(pd.Series(y), error="add", **how)

    past, best = _seen(one, context), np.inf
    chosen: dict[str, Any] = {}
    weights: Any = None
    seasons = [None, "add"] if context.season > 1 and len(past) >= 2 * context.season + 2 else [None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimum that was not quite reached is still a baseline
        for trend, damped in ((None, False), ("add", False), ("add", True)):
            for season in seasons:
                how: dict[str, Any] = {"trend": trend, "damped_trend": damped, "seasonal": season}
                how |= {"seasonal_periods": context.season} if season else {}
                fitted = model(past, **how).fit(disp=False)
                if fitted.aicc < best:
                    best, chosen, weights = fitted.aicc, how, fitted.params
        states = model(one.values, **chosen).smooth(np.asarray(weights))
    ahead = np.arange(1, context.horizon + 1)
    found = np.repeat(np.asarray(states.level)[at][:, None], context.horizon, axis=1)
    if chosen["trend"]:
        damp = float(states.damping_trend) if chosen["damped_trend"] else 1.0
        found = found + np.asarray(states.slope)[at][:, None] * np.cumsum(damp**ahead)
    if chosen["seasonal"]:
        back = context.season * -(-ahead // context.season)
        found = found + np.asarray(states.season)[at[:, None] + ahead - back]
    return found


def _seen(one: OneSeries, context: SeriesContext) -> Floats:
    """The values that fitting may use: of a series without training rows, those before its first test row."""
    last = int(one.train.max()) + context.horizon if len(one.train) else int(one.test.min())
    return one.values[: last + 1]


def answered(forecast: Forecast) -> Callable[[Task, SeriesContext], Floats]:
    """Forecasts with quantiles around them."""

    def fit_predict(task: Task, context: SeriesContext) -> Floats:
        levels = quantile_levels(task)
        found = np.empty((len(context.y_test), context.horizon, len(levels)))
        for one in context.series:
            if not len(one.test):
                continue
            said = forecast(one, context, one.test)
            around = _around(one, context, forecast(one, context, one.train), levels)
            found[one.rows] = said[:, :, None] + one.scale[one.test][:, None, None] * around
        return (np.exp(found) if context.log else found).reshape(len(found), -1)

    return fit_predict


def _around(one: OneSeries, context: SeriesContext, said: Floats, levels: Floats) -> Floats:
    """Quantiles of the errors at the training rows over the scale, by step ahead, (H, Q); none at the median."""
    if not len(one.train):
        return np.zeros((context.horizon, len(levels)))
    last = int(one.train.max()) + context.horizon
    ahead = one.train[:, None] + np.arange(1, context.horizon + 1)
    came = np.where(ahead <= min(last, len(one.values) - 1), one.values[np.minimum(ahead, len(one.values) - 1)], np.nan)
    found = np.nanquantile((came - said) / one.scale[one.train][:, None], levels, axis=0).T
    found[:, levels == 0.5] = 0.0
    return np.sort(found, axis=1)


ALL: dict[str, Baseline] = {
    "persistence": Baseline("persistence", "naive", "the last value", answered(persistence)),
    "seasonal_naive": Baseline("seasonal_naive", "naive", "the value of one season ago", answered(seasonal_naive)),
    "autoregression": Baseline("autoregression", "model", "AR(p), p by AIC", answered(autoregression)),
    "ets": Baseline("ets", "model", "exponential smoothing, by AICc", answered(ets)),
}
