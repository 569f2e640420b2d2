"""Baselines for several labels a row, one model a label, and for classes of an order."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.task import Task
from pellucid.evidence.baselines import tables
from pellucid.evidence.baselines.context import Baseline, TableContext
from pellucid.evidence.intervals import Floats
from pellucid.evidence.metrics import TINY, class_codes

__all__ = ["ALL", "RANKS"]

Make = Callable[[int], Any]  # seed -> an unfitted classifier


def _logit(chance: Floats) -> Floats:
    p = np.clip(chance, TINY, 1 - TINY)
    return np.asarray(np.log(p) - np.log1p(-p))


def frequency(task: Task, context: TableContext) -> Floats:
    """How often each label occurs in the training part, on every row."""
    return np.tile(_logit(context.y_train.mean(axis=0)), (len(context.x_test), 1))


def _each(make: Make) -> Callable[[Task, TableContext], Floats]:
    """One classifier a label; a label that always or never occurs in training needs none."""

    def fit_predict(task: Task, context: TableContext) -> Floats:
        y: npt.NDArray[Any] = context.y_train.astype(np.int64)
        chance = np.tile(y.mean(axis=0), (len(context.x_test), 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unconverged logistic regression is still a baseline
            for j in np.flatnonzero(y.min(axis=0) < y.max(axis=0)):
                model = make(context.seed).fit(context.x_train, y[:, j])
                chance[:, j] = tables.in_pieces(model.predict_proba, context.x_test)[:, 1]
        return _logit(chance)

    return fit_predict


def _ranked(chances: Callable[[Task, TableContext], Floats]) -> Callable[[Task, TableContext], Floats]:
    """Class probabilities as log-odds of more than each class."""

    def fit_predict(task: Task, context: TableContext) -> Floats:
        chance = chances(task, context)
        return _logit(np.cumsum(chance[:, ::-1], axis=1)[:, ::-1][:, 1:])

    return fit_predict


def _shares(task: Task, context: TableContext) -> Floats:
    codes, k = class_codes(context.y_train, task), len(task.options["classes"])
    return np.tile(np.bincount(codes, minlength=k) / len(codes), (len(context.x_test), 1))


def _modelled(make: Make) -> Callable[[Task, TableContext], Floats]:
    return lambda task, context: tables.chances(task, context, make(context.seed))


ALL: dict[str, Baseline] = {
    "frequency": Baseline("frequency", "naive", "how often each label occurs in the training part", frequency),
    "linear": Baseline("linear", "model", "a logistic regression a label", _each(tables.make_logistic)),
    "hist_gradient_boosting": Baseline(
        "hist_gradient_boosting", "model", "gradient boosting, a model a label", _each(tables.make_boosted)
    ),
    "lightgbm": Baseline("lightgbm", "model", "LightGBM, a model a label", _each(tables.make_lightgbm)),
}

RANKS: dict[str, Baseline] = {
    "frequency": Baseline("frequency", "naive", "class shares of the training part", _ranked(_shares)),
    "linear": Baseline("linear", "model", "logistic regression", _ranked(_modelled(tables.make_logistic))),
    "hist_gradient_boosting": Baseline(
        "hist_gradient_boosting", "model", "gradient boosting", _ranked(_modelled(tables.make_boosted))
    ),
    "lightgbm": Baseline(
        "lightgbm", "model", "gradient boosting by LightGBM", _ranked(_modelled(tables.make_lightgbm))
    ),
}
