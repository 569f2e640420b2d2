"""The whole state of an environment as plain data, for those where it is known to be whole.

Gymnasium has no such protocol. Ours have `get_state` and `set_state`; the classic-control and toy-text environments,
and CartPole's batch, are read attribute by attribute. For any other, `resumable` is false and a resumed run must say
that it is not bit-identical.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import wrappers as layers
from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.envs.toy_text import BlackjackEnv, CliffWalkingEnv, FrozenLakeEnv, TaxiEnv
from gymnasium.vector import SyncVectorEnv

from pellucid.core.errors import SpecError
from pellucid.envs.market import State, rng_from, rng_state

ATTRIBUTES: dict[type, tuple[str, ...]] = {  # beside the generator; constants of the constructor are not state
    AcrobotEnv: ("state",),
    CartPoleEnv: ("state", "steps_beyond_terminated"),
    Continuous_MountainCarEnv: ("state",),
    MountainCarEnv: ("state",),
    PendulumEnv: ("state",),
    BlackjackEnv: ("player", "dealer"),
    CliffWalkingEnv: ("s",),
    FrozenLakeEnv: ("s",),
    TaxiEnv: ("s", "fickle_step"),
}
STATELESS = (  # wrappers; TimeLimit's count is read, the others keep nothing that a step depends on
    layers.ClipAction,
    layers.DtypeObservation,
    layers.FilterObservation,
    layers.FlattenObservation,
    layers.OrderEnforcing,
    layers.PassiveEnvChecker,
    layers.RescaleAction,
    layers.RescaleObservation,
    layers.ReshapeObservation,
    layers.TimeLimit,
)
_CARTPOLE = ("state", "steps", "prev_done")
_SYNC = ("_autoreset_envs", "_rewards", "_terminations", "_truncations")


def resumable(env: Any) -> bool:
    """Whether `get_state` is exact: restored, the environment goes on bit for bit."""
    if _own(env):
        return bool(getattr(env, "resumable", True))
    if type(env) is CartPoleVectorEnv:
        return True
    return type(env) is SyncVectorEnv and all(single_known(single) for single in env.envs)


def get_state(env: Any) -> State:
    """Everything that the next steps depend on: nested dict of arrays and JSON values."""
    if _own(env) and resumable(env):
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
        "envs": [get_single(single) for single in env.envs],
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
        set_single(single, raw)


def _own(env: Any) -> bool:
    return callable(getattr(env, "get_state", None)) and callable(getattr(env, "set_state", None))


def _peeled(env: Any) -> list[Any]:
    """From the outermost wrapper to the environment itself."""
    found: list[Any] = [env]
    while isinstance(found[-1], gymnasium.Wrapper):
        found.append(found[-1].env)
    return found


def single_known(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether the state of one environment can be written down, with that of its wrappers."""
    if _own(env):
        return bool(getattr(env, "resumable", True))
    *around, inner = _peeled(env)
    return all(type(wrapper) in STATELESS for wrapper in around) and (_own(inner) or type(inner) in ATTRIBUTES)


def get_single(env: gymnasium.Env[Any, Any]) -> State:
    """The state of one environment that is `single_known`."""
    if not single_known(env):
        raise _unknown(env.unwrapped)
    if _own(env):
        return {"own": env.get_state()}  # type: ignore[attr-defined]
    *around, inner = _peeled(env)
    elapsed = [int(w._elapsed_steps or 0) for w in around if isinstance(w, layers.TimeLimit)]
    if _own(inner):
        return {"elapsed": elapsed, "own": inner.get_state()}
    values = {name: _plain(getattr(inner, name)) for name in ATTRIBUTES[type(inner)]}
    return {"elapsed": elapsed, "values": values, "rng": rng_state(inner.np_random)}


def set_single(env: gymnasium.Env[Any, Any], raw: State) -> None:
    """Go on from what `get_single` wrote down; the environment must have been reset before."""
    if _own(env):
        env.set_state(raw["own"])  # type: ignore[attr-defined]
        return
    *around, inner = _peeled(env)
    limits = [w for w in around if isinstance(w, layers.TimeLimit)]
    for limit, elapsed in zip(limits, raw["elapsed"], strict=True):
        limit._elapsed_steps = elapsed
    if _own(inner):
        inner.set_state(raw["own"])
        return
    for name, value in raw["values"].items():
        setattr(inner, name, value.copy() if isinstance(value, (np.ndarray, list)) else value)
    inner.np_random = rng_from(raw["rng"])


def _plain(value: Any) -> Any:
    """An attribute as an array, a list of whole numbers, or a JSON value."""
    if isinstance(value, list):
        return [int(v) for v in value]
    if isinstance(value, (tuple, np.ndarray)):
        return np.array(value)
    return value.item() if isinstance(value, np.generic) else value


def _unknown(env: Any) -> SpecError:
    return SpecError(
        f"the state of {type(env).__name__} cannot be written down.",
        where="get_state of an environment",
        mend="give it get_state() and set_state(state), or start the run from its beginning",
    )
