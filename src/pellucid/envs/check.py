"""What is wrong with an environment, found out before an hour of training."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gymnasium_check

from pellucid.core.errors import EnvironmentFault, SpecError
from pellucid.envs.making import find_spec
from pellucid.envs.names import observation_fields
from pellucid.envs.vectorise import make

STEPS = 1000  # random ones


def check_env(env: str | gymnasium.Env[Any, Any], steps: int = STEPS) -> list[str]:
    """Problems of an environment, one line each; an empty list is good news.

    Gymnasium's own checker, then `steps` random steps: NaN and infinity, values that never change, names that are
    missing, bounds that are infinite, episodes that never end.

    Args:
        env: an environment, or its id.
        steps: random steps taken.
    Raises:
        SpecError: no such environment.
    """
    made = gymnasium.make(find_spec(env)) if isinstance(env, str) else env
    return [*_gymnasium(made), *_names(made), *_bounds(made), *_behaviour(made, steps)]


def _gymnasium(env: gymnasium.Env[Any, Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        problems = []
        try:
            gymnasium_check(env.unwrapped, skip_render_check=True)
        except Exception as error:
            problems.append(f"gymnasium: {type(error).__name__}: {error}")
    told = [_plain(str(warning.message)) for warning in caught]
    return problems + [f"gymnasium: {text}" for text in dict.fromkeys(told) if "infinity" not in text]


def _plain(text: str) -> str:
    return text.replace("\x1b[33m", "").replace("\x1b[0m", "").removeprefix("WARN: ")


def _names(env: gymnasium.Env[Any, Any]) -> list[str]:
    try:
        fields = observation_fields(env)
    except SpecError as error:
        return [error.what]
    bare = [field.name for field in fields if field.name.startswith("obs_") or field.name == "obs"]
    return [f"the observation has no names ({bare[0]}, ...): explanations will show numbers"] if bare else []


def _bounds(env: gymnasium.Env[Any, Any]) -> list[str]:
    space = env.action_space
    if isinstance(space, spaces.Box) and not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        return ["the action space is unbounded: a policy cannot be scaled to it"]
    return []


def _behaviour(env: gymnasium.Env[Any, Any], steps: int) -> list[str]:
    try:
        adapter = make(env)
        seen = [adapter.reset()]
        adapter.action_space.seed(0)
        rewards = []
        for _ in range(steps):
            step = adapter.step(np.asarray(adapter.action_space.sample())[None])
            seen.append(step.obs)
            rewards.append(step.reward[0])
    except (EnvironmentFault, SpecError) as error:
        return [str(error.what)]
    problems = []
    for name in adapter.obs:
        flat = np.concatenate([obs[name] for obs in seen])
        still = np.flatnonzero(np.ptp(flat, axis=0) == 0)
        if len(still):
            where = f"'{name}'" if flat.shape[1] == 1 else f"{len(still)} of {flat.shape[1]} values of '{name}'"
            problems.append(f"{where} never changed in {steps} random steps")
    if np.ptp(rewards) == 0 and not adapter.finished:
        problems.append(f"the reward was always {rewards[0]:g} in {steps} random steps")
    if np.abs(rewards).max() > 1e4:
        problems.append(f"rewards reach {np.abs(rewards).max():.3g}: scale them")
    if not adapter.finished and env.spec is None and not hasattr(env.unwrapped, "fields"):
        problems.append(f"no episode ended in {steps} random steps, and no time limit is registered")
    return problems
