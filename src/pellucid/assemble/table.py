"""A table of action values instead of a network: solved exactly, or learned step by step; no trainer takes part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.assemble.problem import Problem
from pellucid.core.errors import DataError
from pellucid.envs.finite import MDP, from_env
from pellucid.envs.making import single
from pellucid.rl.tabular import TabularProgram, finite_horizon, policy_iteration, q_learning, sarsa, value_iteration
from pellucid.spec.model import ControlTask

LARGE = 50_000_000  # numbers in a table, 400 MB

Floats = npt.NDArray[np.float64]


def table_task(prob: Problem) -> ControlTask | None:
    """The task that a table is made for; None when a network is trained."""
    declared = next(iter(prob.spec.tasks.values()), None)
    return declared if isinstance(declared, ControlTask) and declared.tabular else None


def steps_of(task: ControlTask) -> int:
    """Steps of a learned table, for progress; 1 for a solved one."""
    return int(getattr(getattr(task, task.algorithm), "steps", 1))


def tabulate(prob: Problem, task: ControlTask, *, progress: Callable[[int], None] | None = None) -> TabularProgram:
    """Solve or learn the table.

    Args:
        progress: told the environment steps done.
    Raises:
        DataError: the environment is not finite, or, for an exact method, keeps no table of its transitions.
    """
    if task.algorithm in ("q_learning", "sarsa"):
        Q, discount = _learned(prob, task, progress)
    else:
        Q, discount = _solved(task)
    options: dict[str, Any] = {"algorithm": task.algorithm}
    if task.env_options:
        options["env_options"] = dict(task.env_options)
    return TabularProgram(Q, env=task.env, discount=discount, task=next(iter(prob.spec.tasks)), options=options)


def _learned(prob: Problem, task: ControlTask, progress: Callable[[int], None] | None) -> tuple[Floats, float]:
    learn, section = (q_learning, task.q_learning) if task.algorithm == "q_learning" else (sarsa, task.sarsa)
    with single(task.env, **task.env_options) as env:
        Q = learn(
            env,
            section.discount,
            steps=section.steps,
            seed=prob.spec.seed,
            epsilon=section.epsilon,
            power=section.power,
            initial=section.initial,
            progress=progress,
        )
    return Q, section.discount


def _solved(task: ControlTask) -> tuple[Floats, float]:
    with single(task.env, **task.env_options) as env:
        mdp = from_env(env)
    if task.algorithm == "policy_iteration":
        return policy_iteration(mdp, task.policy_iteration.discount).Q, task.policy_iteration.discount
    section = task.value_iteration
    if section.clock and mdp.horizon is not None:
        return _with_clock(mdp, mdp.horizon), 1.0
    return value_iteration(mdp, section.discount).Q, section.discount


def _with_clock(mdp: MDP, horizon: int) -> Floats:
    """Undiscounted value of every action at every time under the limit, (T, S, A)."""
    if horizon * mdp.states * mdp.actions > LARGE:
        raise DataError(
            f"a table of {horizon:,} steps, {mdp.states:,} states and {mdp.actions} actions is too large.",
            where=f"value_iteration, '{mdp.name}'",
            mend="--set tasks.policy.value_iteration.clock=false",
        )
    ahead = finite_horizon(mdp).V[1:]
    return np.stack([mdp.R + mdp.ahead(value) for value in ahead])
