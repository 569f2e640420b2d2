"""A policy asked for actions, one observation or many, as an environment gives them or by the names of its fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import SchemaError, SpecError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.core.task import Task
from pellucid.runs.policies import greedy
from pellucid.runs.sampling import sampled, why_greedy_only

Columns = dict[str, npt.NDArray[Any]]  # field -> (n, width)


def act(
    program: Program, task: Task, observation: Any, *, deterministic: bool = True, seed: int = 0, step: int = 0
) -> Any:
    """The policy's action.

    Args:
        observation: an array of all observed values (d,) or of n observations (n, d); a state's number where it is
            one-hot, or (n,) of them; a dict by field; a table; rows.
        deterministic: the likeliest or mean action; else one drawn from the policy's distribution.
        seed, step: what the draw depends on, and nothing else: count the steps of an episode up.
    Returns:
        One action, an integer or an array (k,), for one observation; an array of n for n.
    Raises:
        SchemaError: the observation is not what the policy reads.
        SpecError: the task has no actions, or the policy no distribution.
    """
    if task.kind != "control":
        raise SpecError(f"'{task.name}' takes no actions.", where="act", mend="ask for its outputs: predict(data)")
    columns, single = observed([program.schema[name] for name in task.inputs], observation)
    if deterministic:
        choose = greedy(program, task)
    else:
        why = why_greedy_only(program, task)
        if why:
            raise SpecError(
                f"'{task.name}' cannot be sampled: {why}.", where="act(deterministic=False)", mend="deterministic=True"
            )
        choose = sampled(program, task, seed)
    actions = choose(columns, step)
    if not single:
        return actions
    return int(actions[0]) if np.ndim(actions[0]) == 0 else actions[0]


def observed(fields: list[Field], observation: Any) -> tuple[Columns, bool]:
    """(field -> its n values, whether it was one observation without a dimension for them)."""
    if isinstance(observation, Rows):
        return {f.name: observation.column(f.name).reshape(len(observation), -1) for f in fields}, False
    if isinstance(observation, pd.DataFrame):
        observation = {str(name): observation[name].to_numpy() for name in observation}
        return {f.name: _of(f, _named(observation, f), batch=True) for f in fields}, False
    if isinstance(observation, dict):
        single = np.size(_named(observation, fields[0])) in (1, fields[0].width)
        single = single and np.ndim(_named(observation, fields[0])) < 2
        return {f.name: _of(f, _named(observation, f), batch=not single) for f in fields}, single
    values = np.asarray(observation)
    hot = all(f.unit == "one-hot" for f in fields) and values.dtype.kind in "iub"
    total = len(fields) if hot else sum(f.width for f in fields)
    single = values.size == total and (values.ndim == 0 or values.shape[0] == values.size)
    if not single and (values.ndim == 0 or values.size != values.shape[0] * total):
        raise SchemaError(
            f"an observation of shape {values.shape} was given; the policy reads {total} values "
            f"({', '.join(f.name for f in fields[:6])}{', ...' if len(fields) > 6 else ''}).",
            where="act(observation)",
            mend=f"give an array ({total},) or (n, {total}), or a dict by field",
        )
    table = values.reshape(-1, total)
    ends = np.cumsum([1 if hot else f.width for f in fields])
    parts = np.split(table, ends[:-1], axis=1)
    return {f.name: _of(f, part, batch=True) for f, part in zip(fields, parts, strict=True)}, single


def _named(observation: dict[str, Any], field: Field) -> Any:
    if field.name not in observation:
        raise SchemaError(
            f"the observation lacks '{field.name}'; it has {', '.join(map(str, observation))}.",
            where="act(observation)",
            mend="give every field that the policy reads",
        )
    return observation[field.name]


def _of(field: Field, values: Any, *, batch: bool) -> npt.NDArray[Any]:
    """(n, width) of one field; numbers of states become one-hot."""
    found = np.asarray(values)
    found = found.reshape(len(found) if batch else 1, -1)
    if field.unit == "one-hot" and field.width > 1 and found.shape[1] == 1:
        return np.eye(field.width, dtype=np.float32)[found[:, 0].astype(np.int64)]
    if found.shape[1] != field.width:
        raise SchemaError(
            f"'{field.name}' has {found.shape[1]} values, the policy reads {field.width}.",
            where="act(observation)",
            mend="give the observation as the environment does",
        )
    return found.astype(np.float32)
