"""Single environments stepped one after another as a batch, which resets in the same step.

Like Gymnasium's `SyncVectorEnv`, with three differences: a fault names the environment, a change of shape or kind of
number is a fault at the step at which it happens, and the state can be written down where that of each environment can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pellucid.core.errors import EnvironmentFault, SpecError
from pellucid.core.schema import Field
from pellucid.envs import states
from pellucid.envs.market import State
from pellucid.envs.names import Reader, at, env_id_of, readers

Array = npt.NDArray[Any]
NUMBERS = "fiub"  # kinds of numpy's types that are numbers
RESET, STEP = ("obs", "info"), ("obs", "reward", "terminated", "truncated", "info")


class RowFault(Exception):
    """What one environment of a batch did wrong; the adapter turns it into an `EnvironmentFault`.

    Args:
        index: of the environment in the batch; None when it is not known.
        what: "raised ZeroDivisionError: by zero", "returned ...".
        mend: what to do about it.
    """

    def __init__(self, index: int | None, what: str, mend: str = "repair the environment") -> None:
        super().__init__(what)
        self.index, self.what, self.mend = index, what, mend


def first_line(error: BaseException) -> str:
    """What an error of somebody else's says, as one sentence."""
    line = next(iter(str(error).strip().splitlines()), "it says no more")
    return line if line.endswith((".", "?", "!")) else f"{line}."


def raised(error: BaseException) -> str:
    """An error of somebody else's, in the words of a fault."""
    return f"raised {type(error).__name__}: {first_line(error).removesuffix('.')}"


class Leaf:
    """One array of a batched observation, filled row by row.

    Args:
        reader: of the leaf.
        rows: (n, ...) of the leaf's shape and type; made when it is not given.
    """

    def __init__(self, reader: Reader, n: int, rows: Array | None = None) -> None:
        self.path, self.name = reader.path, reader.name
        self.shape, self.dtype = leaf_type(reader.space)
        self.rows: Array = np.zeros((n, *self.shape), dtype=self.dtype) if rows is None else rows
        self._kinds = [""] * n  # of numpy's types, as first seen in each environment

    def write(self, i: int, obs: Any) -> None:
        """Put one environment's observation into row `i`.

        Raises:
            RowFault: a part is absent, or its shape or kind of number is not what the space declares.
        """
        try:
            raw = at(obs, self.path)
            value = np.asarray(raw)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise RowFault(i, f"returned an observation without '{self.name}' ({raised(error)})") from error
        kind = value.dtype.kind
        if kind not in NUMBERS:
            said = value.dtype if isinstance(raw, np.ndarray) else type(raw).__name__
            raise RowFault(i, f"returned '{self.name}' as {said}, no numbers", "return what its space declares")
        if value.shape != self.shape:
            raise RowFault(
                i,
                f"returned '{self.name}' of shape {value.shape}; its space says {self.shape}",
                "return what its space declares",
            )
        if kind != self._kinds[i]:
            self._new_kind(i, value)
        self.rows[i] = value

    def _new_kind(self, i: int, value: Array) -> None:
        """The first value of an environment, or one of another kind than the first."""
        kind, said = value.dtype.kind, f"returned '{self.name}' as {value.dtype}"
        if kind == "f" and self.dtype.kind != "f":
            raise RowFault(i, f"{said}; its space says {self.dtype}", "return what its space declares")
        if self._kinds[i] and self.dtype.kind == "f":  # bytes would be scaled twice, whole numbers be cut off
            raise RowFault(i, f"{said}, and other numbers before", "return one type of number from reset and step")
        self._kinds[i] = kind


def _parts(i: int, given: Any, names: tuple[str, ...]) -> Any:
    """What reset or step returned, if it has the right number of parts."""
    if isinstance(given, tuple) and len(given) == len(names) and isinstance(given[-1], dict):
        return given
    said = f"{len(given)} values" if isinstance(given, tuple) else type(given).__name__
    if isinstance(given, tuple) and len(given) == len(names):
        said = f"{type(given[-1]).__name__} as infos"
    call = "step" if names is STEP else "reset"
    raise RowFault(i, f"returned {said} from {call}", f"return {', '.join(names)}, as Gymnasium has it since 0.26")


def leaf_type(space: spaces.Space[Any]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """(shape, type) of an array of one leaf."""
    return tuple(int(n) for n in space.shape or ()), np.dtype(space.dtype)


def nested(space: spaces.Space[Any], leaves: dict[tuple[Any, ...], Array], path: tuple[Any, ...] = ()) -> Any:
    """The leaves put together as Gymnasium batches such a space."""
    if isinstance(space, spaces.Dict):
        return {key: nested(part, leaves, (*path, key)) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(nested(part, leaves, (*path, i)) for i, part in enumerate(space.spaces))
    return leaves[path]


class Singles(VectorEnv[Any, Any, Any]):
    """A batch of single environments in this process.

    Args:
        envs: of one and the same kind.
    Raises:
        SpecError: their spaces differ.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012  # as Gymnasium declares it

    def __init__(self, envs: Sequence[gymnasium.Env[Any, Any]]) -> None:
        self.envs, self.num_envs = list(envs), len(envs)
        first = self.envs[0]
        self.single_observation_space, self.single_action_space = first.observation_space, first.action_space
        self.fields: tuple[Field, ...] = getattr(first.unwrapped, "fields", ())
        for env in self.envs[1:]:
            if env.observation_space != first.observation_space or env.action_space != first.action_space:
                raise SpecError(
                    "environments of one batch have different spaces: "
                    f"{first.observation_space} and {env.observation_space}.",
                    where=f"environment '{env_id_of(first)}'",
                    mend="let the callable make one kind of environment",
                )
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.spec = first.spec
        self.beat = np.zeros(2, dtype=np.int64)  # calls of environments so far; which of them is called
        self._leaves = [Leaf(r, self.num_envs) for r in readers(self.single_observation_space, env_id_of(first))]
        self._batch = nested(self.single_observation_space, {leaf.path: leaf.rows for leaf in self._leaves})

    @property
    def resumable(self) -> bool:
        """Whether `get_state` is exact."""
        return all(states.single_known(env) for env in self.envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin every episode anew; environment i from seed + i."""
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed
        infos = []
        for i in range(self.num_envs):
            obs, info = self._reset(i, seed=None if seeds is None else seeds[i], options=options)
            self._write(i, obs)
            infos.append(info)
        return self._batch, {"each": infos}

    def step(self, actions: Array) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """One step of every environment; the arrays of the observation are overwritten by the next call.

        The infos are `each`: one of every environment, as it gave it, and `final_obs` where an episode ended.
        """
        n = self.num_envs
        reward, terminated, truncated = np.zeros(n), np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        infos: dict[str, Any] = {"each": [None] * n}
        for i, env in enumerate(self.envs):
            self._beat(i)
            try:
                obs, value, over, cut, info = _parts(i, env.step(actions[i]), STEP)
                reward[i], terminated[i], truncated[i] = float(value), bool(over), bool(cut)
            except RowFault:
                raise
            except EnvironmentFault as error:
                raise RowFault(i, error.what, error.mend) from error
            except Exception as error:
                raise RowFault(i, raised(error)) from error
            self._write(i, obs)
            if over or cut:
                final = infos.setdefault("final_obs", np.full(n, None, dtype=object))
                final[i] = self._taken(i)
                obs, info = self._reset(i)
                self._write(i, obs)
            infos["each"][i] = info
        return self._batch, reward, terminated, truncated, infos

    def get_state(self) -> State:
        """Everything that the next steps depend on."""
        return {"envs": [states.get_single(env) for env in self.envs]}

    def set_state(self, state: State) -> None:
        """Go on from what `get_state` wrote down."""
        self.reset()  # makes the attributes that are overwritten below
        for env, raw in zip(self.envs, state["envs"], strict=True):
            states.set_single(env, raw)

    def render(self) -> tuple[Any, ...]:
        """A picture of each environment."""
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """Close every environment."""
        for env in self.envs:
            env.close()

    def _beat(self, i: int) -> None:
        self.beat[0] += 1
        self.beat[1] = i

    def _reset(self, i: int, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self._beat(i)
        try:
            obs, info = _parts(i, self.envs[i].reset(**kwargs), RESET)
        except RowFault:
            raise
        except EnvironmentFault as error:
            raise RowFault(i, error.what, error.mend) from error
        except Exception as error:
            raise RowFault(i, f"{raised(error)} (in reset)") from error
        return obs, info

    def _write(self, i: int, obs: Any) -> None:
        for leaf in self._leaves:
            leaf.write(i, obs)

    def _taken(self, i: int) -> Any:
        """A copy of the observation of environment `i`."""
        return nested(self.single_observation_space, {leaf.path: leaf.rows[i].copy() for leaf in self._leaves})
