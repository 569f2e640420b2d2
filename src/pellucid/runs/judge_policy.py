"""Evidence of a policy: greedy and sampled episodes on held-out seeds, beside policies that do not look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.assemble import Problem
from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import derive
from pellucid.core.task import Task
from pellucid.evidence.baselines import Answer, RolloutContext, answer
from pellucid.evidence.entry import number, task_entry
from pellucid.evidence.intervals import episode_interval
from pellucid.nn.outputs import choices
from pellucid.runs.exact import exact_returns, within
from pellucid.runs.outputs import HELD_OUT, outputs_table
from pellucid.runs.policies import action_dimension, rollout
from pellucid.runs.sampling import sampled, why_greedy_only
from pellucid.spec.model import ControlTask

Floats = npt.NDArray[np.float64]
TRAINING_SEEDS = 500_009  # episodes on which a constant action is chosen
SOON, PATIENCE = 1000, 100  # where nothing limits an episode, one without an end is cut so many times later than ours


def judge_episodes(prob: Problem, program: Program, task: Task) -> dict[str, Any]:
    """Evidence of a policy that was learned for an environment.

    Raises:
        DataError: a held-out seed is one that the training began with.
    """
    settings = prob.spec.evidence
    entry = judge_policy(
        program,
        task,
        str(task.options["env"]),
        episodes=settings.episodes,
        seed=prob.spec.seed,
        margin=settings.margin,
    )
    trained = _trained_on(prob, task)
    if trained is not None:
        if trained.start < HELD_OUT + settings.episodes and trained.stop > HELD_OUT:
            raise DataError(
                f"seed {prob.spec.seed} trains on the very seeds that are held out.",
                where="seed",
                mend=f"--set seed={prob.spec.seed + 1}",
            )
        entry["extra"]["training_seeds"] = f"{trained.start}..{trained.stop - 1}"
    return entry


def judge_policy(program: Program, task: Task, env: str, *, episodes: int, seed: int, margin: float) -> dict[str, Any]:
    """A policy, ours or wrapped, by episodes on held-out seeds: greedy ones are judged, sampled ones stand beside."""
    task = replace(task, options={**task.options, "env": env})
    table = outputs_table(program, task, None, episodes=episodes)
    lengths = [float(str(d).split()[0]) for d in table["decision"]]
    limit = int(max(SOON, PATIENCE * max(lengths)))
    answers, cut = blind_answers(task, episodes=episodes, seed=seed, limit=limit)
    losses = table["loss"].to_numpy(dtype=float)
    extra: dict[str, Any] = {
        "mean_return": float(-losses.mean()),
        "stochastic_return": _stochastic(program, task, episodes, seed),
        "lowest_return": float((-losses).min()),
        "mean_length": float(np.mean(lengths)),
        "held_out_seeds": f"{HELD_OUT}..{HELD_OUT + episodes - 1}",
        **({"baselines_cut_after": limit} if cut else {}),
        **exact_returns(program, task),
    }
    entry = task_entry(task, losses, answers, block=1, margin=margin, seed=seed, extra=extra)
    if "optimum" in extra:
        least, most = entry["low"], entry["high"]  # loss
        low, high = -np.inf if most is None else -most, np.inf if least is None else -least
        entry["extra"]["optimum_within"] = within(extra["optimum"], low, high)
    return entry


def blind_answers(task: Task, *, episodes: int, seed: int, limit: int) -> tuple[list[Answer], bool]:
    """What policies that do not look earn on the held-out seeds; whether one was cut after `limit` steps.

    The best constant action is chosen on other seeds: of Discrete and MultiDiscrete actions among all (or 64 drawn), of
    Box actions among a small grid.
    """
    env, options, cut = str(task.options["env"]), task.options.get("env_options"), [False]

    def play(policy: Any, seeds: Any) -> Floats:
        def choose(obs: Mapping[str, Any], step: int) -> Any:
            return policy(len(next(iter(obs.values()))), step)

        found = rollout(env, choose, range(seeds[0], seeds[-1] + 1), options=options, limit=limit)
        cut[0] |= bool((found.lengths >= limit).any())
        return found.returns

    train, test = range(TRAINING_SEEDS, TRAINING_SEEDS + 20), range(HELD_OUT, HELD_OUT + episodes)
    if task.options["space"] == "discrete":
        context = RolloutContext.discrete(play, action_dimension(task), train, test, seed)
    elif task.options["space"] == "multi_discrete":
        context = RolloutContext.multi_discrete(play, choices(task), train, test, seed)
    else:
        context = RolloutContext.box(play, task.options["low"], task.options["high"], train, test, seed)
    return [answer(task, name, context) for name in task.baselines or ("random", "best_constant_action")], cut[0]


def _stochastic(program: Program, task: Task, episodes: int, seed: int) -> dict[str, Any] | str:
    """Mean return with sampled actions on the same held-out seeds, with its interval; or why there is none."""
    if why := why_greedy_only(program, task):
        return f"none: {why}"
    options, clock = task.options.get("env_options"), task.options.get("clock")
    seeds = range(HELD_OUT, HELD_OUT + episodes)
    env, draw = str(task.options["env"]), sampled(program, task, seed)
    found = episode_interval(rollout(env, draw, seeds, options=options, clock=clock).returns, seed=seed)
    return {"value": found.value, "low": number(found.low), "high": number(found.high)}


def _trained_on(prob: Problem, task: Task) -> range | None:
    """Seeds with which the training environments began; None where nothing is trained step by step."""
    declared = prob.spec.tasks[task.name]
    if not isinstance(declared, ControlTask) or declared.tabular:
        return None
    first = derive(prob.spec.seed, f"env/{task.name}")
    return range(first, first + declared.settings.num_envs)
