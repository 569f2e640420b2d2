"""Baselines for tables: class probabilities (or logits, when that is the task's unit) or values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.core.task import Task
from pellucid.evidence.baselines.context import Baseline, TableContext
from pellucid.evidence.intervals import Floats
from pellucid.evidence.metrics import TINY, class_codes

__all__ = ["CLASSIFY", "REGRESS"]

MANY = 100_000  # rows from which on they are asked in pieces
PIECE = 20_000


def majority(task: Task, context: TableContext) -> Floats:
    """The class shares of the training part, on every row."""
    codes = class_codes(context.y_train, task)
    count = classes_of(task, context)
    shares = np.bincount(codes, minlength=count)[:count] / len(codes)
    return as_outputs(np.tile(shares, (len(context.x_test), 1)), task)


def make_logistic(seed: int) -> Any:
    """Logistic regression on standardised columns."""
    from sklearn.linear_model import LogisticRegression

    return _scaled(LogisticRegression(max_iter=1000))


def make_boosted(seed: int) -> Any:
    """Histogram gradient boosting with scikit-learn's defaults."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


def make_lightgbm(seed: int) -> Any:
    """LightGBM with its defaults, one thread."""
    return _lightgbm("LGBMClassifier", seed)


def make_ridge(seed: int) -> Any:
    """Ridge regression on standardised columns."""
    from sklearn.linear_model import RidgeCV

    return _scaled(RidgeCV(alphas=np.logspace(-3, 3, 13)))


def make_boosted_values(seed: int) -> Any:
    """Histogram gradient boosting with scikit-learn's defaults."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=seed)


def make_lightgbm_values(seed: int) -> Any:
    """LightGBM with its defaults, one thread."""
    return _lightgbm("LGBMRegressor", seed)


def logistic(task: Task, context: TableContext) -> Floats:
    """Logistic regression on standardised columns."""
    return _classified(task, context, make_logistic(context.seed))


def boosted_classes(task: Task, context: TableContext) -> Floats:
    """Histogram gradient boosting with scikit-learn's defaults."""
    return _classified(task, context, make_boosted(context.seed))


def lightgbm_classes(task: Task, context: TableContext) -> Floats:
    """LightGBM with its defaults, one thread."""
    return _classified(task, context, make_lightgbm(context.seed))


def lightgbm_values(task: Task, context: TableContext) -> Floats:
    """LightGBM with its defaults, one thread."""
    model = make_lightgbm_values(context.seed)
    model.fit(context.x_train, context.y_train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names of columns that nobody gave
        return in_pieces(model.predict, context.x_test).reshape(-1, 1)


def _lightgbm(name: str, seed: int) -> Any:
    import lightgbm

    return getattr(lightgbm, name)(random_state=seed, n_jobs=1, verbose=-1)


def mean(task: Task, context: TableContext) -> Floats:
    """The training mean, on every row."""
    return np.full((len(context.x_test), 1), float(np.mean(context.y_train)))


def ridge(task: Task, context: TableContext) -> Floats:
    """Ridge regression on standardised columns."""
    model = make_ridge(context.seed)
    model.fit(context.x_train, context.y_train)
    return in_pieces(model.predict, context.x_test).reshape(-1, 1)


def boosted_values(task: Task, context: TableContext) -> Floats:
    """Histogram gradient boosting with scikit-learn's defaults."""
    model = make_boosted_values(context.seed)
    model.fit(context.x_train, context.y_train)
    return in_pieces(model.predict, context.x_test).reshape(-1, 1)


def _scaled(model: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model)


def _classified(task: Task, context: TableContext, model: Any) -> Floats:
    return as_outputs(chances(task, context, model), task)


def chances(task: Task, context: TableContext, model: Any) -> Floats:
    """Class probabilities of the test rows by a classifier that is fitted on the training rows, shape (n, k)."""
    codes = class_codes(context.y_train, task)
    chance = np.zeros((len(context.x_test), classes_of(task, context)))
    if len(np.unique(codes)) < 2:  # nothing to tell apart
        chance[:, codes[0]] = 1.0
        return chance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unconverged logistic regression is still a baseline
        model.fit(context.x_train, codes)
        chance[:, model.classes_] = in_pieces(model.predict_proba, context.x_test)
    return chance


def in_pieces(predict: Callable[[Any], Any], x: Any) -> Floats:
    """Predictions of very many rows some at a time: models copy what they are asked about."""
    if len(x) <= MANY:
        return np.asarray(predict(x), dtype=np.float64)
    return np.concatenate([predict(x[i : i + PIECE]) for i in range(0, len(x), PIECE)])


def classes_of(task: Task, context: TableContext) -> int:
    """How many classes a task has."""
    named = len(task.options.get("classes", ()))
    return named or int(max(class_codes(context.y_train, task).max(), class_codes(context.y_test, task).max())) + 1


def as_outputs(chance: Floats, task: Task) -> Floats:
    """Probabilities in the task's own form: logits when its unit says so, one column when it has one output."""
    clipped = np.clip(chance, TINY, 1.0)
    if len(task.outputs) == 1 and chance.shape[1] == 2:
        logit = np.log(clipped[:, 1:]) - np.log(clipped[:, :1])
        return logit if task.unit == "logit" else chance[:, 1:]
    return np.log(clipped) if task.unit == "logit" else chance


CLASSIFY: dict[str, Baseline] = {
    "majority": Baseline("majority", "naive", "class shares of the training part", majority),
    "linear": Baseline("linear", "model", "logistic regression", logistic),
    "hist_gradient_boosting": Baseline("hist_gradient_boosting", "model", "gradient boosting", boosted_classes),
    "lightgbm": Baseline("lightgbm", "model", "gradient boosting by LightGBM", lightgbm_classes),
}

REGRESS: dict[str, Baseline] = {
    "mean": Baseline("mean", "naive", "training mean", mean),
    "linear": Baseline("linear", "model", "ridge regression", ridge),
    "hist_gradient_boosting": Baseline("hist_gradient_boosting", "model", "gradient boosting", boosted_values),
    "lightgbm": Baseline("lightgbm", "model", "gradient boosting by LightGBM", lightgbm_values),
}
