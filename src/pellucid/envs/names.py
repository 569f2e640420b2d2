"""Observations of any environment as named fields: the schema of a policy's inputs, and the arrays under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv, VectorEnv

from pellucid.core.errors import SpecError
from pellucid.core.schema import Field

Array = npt.NDArray[Any]
Obs = dict[str, npt.NDArray[np.float32]]

TRADING = "pellucid/StockTrading-v0"
PRICE = ("pellucid/StockPrice-v0", "StockPrice-v0")
WIDE = 64  # a Box of more values than this is one field, not one field a value

KNOWN: dict[str, tuple[tuple[str, str], ...]] = {  # environment -> (name, unit) of each observed value
    "CartPole": (
        ("cart_position", "m"),
        ("cart_velocity", "m/s"),
        ("pole_angle", "rad"),
        ("pole_velocity", "rad/s"),
    ),
    "Acrobot": (
        ("cos_theta_1", ""),
        ("sin_theta_1", ""),
        ("cos_theta_2", ""),
        ("sin_theta_2", ""),
        ("velocity_1", "rad/s"),
        ("velocity_2", "rad/s"),
    ),
    "MountainCar": (("position", ""), ("velocity", "1/step")),
    "MountainCarContinuous": (("position", ""), ("velocity", "1/step")),
    "Pendulum": (("cos_theta", ""), ("sin_theta", ""), ("velocity", "rad/s")),
}


class Reader(NamedTuple):
    """Takes some fields, side by side, out of a batched observation."""

    fields: tuple[Field, ...]
    read: Callable[[Any], Array]  # (n, sum of widths), any dtype

    @property
    def width(self) -> int:
        return sum(field.width for field in self.fields)


def readers(space: spaces.Space[Any], env_id: str, name: str = "") -> list[Reader]:
    """How to read every field of `space`.

    Args:
        space: observation space of one environment.
        env_id: where known names are looked up.
        name: of the part of a Dict space.
    Raises:
        SpecError: a kind of space that has no fields (Tuple, Text, Graph, ...).
    """
    if isinstance(space, spaces.Dict):
        out = []
        for key, part in space.spaces.items():
            for inner in readers(part, "", f"{name}.{key}" if name else str(key)):
                out.append(Reader(inner.fields, _of_key(key, inner.read)))
        return out
    if isinstance(space, spaces.Discrete):
        n, start = int(space.n), int(space.start)
        field = Field(name or "state", "numeric", n, "one-hot", f"one of {n} states")
        eye = np.eye(n, dtype=np.float32)
        return [Reader((field,), lambda obs: eye[np.asarray(obs, dtype=np.int64) - start])]
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        return [_box(int(np.prod(space.shape, dtype=np.int64)), env_id, name)]
    raise SpecError(
        f"observations of the space {type(space).__name__} have no fields.",
        where=f"environment '{env_id}'" + (f", part '{name}'" if name else ""),
        mend="wrap the environment so that it gives a Box, Discrete or Dict (gymnasium.wrappers.FlattenObservation)",
    )


def observation_fields(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> tuple[Field, ...]:
    """The named fields of an environment's observation: its own `fields`, known names, or obs_0, obs_1, ..."""
    space = env.single_observation_space if isinstance(env, VectorEnv) else env.observation_space
    read = tuple(field for reader in readers(space, env_id_of(env)) for field in reader.fields)
    own: tuple[Field, ...] = getattr(env.unwrapped, "fields", ())
    if {(field.name, field.width) for field in own} == {(field.name, field.width) for field in read}:
        return own
    return read


def field_units(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> dict[str, str]:
    """Unit of each observed field."""
    return {field.name: field.unit for field in observation_fields(env)}


def env_id_of(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> str:
    """The registered id, or the class name."""
    spec = env.unwrapped.spec
    if spec is None and isinstance(env.unwrapped, SyncVectorEnv):  # which has no id of its own
        return env_id_of(env.unwrapped.envs[0])
    return str(spec.id) if spec is not None else type(env.unwrapped).__name__


def _box(width: int, env_id: str, name: str) -> Reader:
    if name or width > WIDE:
        field = Field(name or "obs", "numeric" if width == 1 else "series", width)
        return Reader((field,), _rows)
    base = env_id.rpartition("/")[2].partition("-v")[0]
    known = KNOWN.get(base, ())
    names = known if len(known) == width else tuple((f"obs_{j}", "") for j in range(width))
    return Reader(tuple(Field(label, "numeric", 1, unit) for label, unit in names), _rows)


def _rows(obs: Any) -> Array:
    batch = np.asarray(obs)
    return batch if batch.ndim == 2 else batch.reshape(len(batch), -1)


def _of_key(key: str, read: Callable[[Any], Array]) -> Callable[[Any], Array]:
    return lambda obs: read(obs[key])
