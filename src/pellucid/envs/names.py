"""Observations of any environment as named fields: the schema of a policy's inputs, and the arrays under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from pellucid.core.errors import SpecError
from pellucid.core.schema import Field

Array = npt.NDArray[Any]
Obs = dict[str, npt.NDArray[np.float32]]


class Joined(Obs):
    """Observations whose fields are the columns of one `array` (n, D), in their order."""

    array: npt.NDArray[np.float32]


TRADING = "pellucid/StockTrading-v0"
PRICE = ("pellucid/StockPrice-v0", "StockPrice-v0")
WIDE = 64  # a Box of more values than this is one field, not one field a value
STATES = 16_384  # of a discrete observation
SIDE, CHANNELS = 8, 16  # a smaller grid of bytes is no picture; more channels are none of one

CHEETAH = ("back_thigh", "back_shin", "back_foot", "front_thigh", "front_shin", "front_foot")
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
    "LunarLander": (
        ("x", ""),
        ("y", ""),
        ("x_velocity", ""),
        ("y_velocity", ""),
        ("angle", "rad"),
        ("angular_velocity", ""),
        ("leg_1_contact", ""),
        ("leg_2_contact", ""),
    ),
    "InvertedPendulum": (
        ("cart_position", "m"),
        ("pole_angle", "rad"),
        ("cart_velocity", "m/s"),
        ("pole_velocity", "rad/s"),
    ),
    "HalfCheetah": (
        ("tip_height", "m"),
        ("tip_angle", "rad"),
        *((f"{joint}_angle", "rad") for joint in CHEETAH),
        ("tip_x_velocity", "m/s"),
        ("tip_z_velocity", "m/s"),
        ("tip_angular_velocity", "rad/s"),
        *((f"{joint}_velocity", "rad/s") for joint in CHEETAH),
    ),
}


PARTS: dict[str, tuple[str, ...]] = {  # environment -> names of the parts of a Tuple
    "Blackjack": ("player_sum", "dealer_card", "usable_ace"),
}


class Reader(NamedTuple):
    """Takes the fields of one leaf of an observation space, side by side, out of a batched observation.

    Args:
        fields: what they are called.
        read: (n observations, batched as Gymnasium does) -> (n, sum of widths), any dtype.
        path: of the leaf: keys of Dicts and positions in Tuples.
        space: the leaf itself.
    """

    fields: tuple[Field, ...]
    read: Callable[[Any], Array]
    path: tuple[Any, ...]
    space: spaces.Space[Any]

    @property
    def width(self) -> int:
        return sum(field.width for field in self.fields)

    @property
    def name(self) -> str:
        """What a message calls the leaf."""
        return self.fields[0].name if len(self.fields) == 1 else ".".join(map(str, self.path)) or "obs"


def readers(space: spaces.Space[Any], env_id: str) -> list[Reader]:
    """How to read every field of `space`.

    Args:
        space: observation space of one environment.
        env_id: where known names are looked up.
    Raises:
        SpecError: a kind of space that has no fields (Text, Graph, ...).
    """
    return [_reader(leaf, env_id, name, path) for name, path, leaf in _leaves(space, _base(env_id))]


def _base(env_id: str) -> str:
    """CartPole, of module:folder/CartPole-v1."""
    return env_id.rpartition("/")[2].rpartition(":")[2].partition("-v")[0]


def _leaves(
    space: spaces.Space[Any], base: str, name: str = "", path: tuple[Any, ...] = ()
) -> Iterator[tuple[str, tuple[Any, ...], spaces.Space[Any]]]:
    """(name, path, space) of every part that is neither a Dict nor a Tuple."""
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from _leaves(part, "", f"{name}.{key}" if name else str(key), (*path, key))
    elif isinstance(space, spaces.Tuple):
        known = PARTS.get(base, ())
        for i, part in enumerate(space.spaces):
            plain = f"{name}.{i}" if name else f"part_{i}"
            yield from _leaves(part, "", known[i] if len(known) == len(space.spaces) else plain, (*path, i))
    else:
        yield name, path, space


def _reader(space: spaces.Space[Any], env_id: str, name: str, path: tuple[Any, ...]) -> Reader:
    read: Callable[[Any], Array]
    if isinstance(space, spaces.Discrete):
        counts, first, names = [int(space.n)], np.array([int(space.start)]), [name or "state"]
    elif isinstance(space, spaces.MultiDiscrete):
        counts, first = space.nvec.ravel().tolist(), np.asarray(space.start).ravel()
        names = [f"{name or 'state'}_{i}" for i in range(len(counts))]
    elif image_shape(space) is not None:
        field, read = _image(space, name)
        return Reader((field,), _at(path, read), path, space)
    elif isinstance(space, (spaces.Box, spaces.MultiBinary)):
        fields = _box(int(np.prod(space.shape, dtype=np.int64)), "" if path else env_id, name)
        return Reader(fields, _at(path, _rows), path, space)
    else:
        raise SpecError(
            f"observations of the space {type(space).__name__} have no fields.",
            where=f"environment '{env_id}'" + (f", part '{name}'" if name else ""),
            mend="wrap the environment so that it gives a Box, Discrete, Dict or Tuple",
        )
    if max(counts) > STATES:
        raise SpecError(
            f"an observation of {max(counts)} states is too wide: each has a column.",
            where=f"environment '{env_id}', part '{names[int(np.argmax(counts))]}'",
            mend=f"wrap the environment so that it gives numbers, or at most {STATES} states",
        )
    hot = tuple(
        Field(label, "numeric", n, "one-hot", f"one of {n} states") for label, n in zip(names, counts, strict=True)
    )
    return Reader(hot, _at(path, _one_hot(np.asarray(counts), first)), path, space)


def _one_hot(counts: Array, first: Array) -> Callable[[Any], Array]:
    """Reads (n, k) states, counted from `first`, as k one-hot blocks side by side."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    width = int(counts.sum())

    def read(obs: Any) -> Array:
        raw = np.asarray(obs)
        if raw.dtype.kind not in "iub":  # a float is no state, and rounding would hide it
            raise ValueError(f"{raw.dtype} where a state is a whole number")
        codes = raw.reshape(len(raw), -1).astype(np.int64) - first
        if ((codes < 0) | (codes >= counts)).any():
            row, j = np.argwhere((codes < 0) | (codes >= counts))[0]
            raise ValueError(f"{codes[row, j] + first[j]} of environment {row} is none of its {counts[j]} states")
        out = np.zeros((len(raw), width), dtype=np.float32)
        out[np.arange(len(raw))[:, None], starts + codes] = 1.0
        return out

    return read


def image_shape(space: spaces.Space[Any]) -> tuple[int, int, int] | None:
    """(height, width, channels) of a Box of bytes that is a picture: two sides of at least 8, up to 16 channels."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) not in (2, 3):
        return None
    a, b, *rest = (int(n) for n in space.shape)
    c = rest[0] if rest else 1
    if rest and a <= CHANNELS and a < min(b, c):  # channels first, as stacked frames often are
        a, b, c = b, c, a
    return (a, b, c) if min(a, b) >= SIDE and c <= CHANNELS else None


def _image(space: spaces.Space[Any], name: str) -> tuple[Field, Callable[[Any], Array]]:
    shape = image_shape(space)
    assert shape is not None
    declared = tuple(space.shape or ())
    moved = len(declared) == 3 and declared != shape
    field = Field(name or "image", "image", int(np.prod(shape)), "", f"{shape[0]} x {shape[1]} pixels", shape=shape)

    def read(obs: Any) -> Array:
        raw = np.asarray(obs)
        if raw.dtype != np.uint8 or raw.shape[1:] != declared:
            raise ValueError(f"{raw.dtype} of shape {raw.shape[1:]} where its space has bytes of shape {declared}")
        pixels = np.moveaxis(raw, 1, -1) if moved else raw
        scaled: Array = pixels.reshape(len(raw), -1) / np.float32(255.0)
        return scaled

    return field, read


def observation_fields(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any], env_id: str = "") -> tuple[Field, ...]:
    """The named fields of an environment's observation: its own `fields`, known names, or obs_0, obs_1, ...

    Args:
        env_id: where known names are looked up, if not under its own id.
    """
    space = env.single_observation_space if isinstance(env, VectorEnv) else env.observation_space
    read = tuple(field for reader in readers(space, env_id or env_id_of(env)) for field in reader.fields)
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
    several = getattr(env.unwrapped, "envs", None)
    if spec is None and isinstance(env, VectorEnv) and several:  # a batch of single ones has no id of its own
        return env_id_of(several[0])
    return str(spec.id) if spec is not None else type(env.unwrapped).__name__


def _box(width: int, env_id: str, name: str) -> tuple[Field, ...]:
    if name or width > WIDE:
        return (Field(name or "obs", "numeric" if width == 1 else "series", width),)
    known = KNOWN.get(_base(env_id), ())
    names = known if len(known) == width else tuple((f"obs_{j}", "") for j in range(width))
    return tuple(Field(label, "numeric", 1, unit) for label, unit in names)


def _rows(obs: Any) -> Array:
    batch = np.asarray(obs)
    return batch if batch.ndim == 2 else batch.reshape(len(batch), -1)


def _at(path: tuple[Any, ...], read: Callable[[Any], Array]) -> Callable[[Any], Array]:
    return read if not path else lambda obs: read(at(obs, path))


def at(obs: Any, path: tuple[Any, ...]) -> Any:
    """The leaf of an observation at the end of a path."""
    for key in path:
        obs = obs[key]
    return obs
