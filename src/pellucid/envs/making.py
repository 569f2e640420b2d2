"""From an id, an environment, a batch or a callable to a batch, in this process or in others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

from pellucid.core.errors import PellucidError, SpecError, nearest
from pellucid.envs import ALL, register
from pellucid.envs.engines import require_engine
from pellucid.envs.names import env_id_of
from pellucid.envs.singles import Singles, first_line
from pellucid.envs.workers import Workers
from pellucid.spec.model import GIVEN

AnyEnv = gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]
Source = str | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any] | Callable[..., Any]


@dataclass(frozen=True)
class Stepping:
    """How a batch is stepped.

    Args:
        workers: processes that share it; 0: in this one.
        timeout_s: seconds that one call of an environment may take.
    """

    workers: int = 0
    timeout_s: float = 60.0


_given: ContextVar[Mapping[str, Source]] = ContextVar("given")
_stepping: ContextVar[Mapping[str, Stepping]] = ContextVar("stepping")


@contextmanager
def using(given: Mapping[str, Source] | None = None, stepping: Mapping[str, Stepping] | None = None) -> Iterator[None]:
    """Inside, `make` finds these objects under their names (`given:NAME`), and steps these environments so."""
    tokens = (
        _given.set({**_given.get({}), **(given or {})}),
        _stepping.set({**_stepping.get({}), **(stepping or {})}),
    )
    try:
        yield
    finally:
        _given.reset(tokens[0])
        _stepping.reset(tokens[1])


def stepping_of(source: Source) -> Stepping:
    """How `using` says that an environment is stepped."""
    return _stepping.get({}).get(source, Stepping()) if isinstance(source, str) else Stepping()


def name_given(source: Source) -> tuple[str, Source]:
    """(`given:NAME`, the object) for an environment that is no id; a callable that makes a batch becomes the batch.

    Raises:
        SpecError: it is none, or cannot be made.
    """
    if not isinstance(source, (gymnasium.Env, VectorEnv)):
        made = _built(_require_callable(source), {}, getattr(source, "__name__", "callable"))
        name = env_id_of(made)
        if isinstance(made, VectorEnv):
            source = made
        else:
            made.close()
    else:
        name = env_id_of(source)
    return GIVEN + "_".join(name.rpartition(":")[2].split()), source


def room(source: Source) -> int | None:
    """How many environments there can be; None: any number."""
    found = _found(source)
    return 1 if isinstance(found, gymnasium.Env) else found.num_envs if isinstance(found, VectorEnv) else None


def find_spec(env_id: str) -> gymnasium.envs.registration.EnvSpec:
    """The registration of an id; `module:id` imports the module first.

    Raises:
        SpecError: no such environment, with the nearest name.
        MissingExtra: its engine is not installed.
    """
    register()
    if env_id.startswith(GIVEN):
        raise _not_given(env_id)
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            __import__(module)
        found = gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError, ValueError) as error:
        plain = {known.rpartition("/")[2]: known for known in gymnasium.registry}
        hint = nearest(name, gymnasium.registry) or nearest(name, plain)
        raise SpecError(
            f"no environment '{env_id}': {first_line(error)}",
            where="environment",
            mend=hint or "gymnasium.pprint_registry() lists those that are installed",
        ) from error
    require_engine(found)
    return found


@contextmanager
def single(source: Source, **options: Any) -> Iterator[gymnasium.Env[Any, Any]]:
    """One environment of an id, or of what was given under a name; closed after use, unless it was given itself.

    Raises:
        SpecError: no such environment, it cannot be made, or it is a batch.
    """
    found = _found(source)
    if isinstance(found, str):
        env = _built(gymnasium.make, {"id": find_spec(found).id, "disable_env_checker": True, **options}, found)
    elif isinstance(found, (gymnasium.Env, VectorEnv)):
        env = found
    else:
        env = _built(_require_callable(found), options, getattr(found, "__name__", "callable"))
    if isinstance(env, VectorEnv):
        raise SpecError("one environment is wanted, not a batch.", where=str(source), mend="give an Env, or its id")
    try:
        yield env
    finally:
        if env is not found:
            env.close()


@dataclass(frozen=True)
class Recipe:
    """What a batch, or a worker's share of it, is made of.

    Args:
        source: an id, an object or a callable.
        kwargs: of the environment.
        own_seeds: see `vectorise.make`.
    """

    source: Source
    kwargs: dict[str, Any] = field(default_factory=dict)
    own_seeds: bool = False

    @property
    def native(self) -> bool:
        """The id brings a batch of its own that may be used."""
        if not isinstance(self.source, str):
            return False
        spec = find_spec(self.source)
        batched = spec.vector_entry_point is not None and not spec.additional_wrappers
        return batched and (spec.id in ALL or not self.own_seeds)

    @property
    def whole(self) -> bool:
        """It cannot be shared out: it is an object, or draws all beginnings from one generator."""
        if isinstance(self.source, str):
            return self.native and find_spec(self.source).id not in ALL
        return isinstance(self.source, (gymnasium.Env, VectorEnv))

    def build(self, count: int) -> VectorEnv[Any, Any, Any]:
        """A batch of `count`."""
        source = self.source
        if isinstance(source, str):
            spec = find_spec(source)
            if self.native:
                mode = {"vectorization_mode": "vector_entry_point"}
                options = {"id": spec.id, "num_envs": count, **mode, **self.kwargs}
                made: VectorEnv[Any, Any, Any] = _built(gymnasium.make_vec, options, source)
                return made
            return Singles([_single(gymnasium.make, {"id": spec.id, **self.kwargs}, source) for _ in range(count)])
        if isinstance(source, VectorEnv):
            return _of_size(source, count)
        if isinstance(source, gymnasium.Env):
            if count == 1:
                return Singles([source])
            raise SpecError(
                f"one environment cannot be {count}.",
                where="envs.make(num_envs=...)",
                mend="give its id, a callable that makes one, or num_envs=1",
            )
        name = getattr(source, "__name__", "callable")
        first = _built(source, self.kwargs, name)
        if isinstance(first, VectorEnv):
            return _of_size(first, count)
        return Singles([first, *[_single(source, self.kwargs, name) for _ in range(count - 1)]])


def make_vector(
    source: Source, num_envs: int, kwargs: dict[str, Any], own_seeds: bool, how: Stepping
) -> tuple[VectorEnv[Any, Any, Any], str, bool]:
    """The batch, its name, and whether it is closed after use; for the arguments see `vectorise.make`."""
    if num_envs < 1:
        raise SpecError(f"{num_envs} environments cannot be stepped.", where="envs.make", mend="num_envs=8, say")
    found = _found(source)
    is_object = isinstance(found, (gymnasium.Env, VectorEnv))
    if is_object and kwargs:
        raise SpecError(
            f"an environment that is already made takes no arguments ({', '.join(kwargs)}).",
            where="envs.make",
            mend="give its id or a callable",
        )
    if isinstance(found, str):
        find_spec(found)
    elif not is_object:
        _require_callable(found)
    recipe = Recipe(found, kwargs, own_seeds)
    if how.workers:
        processes = 1 if recipe.whole else min(how.workers, num_envs)
        batch: VectorEnv[Any, Any, Any] = Workers(recipe, num_envs, processes, how.timeout_s)
    else:
        batch = recipe.build(num_envs)
    if isinstance(source, str):
        name = source if source.startswith(GIVEN) else source.rpartition(":")[2]
    else:
        name = batch.env_id if isinstance(batch, Workers) else env_id_of(batch)
    return batch, name, bool(how.workers) or not is_object


def _found(source: Source) -> Source:
    """What a name stands for: itself, or the object that was given under it."""
    if not isinstance(source, str) or not source.startswith(GIVEN):
        return source
    given = _given.get({})
    if source not in given:
        raise _not_given(source)
    return given[source]


def _not_given(source: str) -> SpecError:
    name = source.removeprefix(GIVEN)
    return SpecError(
        f"the environment '{name}' was given as an object, which is not kept with the program.",
        where=source,
        mend=f"give it again in Python: env=... with the Env, VectorEnv or callable that '{name}' was",
    )


def _require_callable(source: Any) -> Callable[..., Any]:
    if not callable(source):
        raise SpecError(
            f"{type(source).__name__} is no environment.",
            where="envs.make",
            mend="give a Gymnasium id, an Env, a VectorEnv or a callable that makes one",
        )
    found: Callable[..., Any] = source
    return found


def _of_size(batch: VectorEnv[Any, Any, Any], count: int) -> VectorEnv[Any, Any, Any]:
    if batch.num_envs != count:
        raise SpecError(
            f"the batch holds {batch.num_envs} environments, {count} were asked for.",
            where="envs.make(num_envs=...)",
            mend=f"num_envs={batch.num_envs}, and at most one worker",
        )
    return batch


def _single(maker: Callable[..., Any], kwargs: dict[str, Any], name: str) -> gymnasium.Env[Any, Any]:
    env: gymnasium.Env[Any, Any] = _built(maker, kwargs, name)
    return env


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
