"""The whole state of an environment as plain data, for those where it is known to be whole.

Gymnasium has no such protocol. Ours have `get_state` and `set_state`; CartPole's vector environment and the
classic-control environments are read attribute by attribute. For any other, `resumable` is false and a resumed run
must say that it is not bit-identical.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from pellucid.core.errors import SpecError
from pellucid.envs.market import State, rng_from, rng_state

CLASSIC = (AcrobotEnv, CartPoleEnv, Continuous_MountainCarEnv, MountainCarEnv, PendulumEnv)
_CARTPOLE = ("state", "steps", "prev_done")
_SYNC = ("_autoreset_envs", "_rewards", "_terminations", "_truncations")


def resumable(env: Any) -> bool:
    """Whether `get_state` is exact: restored, the environment goes on bit for bit."""
    if _own(env):
        return True
    if type(env) is CartPoleVectorEnv:
        return True
    return type(env) is SyncVectorEnv and all(_single_known(single) for single in env.envs)


def get_state(env: Any) -> State:
    """Everything that the next steps depend on: nested dict of arrays and JSON values."""
    if _own(env):
        state: State = env.get_state()
        return state
    if type(env) is CartPoleVectorEnv:
        return {name: np.array(getattr(env, name)) for name in _CARTPOLE} | {
            "bounds": [float(env.low), float(env.high)],
            "rng": rng_state(env.np_random),
        }
    if not resumable(env):
        raise _unknown(env)
    return {name: np.array(getattr(env, name)) for name in _SYNC} | {
        "envs": [_get_single(single) for single in env.envs],
    }


def set_state(env: Any, state: State) -> None:
    """Go on from what `get_state` wrote down."""
    if _own(env):
        env.set_state(state)
        return
    if not resumable(env):
        raise _unknown(env)
    env.reset()  # makes the attributes that are overwritten below
    if type(env) is CartPoleVectorEnv:
        for name in _CARTPOLE:
            setattr(env, name, np.array(state[name]))
        env.low, env.high = state["bounds"]
        env.np_random = rng_from(state["rng"])
        return
    for name in _SYNC:
        setattr(env, name, np.array(state[name]))
    for single, raw in zip(env.envs, state["envs"], strict=True):
        _set_single(single, raw)


def _own(env: Any) -> bool:
    return callable(getattr(env, "get_state", None)) and callable(getattr(env, "set_state", None))


def _wrappers(env: Any) -> list[Any]:
    """From the outermost wrapper to the environment itself."""
    layers: list[Any] = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _single_known(env: gymnasium.Env[Any, Any]) -> bool:
    *wrappers, inner = _wrappers(env)
    harmless = all(type(wrapper) in (OrderEnforcing, PassiveEnvChecker, TimeLimit) for wrapper in wrappers)
    return harmless and (_own(inner) or type(inner) in CLASSIC)


def _get_single(env: gymnasium.Env[Any, Any]) -> State:
    *wrappers, inner = _wrappers(env)
    elapsed = [int(w._elapsed_steps or 0) for w in wrappers if isinstance(w, TimeLimit)]
    if _own(inner):
        return {"elapsed": elapsed, "own": inner.get_state()}
    beyond = getattr(inner, "steps_beyond_terminated", None)
    state = np.array(inner.state)
    return {"elapsed": elapsed, "state": state, "beyond": beyond, "rng": rng_state(inner.np_random)}


def _set_single(env: gymnasium.Env[Any, Any], raw: State) -> None:
    *wrappers, inner = _wrappers(env)
    limits = [w for w in wrappers if isinstance(w, TimeLimit)]
    for limit, elapsed in zip(limits, raw["elapsed"], strict=True):
        limit._elapsed_steps = elapsed
    if _own(inner):
        inner.set_state(raw["own"])
        return
    inner.state = np.array(raw["state"])
    if hasattr(inner, "steps_beyond_terminated"):
        inner.steps_beyond_terminated = raw["beyond"]
    inner.np_random = rng_from(raw["rng"])


def _unknown(env: Any) -> SpecError:
    return SpecError(
        f"the state of {type(env).__name__} cannot be written down.",
        where="get_state of an environment",
        mend="give it get_state() and set_state(state), or start the run from its beginning",
    )
