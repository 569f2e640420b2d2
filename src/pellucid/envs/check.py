"""What is wrong with an environment, and what is worth knowing of it, found out before an hour of training."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.vector import VectorEnv

from pellucid.core.errors import EnvironmentFault, PellucidError, SpecError
from pellucid.envs.making import Source, Stepping, find_spec, room
from pellucid.envs.names import Reader, readers
from pellucid.envs.vectorise import Step, VectorAdapter, make

STEPS = 1000  # random ones
TWICE = 200  # steps that are made twice from the same seed
ENVS = 4
FAULTS = 8  # different ones after which no more are looked for
TRIES = 40  # of going on after a fault
SLOW = 1000.0  # steps a second, below which training takes hours
PATIENCE = Stepping(timeout_s=10.0)


@dataclass
class Report:
    """What a check found.

    Args:
        facts: name -> what is so, for a person.
        problems: what must be mended before training, one line each.
        notes: what is worth a look.
    """

    facts: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_env(env: Source, steps: int = STEPS) -> list[str]:
    """Problems of an environment, one line each; an empty list is good news. See `inspect_env`."""
    return inspect_env(env, steps).problems


def inspect_env(env: Source, steps: int = STEPS) -> Report:
    """Everything that is wrong with an environment, all at once, and what is worth knowing of it.

    Gymnasium's own checker; the spaces; `steps` random steps, which go on after a fault; a run made twice from the same
    seed. An environment that does not return is given up after 10 s; it is tried in a process of its own first.

    Args:
        env: an id, an environment, a batch, or a callable that makes either.
        steps: random steps taken.
    Raises:
        SpecError: no such environment, or it cannot be made.
        MissingExtra: it needs an engine that is not installed.
    """
    report = Report()
    if isinstance(env, str):
        find_spec(env)
    if isinstance(env, VectorEnv) and not _says_its_mode(env, report):
        return report
    if not _survives(env, steps, report):
        return report
    try:
        adapter = make(env, room(env) or ENVS, stepping=PATIENCE)
    except SpecError as error:
        if "have no fields" not in error.what and "too wide" not in error.what:
            raise
        report.problems.append(f"{error.what.removesuffix('.')} ({error.where}): {error.mend}")
        _gymnasium(env, report)
        return report
    try:
        _spaces(adapter, report)
        hung = _behaviour(adapter, steps, report)
        if not hung:
            _repeats(env, adapter, report)
            _gymnasium(env, report)
    finally:
        if not isinstance(env, (gymnasium.Env, VectorEnv)):
            adapter.close()
    return report


def _survives(env: Source, steps: int, report: Report) -> bool:
    """Random steps in a process of its own: one that ends its process, or hangs for good, must not do so here.

    Not of objects: what they are connected to would be shared by both processes.
    """
    if isinstance(env, (gymnasium.Env, VectorEnv)):
        return True
    try:
        adapter = make(env, room(env) or ENVS, stepping=replace(PATIENCE, workers=1))
    except PellucidError as error:  # of what can be told, the same is met again in this process
        return not _fatal(error, report)
    try:
        adapter.action_space.seed(0)
        adapter.reset()
        for _ in range(0, steps, adapter.num_envs):
            adapter.step(sample(adapter))
    except EnvironmentFault as error:
        return not _fatal(error, report)
    finally:
        adapter.close()
    return True


def _fatal(error: PellucidError, report: Report) -> bool:
    fatal = "took its process with it" in error.what or "has not returned" in error.what
    if fatal:
        report.problems.append(f"{error.what.removesuffix('.')} ({error.where})")
    return fatal


def _says_its_mode(env: VectorEnv[Any, Any, Any], report: Report) -> bool:
    try:
        VectorAdapter(env)
    except SpecError as error:
        report.problems.append(f"{error.what.removesuffix('.')}: {error.mend}")
        return False
    return True


def _gymnasium(env: Source, report: Report) -> None:
    """Gymnasium's own checker, of one environment."""
    try:
        one = (
            gymnasium.make(find_spec(env)) if isinstance(env, str) else env if isinstance(env, gymnasium.Env) else None
        )
        one = env() if one is None and callable(env) else one
    except Exception:  # it was made before, and what that met has been told
        return
    if not isinstance(one, gymnasium.Env):
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            gymnasium_check(one.unwrapped, skip_render_check=True)
        except Exception as error:
            text = str(error).strip().splitlines()
            report.problems.append(f"gymnasium: {type(error).__name__}: {text[0] if text else 'no more is said'}")
    told = dict.fromkeys(_plain(str(warning.message)) for warning in caught)
    report.notes += [f"gymnasium: {text}" for text in told if "infinity" not in text and "symmetric" not in text]


def _plain(text: str) -> str:
    return text.replace("\x1b[33m", "").replace("\x1b[0m", "").removeprefix("WARN: ")


def _spaces(adapter: VectorAdapter, report: Report) -> None:
    names = [f.name if f.width == 1 else f"{f.name} ({_size(f.shape or (f.width,))})" for f in adapter.fields]
    shown = names if len(names) <= 8 else [*names[:8], f"and {len(names) - 8} more"]
    report.facts["observation"] = ", ".join(shown)
    space = adapter.action_space
    report.facts["action"] = str(space)
    how = "a batch of its own" if getattr(adapter.env, "envs", None) is None else "stepped one by one"
    report.facts["autoreset"] = f"{adapter.mode.name}, {how}"
    exact = "bit-identical" if adapter.resumable else "not bit-identical: it cannot give its state"
    report.facts["resume"] = exact
    bare = [f.name for f in adapter.fields if f.name.startswith(("obs_", "part_")) or f.name == "obs"]
    if bare:
        report.notes.append(f"the observation has no names ({bare[0]}, ...): explanations will show numbers")
    flat = isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)) and len(space.shape or ()) == 1
    if not (isinstance(space, spaces.Discrete) or flat):
        report.problems.append(
            f"no learner acts in the space {space}: Discrete, or MultiDiscrete, MultiBinary, Box of one dimension"
        )
    elif isinstance(space, spaces.Box) and not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        report.problems.append("the action space is unbounded: a policy cannot be scaled to it")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def sample(adapter: VectorAdapter) -> npt.NDArray[Any]:
    """Random actions as learners give them; whole objects where no array holds them."""
    space = adapter.action_space
    drawn = [space.sample() for _ in range(adapter.num_envs)]
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return np.asarray(drawn) - space.start
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        return np.asarray(drawn)
    out = np.empty(adapter.num_envs, dtype=object)
    out[:] = drawn
    return out


def _behaviour(adapter: VectorAdapter, steps: int, report: Report) -> bool:
    """Random steps, which go on after a fault; whether one hung."""
    adapter.action_space.seed(0)
    seen: list[Step] = []
    faults: dict[str, EnvironmentFault] = {}
    tries, spent, made = 0, 0.0, 0
    first: dict[str, Any] | None = None
    while made < steps and len(faults) < FAULTS and tries < TRIES:
        start = time.perf_counter()
        try:
            if not adapter.obs or tries:
                adapter.seed += adapter.num_envs * min(tries, 1)
                first = adapter.reset()
            while made < steps:
                step = adapter.step(sample(adapter))
                made += adapter.num_envs
                seen.append(step)
                if len(seen) == 1:  # it may have compiled something
                    start = time.perf_counter()
            spent += time.perf_counter() - start
        except EnvironmentFault as error:
            faults.setdefault(error.what, error)
            tries, made = tries + 1, made + adapter.num_envs
            if "has not returned" in error.what:
                break
    report.problems += [f"{what.removesuffix('.')} ({error.where})" for what, error in faults.items()]
    if seen and first is not None:
        last = [step.final_obs for step in seen if step.final_obs is not step.obs]
        _values(adapter, [first, *[step.obs for step in seen], *last], report)
        _rewards(adapter, np.concatenate([step.reward for step in seen]), report, broken=bool(faults))
        if spent:
            _speed(adapter, len(seen) * adapter.num_envs / spent, report)
    return any("has not returned" in what for what in faults)


def _speed(adapter: VectorAdapter, rate: float, report: Report) -> None:
    report.facts["speed"] = f"about {float(f'{rate:.2g}'):,.0f} steps/s, {adapter.num_envs} at a time in one process"
    if rate < SLOW:
        report.notes.append(f"a million steps take {1e6 / rate / 3600:.1f} h: step it in several processes (workers)")


def _values(adapter: VectorAdapter, seen: list[dict[str, Any]], report: Report) -> None:
    """What never changes, and what leaves the bounds that the space declares."""
    flat = {name: np.concatenate([obs[name] for obs in seen]) for name in adapter.obs}
    for f in adapter.fields:
        values = flat[f.name]
        still = np.flatnonzero(np.ptp(values, axis=0) == 0)
        if f.unit == "one-hot":
            never = [j for j in still if not values[0, j]]
            if never:
                report.notes.append(f"{len(never)} of the {f.width} states of '{f.name}' were never met by random play")
        elif len(still):
            where = f"'{f.name}'" if f.width == 1 else f"{len(still)} of {f.width} values of '{f.name}'"
            report.notes.append(f"{where} never changed in {len(values) - adapter.num_envs} random steps")
    for reader in readers(adapter.env.single_observation_space, adapter.env_id):
        if isinstance(reader.space, spaces.Box) and reader.fields[0].kind != "image":
            _bounds(reader, np.concatenate([flat[f.name] for f in reader.fields], axis=1), report)


def _bounds(reader: Reader, values: npt.NDArray[Any], report: Report) -> None:
    assert isinstance(reader.space, spaces.Box)
    low, high = (bound.ravel().astype(np.float64) for bound in (reader.space.low, reader.space.high))
    slack = 1e-5 * np.maximum(1.0, np.minimum(np.abs(low), np.abs(high)))
    for over, bound, extreme in (
        (values > high + slack, high, values.max(0)),
        (values < low - slack, low, values.min(0)),
    ):
        columns = np.flatnonzero(over.any(0))
        if len(columns):
            j = int(columns[0])
            name = reader.name if len(reader.fields) == 1 else reader.fields[j].name
            report.problems.append(
                f"'{name}' reached {extreme[j]:.4g}, beyond the {bound[j]:.4g} that its space declares"
                + (f" (and {len(columns) - 1} other values)" if len(columns) > 1 else "")
            )


def _rewards(adapter: VectorAdapter, rewards: npt.NDArray[Any], report: Report, broken: bool) -> None:
    """What random play earns, and how it ends."""
    ended = list(adapter.recent)
    if ended:
        returns, lengths = (float(np.mean(column)) for column in zip(*ended, strict=True))
        report.facts["random play"] = f"return {returns:.4g} an episode of {lengths:.4g} steps"
    elif np.ptp(rewards) == 0:
        report.notes.append(f"the reward was always {rewards[0]:g} in {len(rewards)} random steps")
    if np.abs(rewards).max() > 1e4:
        report.notes.append(f"rewards reach {np.abs(rewards).max():.3g}: scale them")
    limited = adapter.env.spec is not None or hasattr(adapter.env.unwrapped, "game")
    if not ended and not limited and not broken:
        report.problems.append(f"no episode ended in {len(rewards)} random steps, and no time limit is registered")


def _repeats(env: Source, adapter: VectorAdapter, report: Report) -> None:
    """Whether the same seed gives the same run: reset again, and made anew."""
    try:
        first = _trace(adapter)
        again = _trace(adapter)
        found = _difference(first, again)
        if found is None and not isinstance(env, (gymnasium.Env, VectorEnv)):
            fresh = make(env, adapter.num_envs, adapter.seed, stepping=PATIENCE)
            try:
                found = _difference(first, _trace(fresh))
            finally:
                fresh.close()
    except PellucidError:
        report.facts["seed"] = "not known: it fails (see below)"
        return
    report.facts["seed"] = "the same run from the same seed" if found is None else "not reproducible"
    if found is not None:
        report.problems.append(
            f"two runs from the same seed differ, first in {found}: take all chance from self.np_random"
        )


def _trace(adapter: VectorAdapter) -> list[dict[str, Any]]:
    adapter.action_space.seed(1)
    found: list[dict[str, Any]] = [dict(adapter.reset())]
    for _ in range(TWICE // adapter.num_envs):
        step = adapter.step(sample(adapter))
        found.append({**step.obs, "reward": step.reward, "end": step.terminated | step.truncated})
    return found


def _difference(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> str | None:
    """The first thing in which two runs differ."""
    for t, (x, y) in enumerate(zip(a, b, strict=True)):
        for name, values in x.items():
            if not np.array_equal(values, y[name]):
                return f"'{name}' {'of the first observation' if t == 0 else f'at step {t}'}"
    return None
