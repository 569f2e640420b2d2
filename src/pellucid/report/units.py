"""How a task's numbers are shown: basis points for 0.0017, a net return for a negated one.

Only renderings use this. The JSON keeps what was computed: losses, lower is better, in the data's own units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pellucid.report.numbers import finite, number

Json = Mapping[str, Any]
_PLAIN = ("value", "base", "candidate", "change", "difference")
_BOUNDS = (("low", "high"), ("difference_low", "difference_high"))


@dataclass(frozen=True)
class Unit:
    """What stands in a table.

    Args:
        label: name of the quantity, e.g. "pinball loss".
        unit: e.g. "bp"; empty for a pure number.
        factor: shown = raw * factor; negative turns a loss into a gain.
        better: "lower" or "higher", as shown.
    """

    label: str
    unit: str
    factor: float = 1.0
    better: str = "lower"

    def __str__(self) -> str:
        return f"{self.label}, {self.unit}" if self.unit else self.label


def metric_unit(task: Json) -> Unit:
    """How a task's metric is shown; `task` is an entry of the evidence or of a diff."""
    metric, unit = str(task.get("metric") or ""), str(task.get("unit") or "")
    label = str(task.get("label") or metric.replace("_", " "))
    if metric == "negative_reward" and "notional" in unit:
        return Unit("net return after costs", "bp a day", -1e4, "higher")
    if metric == "negative_reward":
        return Unit("return of an episode", "", -1.0, "higher")
    if unit == "log return":
        return Unit(label, "bp", 1e4)
    if unit in ("share of rows", "share of labels"):
        return Unit(label, unit.replace("share", "%", 1), 100.0)
    return Unit(label, unit, 1.0, str(task.get("better") or "lower"))


def in_units(task: Json) -> Json:
    """A task's entry with its numbers as they are shown; `label`, `unit` and `better` say how."""
    unit = metric_unit(task)
    shown = {**_scaled(task, unit.factor), "label": unit.label, "unit": unit.unit, "better": unit.better}
    for key in ("baselines", "folds", "seeds"):
        if isinstance(task.get(key), list):
            shown[key] = [_scaled(one, unit.factor) if isinstance(one, Mapping) else one for one in task[key]]
    return shown


def _scaled(raw: Json, factor: float) -> dict[str, Any]:
    found = dict(raw)
    for key in _PLAIN:
        if key in raw:
            found[key] = times(raw[key], factor)
    for low, high in _BOUNDS:
        if low in raw or high in raw:
            ends = times(raw.get(low), factor), times(raw.get(high), factor)
            found[low], found[high] = ends if factor > 0 else ends[::-1]
    return found


def times(raw: Any, factor: float) -> Any:
    """A number, or a nested list of numbers, times `factor`; what is no number stays what it is."""
    if isinstance(raw, (list, tuple)):
        return [times(one, factor) for one in raw]
    return raw * factor + 0.0 if finite(raw) and factor != 1.0 else raw


def explained_in_units(one: Json) -> Json:
    """An explanation with its shares as they are shown."""
    if one.get("unit") != "log return":
        return one
    shares = {key: times(one.get(key), 1e4) for key in ("values", "error", "base", "prediction")}
    return {**one, **shares, "unit": "bp"}


def target_unit(task: Json) -> tuple[str, str, float]:
    """(what came, its unit, factor) of the rows of a diff's task."""
    kind, unit = task.get("kind"), str(task.get("unit") or "")
    if unit == "log return":
        return "next return", "bp", 1e4
    if task.get("metric") == "negative_reward" and "notional" in unit:
        return "next day's return", "bp", 1e4
    return ("log-variance that came" if kind == "volatility" else "what came"), "", 1.0


def what_came(task: Json, y: Any) -> str:
    """The target of one row, rounded: `+227 bp`."""
    _, unit, factor = target_unit(task)
    try:
        value = float(str(y)) * factor
    except ValueError:
        return "" if y is None else str(y)
    if task.get("kind") in ("classify", "multilabel", "ordinal") or not finite(value):
        return str(y)
    return f"{number(value, signed=True)} {unit}" if unit else number(value, digits=4)
