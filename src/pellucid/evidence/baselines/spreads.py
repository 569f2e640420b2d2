"""Baselines for quantiles and distributions of a table's number.

A linear model and boosting of the mean get one spread for all rows: that of their residuals on rows left out of five
fits. Boosting of quantiles fits each level by its own loss, and orders what crosses (Chernozhukov et al. 2010).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.evidence.baselines import tables
from pellucid.evidence.baselines.context import Baseline, TableContext
from pellucid.evidence.intervals import Floats
from pellucid.evidence.metrics import density_of, quantile_levels

__all__ = ["DISTRIBUTIONS", "QUANTILES"]

FOLDS = 5
Make = Callable[[int], Any]  # seed -> an unfitted regression


def _cross_fitted(context: TableContext, y: Floats, make: Make) -> tuple[Floats, Floats]:
    """(predictions of the test rows, residuals of training rows by fits that had not seen them)."""
    n = len(y)
    part = stream(context.seed, "evidence/residuals").permutation(n) % min(FOLDS, n)
    residuals = np.empty(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fold in range(min(FOLDS, n)):
            out = part == fold
            model = make(context.seed).fit(context.x_train[~out], y[~out])
            residuals[out] = y[out] - tables.in_pieces(model.predict, context.x_train[out]).reshape(-1)
        whole = make(context.seed).fit(context.x_train, y)
        return tables.in_pieces(whole.predict, context.x_test).reshape(-1), residuals


def constant_quantiles(task: Task, context: TableContext) -> Floats:
    """The quantiles of the training part, on every row."""
    return np.tile(np.quantile(context.y_train, quantile_levels(task)), (len(context.x_test), 1))


def _shifted(make: Make) -> Callable[[Task, TableContext], Floats]:
    """Predictions plus the quantiles of their residuals."""

    def fit_predict(task: Task, context: TableContext) -> Floats:
        said, residuals = _cross_fitted(context, context.y_train, make)
        return said[:, None] + np.quantile(residuals, quantile_levels(task))

    return fit_predict


def boosted_quantiles(task: Task, context: TableContext) -> Floats:
    """Histogram gradient boosting, a model a level."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return _by_level(
        task, context, lambda q: HistGradientBoostingRegressor(loss="quantile", quantile=q, random_state=context.seed)
    )


def lightgbm_quantiles(task: Task, context: TableContext) -> Floats:
    """LightGBM, a model a level."""
    from lightgbm import LGBMRegressor

    return _by_level(
        task,
        context,
        lambda q: LGBMRegressor(objective="quantile", alpha=q, random_state=context.seed, n_jobs=1, verbose=-1),
    )


def _by_level(task: Task, context: TableContext, make: Callable[[float], Any]) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names of columns that nobody gave
        models = [make(float(q)).fit(context.x_train, context.y_train) for q in quantile_levels(task)]
        found = [tables.in_pieces(model.predict, context.x_test) for model in models]
    return np.sort(np.stack(found, axis=1), axis=1)


def constant_distribution(task: Task, context: TableContext) -> Floats:
    """The distribution of largest likelihood of the training part, on every row."""
    return np.tile(density_of(task).fitted(context.y_train), (len(context.x_test), 1))


def _spread(make: Make) -> Callable[[Task, TableContext], Floats]:
    """Predictions with the distribution of their residuals; of a lognormal, on the logarithm."""

    def fit_predict(task: Task, context: TableContext) -> Floats:
        logs = task.options["distribution"] == "lognormal"
        said, residuals = _cross_fitted(context, np.log(context.y_train) if logs else context.y_train, make)
        fitted = density_of(task).fitted(np.exp(residuals) if logs else residuals)
        location = np.exp(said) * fitted[0] if logs else said + fitted[0]
        return np.column_stack([location, np.tile(fitted[1:], (len(said), 1))])

    return fit_predict


QUANTILES: dict[str, Baseline] = {
    "constant": Baseline("constant", "naive", "quantiles of the training part", constant_quantiles),
    "linear": Baseline("linear", "model", "ridge regression and its residuals", _shifted(tables.make_ridge)),
    "hist_gradient_boosting": Baseline(
        "hist_gradient_boosting", "model", "gradient boosting of each quantile", boosted_quantiles
    ),
    "lightgbm": Baseline("lightgbm", "model", "LightGBM of each quantile", lightgbm_quantiles),
}

DISTRIBUTIONS: dict[str, Baseline] = {
    "constant": Baseline("constant", "naive", "the training part's distribution", constant_distribution),
    "linear": Baseline("linear", "model", "ridge regression and its residuals", _spread(tables.make_ridge)),
    "hist_gradient_boosting": Baseline(
        "hist_gradient_boosting",
        "model",
        "gradient boosting of the mean and its residuals",
        _spread(tables.make_boosted_values),
    ),
    "lightgbm": Baseline(
        "lightgbm", "model", "LightGBM of the mean and its residuals", _spread(tables.make_lightgbm_values)
    ),
}
