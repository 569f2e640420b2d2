"""What outputs a person asks for: another class or action, or a number within bounds; and what was decided on a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import SchemaError, SpecError, nearest
from pellucid.core.task import Task

Array = npt.NDArray[np.float64]
Wanted = str | tuple[float | None, float | None] | None


@dataclass(frozen=True, eq=False)
class Goal:
    """A wish about a row's outputs.

    Args:
        text: in words.
        margin: outputs (n, k) -> (n,): how far within the wish, in the outputs' unit; reached from 0 on.
        strict: reached above 0 only: two scores that are equal decide nothing.
    """

    text: str
    margin: Callable[[Array], Array]
    strict: bool


def choices_of(task: Task) -> tuple[str, ...]:
    """The classes or actions that the task chooses among; empty when it returns numbers."""
    if task.kind == "classify":
        classes = tuple(str(name) for name in task.options.get("classes", task.outputs))
        return task.outputs if len(task.outputs) == len(classes) else classes  # of a wrapped model the names given
    if task.kind == "control" and task.options.get("space", "discrete") == "discrete":
        count = int(task.options.get("actions", len(task.outputs)))
        return tuple(str(name) for name in task.options.get("action_names", task.outputs[:count]))
    return ()


def scores(task: Task, outputs: Array) -> Array:
    """A score per class or action, shape (n, choices); the highest is the decision."""
    choices = choices_of(task)
    if outputs.shape[1] == 1 and len(choices) == 2:
        middle = 0.0 if task.unit == "logit" else 0.5
        return np.concatenate([2 * middle - outputs, outputs], axis=1)
    return outputs[:, : len(choices)]


def decisions(task: Task, outputs: Array) -> npt.NDArray[np.int64]:
    """The class or action chosen on each row, shape (n,)."""
    return np.asarray(scores(task, outputs).argmax(1), dtype=np.int64)


def goal_for(task: Task, now: Array, to: Wanted, *, output: str | None = None, where: str) -> Goal:
    """The goal for a row whose outputs are `now`, shape (k,).

    Args:
        to: a class or action; (low, high) for a number, either end None; None: the runner-up of the row's decision.
        output: which output a range is about; by default the middle one (of quantiles: the median).
    Raises:
        SchemaError: no such class, action or output.
        SpecError: a range for a choice, a choice for a number, or an empty range.
    """
    choices = choices_of(task)
    if choices and not isinstance(to, tuple):
        return _choice(task, choices, now, to, where)
    if not isinstance(to, tuple):
        raise SpecError(
            f"task '{task.name}' returns numbers ({', '.join(task.outputs)}): the goal is a range of one of them.",
            where=where,
            mend="give (low, high), either end None",
        )
    at = task.output(output, where=where)
    low, high = (-np.inf if to[0] is None else float(to[0])), (np.inf if to[1] is None else float(to[1]))
    if not low <= high or np.isinf([low, high]).all():
        raise SpecError(f"the range {to} is empty or has no end.", where=where, mend="give low <= high")
    name = task.outputs[at]
    text = f"{name} >= {low:g}" if np.isinf(high) else f"{name} <= {high:g}"
    if np.isfinite([low, high]).all():
        text = f"{name} from {low:g} to {high:g}"
    return Goal(text, lambda outputs: np.minimum(outputs[:, at] - low, high - outputs[:, at]), strict=False)


def _choice(task: Task, choices: tuple[str, ...], now: Array, to: str | None, where: str) -> Goal:
    ranked = scores(task, now[None])[0]
    if to is None:
        at = int(np.argsort(-ranked, kind="stable")[1])
    elif str(to) in choices:
        at = choices.index(str(to))
    elif str(to) in (known := [str(name) for name in task.options.get("classes", ())]):
        at = known.index(str(to))
    else:
        raise SchemaError(
            f"no {_noun(task)} '{to}'; there are {', '.join(choices)}.",
            where=where,
            mend=nearest(str(to), choices) or "use one of the names above",
        )

    def margin(outputs: Array) -> Array:
        found = scores(task, outputs)
        others = np.delete(found, at, axis=1)
        return np.asarray(found[:, at] - others.max(1), dtype=np.float64)

    return Goal(f"{_noun(task)} {choices[at]}", margin, strict=True)


def _noun(task: Task) -> str:
    return "class" if task.kind == "classify" else "action"
