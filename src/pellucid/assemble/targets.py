"""The tasks on a table's target, and the target as it is learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.errors import DataError
from pellucid.core.labels import label_matrix
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.nn.densities import ALL as DENSITIES
from pellucid.spec.tasks import ClassifyTask, MultilabelTask, OrdinalTask, RegressTask

TARGET = "target"  # its name among the targets of a table's rows
MODELS = ("linear", "hist_gradient_boosting")


def on_target(
    name: str,
    spec: ClassifyTask | MultilabelTask | OrdinalTask | RegressTask,
    classes: tuple[str, ...],
    inputs: tuple[str, ...],
    train: Rows,
) -> Task:
    """The task of a target; what its scale needs comes from the training part.

    Args:
        classes: their names in code order, the labels, the order.
    """
    named = list(classes)
    options: dict[str, Any] = {"classes": named, "target": TARGET}
    if isinstance(spec, RegressTask):
        return _regress(name, spec, inputs, train)
    if isinstance(spec, MultilabelTask):
        options |= {"separator": spec.separator} if spec.separator != "|" else {}
        return Task(name, "multilabel", inputs, classes, "logit", "label_log_loss", ("frequency", *MODELS), options)
    if isinstance(spec, OrdinalTask):
        over = tuple(f"> {word}" for word in classes[:-1])
        return Task(name, "ordinal", inputs, over, "logit", "ranked_probability", ("frequency", *MODELS), options)
    outputs = (named[1],) if len(named) == 2 else classes
    return Task(name, "classify", inputs, outputs, "logit", "log_loss", ("majority", *MODELS), options)


def _regress(name: str, spec: RegressTask, inputs: tuple[str, ...], train: Rows) -> Task:
    y = np.asarray(train.targets[TARGET], dtype=np.float64)
    family = None if spec.distribution is None else DENSITIES[spec.distribution]
    if family is not None and family.logarithm:
        y = logarithms(y, name)
    options: dict[str, Any] = {"mean": float(y.mean()), "sd": float(y.std()) or 1.0, "target": TARGET}
    if family is not None:
        options |= {"distribution": spec.distribution}
        metric = "negative_log_likelihood"
        return Task(name, "regress", inputs, family.outputs, "target units", metric, ("constant", *MODELS), options)
    if spec.quantiles is not None:
        options |= {"quantiles": list(spec.quantiles)}
        outputs = tuple(f"q{round(100 * q):02d}" if 100 * q % 1 == 0 else f"q{100 * q:g}" for q in spec.quantiles)
        return Task(name, "regress", inputs, outputs, "target units", "pinball", ("constant", *MODELS), options)
    return Task(name, "regress", inputs, ("prediction",), "target units", "squared_error", ("mean", *MODELS), options)


def logarithms(y: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
    """Of targets above zero; NaN stays.

    Raises:
        DataError: one is not.
    """
    if (y <= 0).any():
        raise DataError(
            f"{int((y <= 0).sum())} targets are not above zero, the least is {np.nanmin(y):g}.",
            where=f"tasks.{name}.distribution: lognormal",
            mend="use normal or student, or leave these rows out",
        )
    return np.log(y)


def training_target(task: Task, rows: Rows) -> tuple[Tensor, npt.NDArray[np.bool_]]:
    """The target in the training space of `nn.outputs`, and which rows have one."""
    y = rows.targets[task.options["target"]]
    if task.kind == "multilabel":
        return torch.from_numpy(label_matrix(y, task.options["classes"]).astype(np.float32)), np.ones(len(y), bool)
    if task.kind in ("classify", "ordinal"):
        codes = {c: i for i, c in enumerate(task.options["classes"])}
        coded = np.asarray([codes.get(str(v), -1) for v in y], dtype=np.int64)
        return torch.from_numpy(coded), coded >= 0
    y = np.asarray(y, dtype=np.float64)
    if task.kind == "forecast":
        y = y / rows.extra["sigma"]
    elif task.kind == "horizons":
        level, scale = (rows.fields[task.options[name]] for name in ("level", "scale"))
        z = ((np.log(y) if task.options["transform"] == "log" else y) - level) / scale
        return torch.from_numpy(z.astype(np.float32)), np.isfinite(z).any(1)
    elif task.kind == "volatility":
        y = y - 2.0 * np.log(rows.extra["sigma"])
    else:
        if task.form == "distribution" and DENSITIES[task.options["distribution"]].logarithm:
            y = logarithms(y, task.name)
        y = (y - task.options["mean"]) / task.options["sd"]
    return torch.from_numpy(y.astype(np.float32)), np.isfinite(y)
