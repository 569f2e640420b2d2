"""Metrics, one number a row and lower is better, so that any two programs can be compared row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, nearest
from pellucid.core.labels import label_matrix
from pellucid.core.task import Task
from pellucid.evidence.densities import ALL as DENSITIES
from pellucid.evidence.densities import Density
from pellucid.evidence.intervals import Floats

__all__ = [
    "ALL",
    "Metric",
    "accuracy",
    "auc",
    "class_codes",
    "classes_of",
    "coded",
    "crps",
    "density_of",
    "exceedance",
    "expected_calibration_error",
    "hamming",
    "is_constant",
    "label_and_unit",
    "mase",
    "median_rank",
    "probabilities",
    "quantile_coverage",
    "quantile_levels",
    "rank_error",
    "resolve",
    "row_losses",
    "scaled_pinball",
    "with_scale",
]

Values = npt.NDArray[Any]
Loss = Callable[[Values, Floats, Task], Floats]

TINY = 1e-7  # least probability that a log loss charges for


@dataclass(frozen=True)
class Metric:
    """A loss per row.

    Args:
        name: as a task names it.
        label: for a person, as it stands in a table.
        unit: of the loss.
        loss: (y (n,), outputs (n, k), task) -> (n,).
    """

    name: str
    label: str
    unit: str
    loss: Loss


def row_losses(task: Task, y: Values, outputs: npt.ArrayLike) -> Floats:
    """The task's metric on each row.

    Args:
        y: targets, shape (n,); ignored by `negative_reward`. NaN gives NaN.
        outputs: what the program or a baseline says, shape (n, k) or (n,), in the task's unit.
    """
    array = np.asarray(outputs, dtype=np.float64)
    table = array[:, None] if array.ndim == 1 else array
    if len(y) != len(table):
        raise DataError(
            f"{len(y)} targets do not go with {len(table)} outputs.",
            where=f"metric '{task.metric}' of task '{task.name}'",
            mend="give one row of outputs per target",
        )
    return resolve(task.metric).loss(np.asarray(y), table, task)


def resolve(name: str) -> Metric:
    """The metric of that name."""
    if name not in ALL:
        raise DataError(
            f"no metric '{name}'; there are {', '.join(ALL)}.",
            where="task.metric",
            mend=nearest(name, ALL) or "use one of these",
        )
    return ALL[name]


def pinball(y: Values, outputs: Floats, task: Task) -> Floats:
    """Pinball loss, mean over the quantiles (Koenker & Bassett 1978); proper for each of them.

    Args:
        outputs: quantiles in the order of `task.options["quantiles"]`, shape (n, k).
    """
    levels = quantile_levels(task)
    if outputs.shape[1] != len(levels):
        raise DataError(
            f"{outputs.shape[1]} outputs do not go with {len(levels)} quantiles.",
            where=f"metric 'pinball' of task '{task.name}'",
            mend="give one output per level of options.quantiles",
        )
    miss = y.astype(np.float64)[:, None] - outputs
    loss: Floats = np.maximum(levels * miss, (levels - 1) * miss).mean(axis=1)
    return loss


def quantile_levels(task: Task) -> Floats:
    """`task.options["quantiles"]`, shape (k,)."""
    if "quantiles" not in task.options:
        raise DataError(
            f"task '{task.name}' names no quantiles.",
            where="task.options",
            mend="give options.quantiles, e.g. [0.05, 0.25, 0.5, 0.75, 0.95]",
        )
    return np.asarray(task.options["quantiles"], dtype=np.float64)


def scaled_pinball(y: Values, outputs: Floats, task: Task) -> Floats:
    """Pinball loss over the series' scale, mean over the known steps ahead and the quantiles.

    Args:
        y: what came at each step ahead, NaN where it is not known, and last the scale, see `with_scale`: (n, H + 1).
        outputs: quantiles of each step, side by side, (n, H Q).
    """
    levels = quantile_levels(task)
    miss = (y[:, :-1, None] - _by_step(outputs, y, levels)) / y[:, -1:, None]
    return _over_known(np.maximum(levels * miss, (levels - 1) * miss).mean(axis=2))


def mase(y: Values, outputs: Floats, task: Task) -> Floats:
    """Absolute error of the median over the series' scale, mean over the known steps (Hyndman & Koehler 2006).

    The scale is the mean step of one season up to the moment of the forecast: below 1, it is better than a seasonal
    naive forecast of one step was in the past.

    Args:
        y, outputs: as of `scaled_pinball`.
    """
    levels = quantile_levels(task)
    median = _by_step(outputs, y, levels)[:, :, int(np.argmin(np.abs(levels - 0.5)))]
    return _over_known(np.abs(y[:, :-1] - median) / y[:, -1:])


def with_scale(values: Values, scale: Values) -> Floats:
    """Values at the steps ahead (n, H) and by what their errors are divided (n,), as series are judged: (n, H + 1)."""
    return np.column_stack([values, scale]).astype(np.float64)


def _by_step(outputs: Floats, y: Values, levels: Floats) -> Floats:
    return outputs.reshape(len(y), y.shape[1] - 1, len(levels))


def _over_known(losses: Floats) -> Floats:
    """Mean over the steps that are known; NaN where none is."""
    count = np.isfinite(losses).sum(axis=1)
    total = np.nansum(losses, axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def label_log_loss(y: Values, outputs: Floats, task: Task) -> Floats:
    """Minus the log-probability of each label's presence or absence, at most -log(1e-7), mean over the labels."""
    on, chance = label_matrix(y, classes_of(task)), probabilities(outputs, task)
    loss: Floats = -np.log(np.clip(np.where(on, chance, 1 - chance), TINY, 1.0)).mean(axis=1)
    return loss


def hamming(y: Values, outputs: Floats, task: Task) -> Floats:
    """Share of the labels that are said to be there and are not, or the reverse."""
    on = label_matrix(y, classes_of(task))
    loss: Floats = ((probabilities(outputs, task) > 0.5) != on).mean(axis=1)
    return loss


def ranked_probability(y: Values, outputs: Floats, task: Task) -> Floats:
    """Ranked probability score: (P(more than k) - 1[more than k])^2, mean over the cuts k (Epstein 1969); proper.

    It counts how far from the truth probability lies, where a log loss only asks what the true class was given.
    """
    above = exceedance(outputs)
    came = class_codes(y, task)[:, None] > np.arange(above.shape[1])
    loss: Floats = ((above - came) ** 2).mean(axis=1)
    return loss


def rank_error(y: Values, outputs: Floats, task: Task) -> Floats:
    """How many ranks the median class lies from the true one."""
    return np.asarray(np.abs(median_rank(outputs) - class_codes(y, task)), dtype=np.float64)


def exceedance(outputs: Floats) -> Floats:
    """P(more than class k) from an ordinal task's log-odds of it, shape (n, k - 1)."""
    found: Floats = 1 / (1 + np.exp(-np.clip(outputs, -500, 500)))
    return found


def median_rank(outputs: Floats) -> npt.NDArray[np.int64]:
    """The class of which as much probability lies below as above, shape (n,): of the least expected rank error."""
    return np.asarray((outputs > 0).sum(axis=1), dtype=np.int64)


def negative_log_likelihood(y: Values, outputs: Floats, task: Task) -> Floats:
    """Minus the log-density of what came, by the family `task.options["distribution"]`; in the target's units."""
    return density_of(task).nll(y.astype(np.float64), outputs)


def crps(y: Values, outputs: Floats, task: Task) -> Floats:
    """Continuous ranked probability score, the absolute error of a distribution (Gneiting & Raftery 2007); proper."""
    return density_of(task).crps(y.astype(np.float64), outputs)


def density_of(task: Task) -> Density:
    """The family of a task's distribution."""
    return DENSITIES[str(task.options["distribution"])]


def qlike(y: Values, outputs: Floats, task: Task) -> Floats:
    """QLIKE of a log-variance forecast h: v / exp(h) - log(v) + h - 1, with v = exp(y) (Patton 2011).

    Zero for a perfect forecast; least in expectation at h = log E[v], also when v is a noisy measure of variance.

    Args:
        y: log of the realised variance, shape (n,).
        outputs: log-variance, shape (n, 1).
    """
    gap = y.astype(np.float64) - outputs[:, 0]
    return np.exp(gap) - gap - 1


def squared_error(y: Values, outputs: Floats, task: Task) -> Floats:
    """(output - y)^2, mean over the columns; least in expectation at the mean."""
    return _errors(y, outputs, 2)


def absolute_error(y: Values, outputs: Floats, task: Task) -> Floats:
    """|output - y|, mean over the columns; least in expectation at the median."""
    return _errors(y, outputs, 1)


def _errors(y: Values, outputs: Floats, power: int) -> Floats:
    target = y.astype(np.float64).reshape(len(outputs), -1)
    loss: Floats = (np.abs(outputs - target) ** power).mean(axis=1)
    return loss


def log_loss(y: Values, outputs: Floats, task: Task) -> Floats:
    """Minus the log-probability of the true class, at most -log(1e-7)."""
    chance = probabilities(outputs, task)
    loss: Floats = -np.log(np.clip(chance[np.arange(len(y)), class_codes(y, task)], TINY, 1.0))
    return loss


def zero_one(y: Values, outputs: Floats, task: Task) -> Floats:
    """1 for a wrong class, 0 for a right one."""
    wrong: npt.NDArray[np.bool_] = probabilities(outputs, task).argmax(axis=1) != class_codes(y, task)
    return wrong.astype(np.float64)


def negative_reward(y: Values, outputs: Floats, task: Task) -> Floats:
    """Minus the reward of a step or the return of an episode; `outputs` are the rewards, y is not looked at."""
    return -outputs[:, 0]


ALL: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("pinball", "pinball loss", "log return", pinball),
        Metric("scaled_pinball", "scaled pinball loss", "mean steps of a season", scaled_pinball),
        Metric("mase", "mean absolute scaled error", "mean steps of a season", mase),
        Metric("qlike", "QLIKE", "", qlike),
        Metric("squared_log_variance", "squared error of the log-variance", "", squared_error),
        Metric("squared_error", "squared error", "unit of y, squared", squared_error),
        Metric("absolute_error", "absolute error", "unit of y", absolute_error),
        Metric("log_loss", "log loss", "nat", log_loss),
        Metric("label_log_loss", "log loss, mean over labels", "nat", label_log_loss),
        Metric("hamming", "wrong labels", "share of labels", hamming),
        Metric("ranked_probability", "ranked probability score", "", ranked_probability),
        Metric("rank_error", "error in ranks", "ranks", rank_error),
        Metric("negative_log_likelihood", "negative log-likelihood", "nat", negative_log_likelihood),
        Metric("crps", "continuous ranked probability score", "unit of y", crps),
        Metric("zero_one", "error rate", "share of rows", zero_one),
        Metric("negative_reward", "reward, negated", "reward", negative_reward),
    )
}


def label_and_unit(task: Task) -> tuple[str, str]:
    """The task's metric as it stands in a table, and its unit."""
    metric = resolve(task.metric)
    if task.metric == "negative_reward" and "cost_bps" in task.options:
        return "net return after costs, negated", "share of the notional a day"
    if task.metric == "negative_reward":
        return "return of an episode, negated", metric.unit
    return metric.label, "unit of y" if task.form == "quantiles" else metric.unit


def classes_of(task: Task) -> list[str]:
    """Names of the classes, the labels, the order."""
    return [str(label) for label in task.options.get("classes", ())]


def coded(y: Values, task: Task) -> Values:
    """Targets as numbers: class codes (n,), truth values of labels (n, k), or values (n,)."""
    if task.kind == "multilabel":
        return label_matrix(y, classes_of(task))
    if task.kind in ("classify", "ordinal"):
        return class_codes(np.asarray(y).astype(str), task)
    return np.asarray(y, dtype=np.float64)


def class_codes(y: Values, task: Task) -> npt.NDArray[np.int64]:
    """Class numbers of `y`: its own integers, or positions of its labels in `task.options["classes"]`."""
    classes = classes_of(task)
    if y.dtype.kind in "iubf":
        return y.astype(np.int64)
    known = {label: code for code, label in enumerate(classes)}
    unknown = sorted({str(label) for label in y} - known.keys())
    if unknown:
        raise DataError(
            f"the classes {', '.join(map(repr, unknown[:3]))} are not among {', '.join(classes) or 'none'}.",
            where=f"targets of task '{task.name}'",
            mend="list every class in options.classes",
        )
    return np.array([known[str(label)] for label in y], dtype=np.int64)


def probabilities(outputs: Floats, task: Task) -> Floats:
    """Class probabilities, shape (n, k), from a classifier's outputs; of labels, of each that it is there.

    The task's unit says what these are: "logit" (softmax over k columns, or the logit of class 1 in one column),
    anything else: probabilities.
    """
    if task.kind == "multilabel":
        return exceedance(outputs)
    if task.kind == "ordinal":
        ends = np.ones((len(outputs), 1))
        return np.clip(-np.diff(np.concatenate([ends, exceedance(outputs), 0 * ends], axis=1), axis=1), 0.0, 1.0)
    if task.unit == "logit":
        if outputs.shape[1] == 1:
            one = 1 / (1 + np.exp(-np.clip(outputs, -500, 500)))
            return np.concatenate([1 - one, one], axis=1)
        weights = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        shares: Floats = weights / weights.sum(axis=1, keepdims=True)
        return shares
    if outputs.size and (np.nanmin(outputs) < -1e-6 or np.nanmax(outputs) > 1 + 1e-6):
        raise DataError(
            f"the outputs reach from {np.nanmin(outputs):.3g} to {np.nanmax(outputs):.3g}: no probabilities.",
            where=f"task '{task.name}', unit '{task.unit}'",
            mend="give probabilities, or declare the unit 'logit'",
        )
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs


def accuracy(y: Values, outputs: Floats, task: Task) -> float:
    """Share of rows whose most probable class is the true one."""
    return float(1 - zero_one(y, outputs, task).mean())


def expected_calibration_error(y: Values, outputs: Floats, task: Task, bins: int = 15) -> float:
    """Gap between confidence and accuracy, mean over equal-width bins by rows (Guo et al. 2017)."""
    chance = probabilities(outputs, task)
    confidence, right = chance.max(axis=1), chance.argmax(axis=1) == class_codes(y, task)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(y))


def auc(positive: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Probability that a positive row scores above a negative one, ties counted half (Mann & Whitney 1947)."""
    label, value = np.asarray(positive, dtype=bool), np.asarray(score, dtype=np.float64)
    negative = np.sort(value[~label])
    if label.all() or not label.any():
        return float("nan")
    below = np.searchsorted(negative, value[label], "left") + np.searchsorted(negative, value[label], "right")
    return float(below.mean() / (2 * len(negative)))


def quantile_coverage(y: Values, outputs: Floats, task: Task) -> Mapping[float, float]:
    """Level -> share of rows at or below that quantile; equal for a calibrated forecast."""
    shares = (y.astype(np.float64)[:, None] <= outputs).mean(axis=0)
    return {float(level): float(share) for level, share in zip(quantile_levels(task), shares, strict=True)}


def is_constant(outputs: npt.ArrayLike, parts: list[npt.NDArray[np.int64]] | None = None) -> bool:
    """Whether the outputs never change within any of `parts` (e.g. folds, each with its own fit)."""
    array = np.asarray(outputs, dtype=np.float64)
    table = array.reshape(len(array), -1)
    groups = [np.arange(len(table))] if parts is None else parts
    return all(bool((np.ptp(table[part], axis=0) == 0).all()) for part in groups if len(part))
