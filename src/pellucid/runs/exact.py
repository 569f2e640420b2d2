"""The exact optimum beside a policy's sampled return, where an environment is finite and keeps its transitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.core.errors import DataError, SpecError, TrainingFault
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.envs.finite import MDP, from_env
from pellucid.rl.tabular import expected_return, finite_horizon, policy_value, value_iteration
from pellucid.rl.tabular.program import CLOCK, STATE
from pellucid.runs.policies import action_dimension

ROUNDING = 1e-9  # of a return: the interval of equal episodes has no width
LARGE = 20_000_000  # numbers: times x states x actions


def exact_returns(program: Program, task: Task) -> dict[str, float]:
    """What an episode can earn on average, and what the greedy policy earns, both undiscounted and exact.

    Returns:
        `optimum`: of all policies, those that look at the clock included; `expected_return`: of this one. Empty where
        the environment keeps no table of its transitions; without `expected_return` where some episode never ends.
    """
    if task.options.get("space") != "discrete" or task.inputs not in ((STATE,), (STATE, CLOCK)):
        return {}
    try:
        mdp = from_env(str(task.options["env"]), **(task.options.get("env_options") or {}))
        if program.schema[STATE].width != mdp.states or (mdp.horizon or 1) * mdp.R.size > LARGE:
            return {}
        best = value_iteration(mdp, 1.0).value if mdp.horizon is None else finite_horizon(mdp).value
    except (DataError, SpecError, TrainingFault):
        return {}
    try:
        return {"optimum": best, "expected_return": _earned(mdp, _actions(program, task, mdp))}
    except DataError:
        return {"optimum": best}


def within(value: float, low: float, high: float) -> bool:
    """The interval contains the value, up to rounding."""
    slack = ROUNDING * max(1.0, abs(value))
    return low - slack <= value <= high + slack


def _actions(program: Program, task: Task, mdp: MDP) -> npt.NDArray[np.int64]:
    """The greedy action in every state (S,), or at every time and state (T, S)."""
    S, T = mdp.states, (mdp.horizon or 1) if CLOCK in task.inputs else 1
    states = np.eye(S, dtype=np.float32)

    def at(time: int) -> Any:
        fields: dict[str, Any] = {STATE: states, CLOCK: np.full((S, 1), time, dtype=np.float32)}
        rows = Rows(np.full(S, ""), {name: fields[name] for name in task.inputs})
        with torch.no_grad():
            outputs = program(program.encode(rows), task.name)[:, : action_dimension(task)]
        return outputs.argmax(1).cpu().numpy().astype(np.int64)

    found: npt.NDArray[np.int64] = np.stack([at(t) for t in range(T)]) if CLOCK in task.inputs else at(0)
    return found


def _earned(mdp: MDP, policy: npt.NDArray[np.int64]) -> float:
    if mdp.horizon is not None:
        return expected_return(mdp, policy)
    return float(mdp.start @ policy_value(mdp, policy, 1.0))
