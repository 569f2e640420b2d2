"""Baselines that stand beside every metric, resolved by the form of task and a name.

`naive` baselines need no skill (a constant, the last value, cash); a program shows skill only by beating all of
them. `model` baselines are what an informed person would try first; a program is worth its while by beating these.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from pellucid.core.errors import DataError, MissingExtra, nearest
from pellucid.core.task import TABLE_KINDS, Task
from pellucid.evidence.baselines import control, forecast, labels, series, spreads, tables, texts, trade, volatility
from pellucid.evidence.baselines.context import (
    Answer,
    Baseline,
    Context,
    PriceContext,
    RolloutContext,
    SeriesContext,
    TableContext,
)
from pellucid.evidence.finance import replay
from pellucid.evidence.intervals import Floats
from pellucid.evidence.metrics import row_losses

__all__ = [
    "ALL",
    "Answer",
    "Baseline",
    "Context",
    "PriceContext",
    "RolloutContext",
    "SeriesContext",
    "TableContext",
    "about",
    "answer",
    "offered",
    "resolve",
    "spoken",
]

ALL: dict[str, dict[str, Baseline]] = {  # by `Task.form`
    "forecast": forecast.ALL,
    "volatility": volatility.ALL,
    "horizons": series.ALL,
    "control": trade.ALL | control.ALL,
    "classify": {
        **tables.CLASSIFY,
        "tfidf": Baseline("tfidf", "model", "logistic regression on TF-IDF of the texts", texts.tfidf_classes),
    },
    "regress": {
        **tables.REGRESS,
        "tfidf": Baseline("tfidf", "model", "ridge regression on TF-IDF of the texts", texts.tfidf_values),
    },
    "multilabel": labels.ALL,
    "ordinal": labels.RANKS,
    "quantiles": spreads.QUANTILES,
    "distribution": spreads.DISTRIBUTIONS,
}


SPOKEN = {
    "ar1": "AR(1)",
    "autoregression": "AR(p)",
    "ets": "ETS",
    "garch": "GARCH(1,1)",
    "hist_gradient_boosting": "gradient boosting",
    "lightgbm": "LightGBM",
    "tfidf": "TF-IDF + linear",
}


def offered(task: Task) -> tuple[str, ...]:
    """The task's own baselines, and LightGBM for tables where it is installed."""
    more = task.kind in TABLE_KINDS and find_spec("lightgbm") is not None
    return (*task.baselines, "lightgbm") if more and "lightgbm" not in task.baselines else task.baselines


def spoken(name: str) -> str:
    """A baseline's name for a person: `buy_and_hold` is buy and hold."""
    return SPOKEN.get(name, name.replace("_", " "))


def about(form: str, name: str) -> str:
    """What a baseline does, in a few words; empty for an unknown one."""
    found = ALL.get(form, {}).get(name)
    return found.description if found else ""


def resolve(form: str, name: str) -> Baseline:
    """The baseline `name` for tasks of `form`."""
    known = ALL.get(form, {})
    if name not in known:
        raise DataError(
            f"no baseline '{name}' for a task of kind '{form}'; there are {', '.join(known) or 'none'}.",
            where="task.baselines",
            mend=nearest(name, known) or "use one of these",
        )
    return known[name]


def answer(task: Task, name: str, context: Context) -> Answer:
    """Fit one baseline on the training rows and judge it on the test rows.

    A baseline whose optional package is missing is answered with the note "needs pellucid[...]" and no losses, so
    that its row stays in the table.

    Args:
        task: names the metric, and the options that a baseline needs.
        name: of the baseline.
        context: the kind of data that `task.kind` needs.
    """
    baseline = resolve(task.form, name)
    if name == "ets" and isinstance(context, SeriesContext) and len(context.series) > series.MOST:
        note = f"left out: it would be fitted to each of {len(context.series)} series"
        return Answer(name, baseline.role, None, None, note)
    try:
        outputs = baseline.fit_predict(task, context)
    except MissingExtra as error:
        extra = error.where.split("'")[1] if "'" in error.where else "all"
        return Answer(name, baseline.role, None, None, f"needs pellucid[{extra}]")
    return Answer(name, baseline.role, outputs, _losses(task, outputs, context), "")


def _losses(task: Task, outputs: Floats, context: Context) -> Floats:
    if isinstance(context, RolloutContext):
        return -outputs[:, 0]
    if isinstance(context, TableContext | SeriesContext):
        return row_losses(task, context.y_test, outputs)
    if task.kind == "control":
        if (np.diff(context.test) != 1).any():
            raise DataError(
                "the test days of a trading task are not consecutive, so positions cannot be carried over.",
                where=f"baselines of task '{task.name}'",
                mend="judge one stretch of days at a time",
            )
        return -replay(outputs[:, 0], context.next_simple_returns, context.cost)
    target = context.log_returns[context.test + 1] if task.kind == "forecast" else context.risk(context.test)
    return row_losses(task, target, outputs)
