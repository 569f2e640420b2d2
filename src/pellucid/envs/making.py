"""From an id, an environment, a batch or a callable to a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from pellucid.core.errors import PellucidError, SpecError, nearest, require
from pellucid.envs import ALL, register
from pellucid.envs.names import env_id_of

AnyEnv = gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]
# Where Gymnasium keeps environments that need more than itself -> (our extra, what must be importable).
EXTRAS = {
    "gymnasium.envs.box2d": ("box2d", ("Box2D", "pygame")),
    "gymnasium.envs.mujoco": ("mujoco", ("mujoco", "imageio")),
}
Source = str | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any] | Callable[..., Any]


def first_line(error: Exception) -> str:
    """What an error of somebody else's says, as one sentence."""
    line = next(iter(str(error).strip().splitlines()), "it says no more")
    return line if line.endswith((".", "?", "!")) else f"{line}."


def find_spec(env_id: str) -> gymnasium.envs.registration.EnvSpec:
    """The registration of an id; `module:id` imports the module first.

    Raises:
        SpecError: no such environment, with the nearest name.
    """
    register()
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            __import__(module)
        return gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError, ValueError) as error:
        plain = {known.rpartition("/")[2]: known for known in gymnasium.registry}
        hint = nearest(name, gymnasium.registry) or nearest(name, plain)
        raise SpecError(
            f"no environment '{env_id}': {first_line(error)}",
            where="environment",
            mend=hint or "gymnasium.pprint_registry() lists those that are installed",
        ) from error


def make_vector(
    source: Source, num_envs: int, kwargs: dict[str, Any], own_seeds: bool = False
) -> tuple[VectorEnv[Any, Any, Any], str]:
    """The batch, and its name; for `own_seeds` see `vectorise.make`."""
    if num_envs < 1:
        raise SpecError(f"{num_envs} environments cannot be stepped.", where="envs.make", mend="num_envs=8, say")
    if isinstance(source, str):
        return _from_id(source, num_envs, kwargs, own_seeds), source.rpartition(":")[2]
    if isinstance(source, (gymnasium.Env, VectorEnv)):
        if kwargs:
            raise SpecError(
                f"an environment that is already made takes no arguments ({', '.join(kwargs)}).",
                where="envs.make",
                mend="give its id or a callable",
            )
        return _from_made(source, num_envs), env_id_of(source)
    if not callable(source):
        raise SpecError(
            f"{type(source).__name__} is no environment.",
            where="envs.make",
            mend="give a Gymnasium id, an Env, a VectorEnv or a callable that makes one",
        )
    first = _built(source, kwargs, getattr(source, "__name__", "callable"))
    if isinstance(first, VectorEnv):
        return _from_made(first, num_envs), env_id_of(first)
    makers = [lambda: first, *[lambda: source(**kwargs)] * (num_envs - 1)]
    return _sync(makers), env_id_of(first)


def _from_id(env_id: str, num_envs: int, kwargs: dict[str, Any], own_seeds: bool) -> VectorEnv[Any, Any, Any]:
    spec = find_spec(env_id)
    _require_extra(spec)
    native = spec.vector_entry_point is not None and not spec.additional_wrappers
    if own_seeds and spec.id not in ALL:  # others' batches draw all beginnings from one generator
        native = False
    options: dict[str, Any] = {"vectorization_mode": "vector_entry_point" if native else "sync"}
    if not native:  # no dummy steps, where the choice is ours
        options["vector_kwargs"] = {"autoreset_mode": AutoresetMode.SAME_STEP}
    made: VectorEnv[Any, Any, Any] = _built(
        gymnasium.make_vec, {"id": spec.id, "num_envs": num_envs, **options, **kwargs}, env_id
    )
    return made


def _require_extra(spec: gymnasium.envs.registration.EnvSpec) -> None:
    """Raise `MissingExtra` when one of Gymnasium's own environments lacks its engine."""
    for place, (extra, modules) in EXTRAS.items():
        if isinstance(spec.entry_point, str) and spec.entry_point.startswith(place):
            for module in modules:
                require(module, extra=extra, purpose=f"environment '{spec.id}'")
            if extra == "mujoco":
                _mujoco_to_log()


def _mujoco_to_log() -> None:
    """MuJoCo's warnings go to the log `mujoco`; else it prints them and leaves a file in the working directory."""
    import mujoco

    mujoco.set_mju_user_warning(logging.getLogger("mujoco").info)


def _from_made(env: AnyEnv, num_envs: int) -> VectorEnv[Any, Any, Any]:
    if isinstance(env, VectorEnv):
        if env.num_envs != num_envs:
            raise SpecError(
                f"the batch holds {env.num_envs} environments, {num_envs} were asked for.",
                where="envs.make(num_envs=...)",
                mend=f"num_envs={env.num_envs}",
            )
        return env
    if num_envs == 1:
        return _sync([lambda: env])
    raise SpecError(
        f"one environment cannot be {num_envs}.",
        where="envs.make(num_envs=...)",
        mend="give its id, a callable that makes one, or num_envs=1",
    )


def _sync(makers: list[Callable[[], Any]]) -> SyncVectorEnv:
    options = {"env_fns": makers, "autoreset_mode": AutoresetMode.SAME_STEP}
    batch: SyncVectorEnv = _built(SyncVectorEnv, options, "environment")
    return batch


def _built(maker: Callable[..., Any], kwargs: dict[str, Any], name: str) -> Any:
    try:
        env = maker(**kwargs)
    except PellucidError:
        raise
    except Exception as error:
        raise SpecError(
            f"environment '{name}' cannot be made: {type(error).__name__}: {first_line(error)}",
            where="envs.make",
            mend="check its arguments and what it needs to be installed",
        ) from error
    if not isinstance(env, (gymnasium.Env, VectorEnv)):
        raise SpecError(f"{name} gave {type(env).__name__}, no environment.", where="envs.make", mend="return an Env")
    return env
