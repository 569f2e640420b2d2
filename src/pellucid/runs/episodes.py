"""A policy's own episodes: played, recorded, and explained against states that it visits itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pellucid.core.errors import PellucidError, SpecError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.envs.vectorise import make as make_env
from pellucid.explain import Course, EpisodeExplanation, explain_course
from pellucid.explain.game import declared_task
from pellucid.runs.artefact import load_program, load_spec
from pellucid.runs.explained import content, kept_as, question
from pellucid.runs.explaining import own_rows, pick
from pellucid.runs.outputs import HELD_OUT
from pellucid.runs.policies import greedy, on_rows, read_as, rollout, trades, visited
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.spec.model import ControlTask
from pellucid.store.store import Store

BACKGROUND = 50  # states of a background: 250 days of a trading policy are explained in less than two seconds
STEPS = 2_000  # after which an episode without an end is cut
OWN_SEEDS = HELD_OUT - 1000  # of the episodes that backgrounds are drawn from
FEW, MANY = 8, 64  # so many episodes at a time, and at most, where these are short


@dataclass(frozen=True)
class World:
    """Where a policy plays.

    Args:
        env: an id, or the name of an object that was given.
        options: keyword arguments of the environment.
        clock: the field that holds the number of the step, where the policy reads it.
        days: rows that the environment walks along, where it is made of the program's own prices; `known` are those of
            them that backgrounds may be drawn from.
    """

    env: str
    options: dict[str, Any] = field(default_factory=dict)
    clock: str | None = None
    days: Rows | None = None
    known: Rows | None = None


def policy_of(program: Program, name: str | None) -> Task:
    """The task of that name, or the first that takes actions.

    Raises:
        SchemaError: no such task.
        SpecError: it takes no actions.
    """
    acting = [task.name for task in program.tasks.values() if task.kind == "control"]
    found = declared_task(program, name or next(iter(acting or program.tasks)), where="explain an episode")
    if found.kind != "control":
        raise SpecError(
            f"'{found.name}' takes no actions, so it has no episodes.",
            where="explain an episode",
            mend=f"name a policy: {', '.join(acting)}" if acting else "explain rows of it instead: explain(rows)",
        )
    return found


def world_of(task: Task, env: str | None = None) -> World:
    """The environment of a task, or another one.

    Raises:
        SpecError: there is none.
    """
    name = env or task.options.get("env")
    if name is None:
        raise SpecError(
            f"no environment is known of '{task.name}'.",
            where="explain an episode",
            mend="give one: env='CartPole-v1', an Env, a VectorEnv or a callable",
        )
    options = {} if env is not None else dict(task.options.get("env_options") or {})
    return World(str(name), options, task.options.get("clock"))


class Actor(NamedTuple):
    """A policy with the world in which it plays.

    Args:
        seed: the program's own.
        keep: where explanations are kept, a store and the SHA-256 of the version; None: nowhere.
    """

    program: Program
    task: Task
    world: World
    seed: int = 0
    keep: tuple[Store, str] | None = None


def actor_of(store: Store, ref: str, task: str | None, source: Any = None) -> Actor:
    """The policy of a version in a store, in its own environment or on its own prices."""
    entry = store.resolve(ref)
    program, spec = load_program(store, entry), load_spec(store, entry)
    declared = policy_of(program, task)
    world = world_of(declared)
    if not on_rows(declared):
        return Actor(program, declared, world, spec.seed, (store, entry.sha))
    days = own_rows(program, spec, source)
    assert days is not None  # such a task has rows
    how = spec.tasks[declared.name]
    options: dict[str, Any] = {**world.options, "random_start": True}
    if isinstance(how, ControlTask) and how.episode_days is not None and how.episode_days < len(days):
        options["episode_days"] = how.episode_days
    if trades(declared):
        options["cost_bps"] = declared.options["cost_bps"]
    reviewed = set(store.review_keys(entry.name) or ())
    first = next((i for i, key in enumerate(days.keys) if str(key) in reviewed), len(days))
    known = days.take(slice(0, first))
    world = replace(world, options=options, days=days, known=known)
    return Actor(program, declared, world, spec.seed, (store, entry.sha))


def explain_episode(
    actor: Actor,
    *,
    seed: int = 0,
    at: str | None = None,
    background: int = BACKGROUND,
    steps: int = STEPS,
    draws: int = 0,
    reporter: Reporter | None = None,
    **options: Any,
) -> EpisodeExplanation:
    """One greedy episode, explained step by step.

    It is played in any case; where the actor keeps answers, an episode and background that have been explained before
    are not explained again.

    Args:
        seed: of the episode.
        at: the day on which it begins, where the environment walks along days.
        background: how many states of its own it is compared with.
        steps: after which it is cut.
        draws: seed of the background and the estimator.
        options: of `explain.explain_course`.
    Raises:
        SpecError: no step, or no state to compare with.
        DataError: no such day.
    """
    if steps < 1 or background < 1:
        raise SpecError(
            f"steps={steps}, background={background} leave nothing.",
            where="explain_episode(...)",
            mend="give 1 or more",
        )
    reporter = reporter or Silent()
    program, task, world = actor[:3]
    with one_thread():
        course = play(program, task, world, seed, steps, at)
        avoid = set(course.states.keys.tolist()) if world.days is not None else set()
        reference, told = own_states(program, task, world, background, seed=draws, avoid=avoid, played=seed)
        reporter.stage(f"explain {task.name}", len(course.states))
        asked: dict[str, Any] = {"told": told, "seed": draws, **options}
        compute = partial(
            explain_course,
            program,
            task.name,
            course,
            background=reference,
            progress=lambda done, _: reporter.advance(done),
            **asked,
        )
        return _kept_or(actor, course, reference, asked, compute)


def _kept_or(
    actor: Actor, course: Course, reference: Rows, asked: dict[str, Any], compute: Callable[[], EpisodeExplanation]
) -> EpisodeExplanation:
    """The kept answer about these steps against these states, else the computed one; nothing is kept by the clock."""
    if actor.keep is None or asked.get("seconds") is not None:
        return compute()
    store, version = actor.keep
    played = {"env": course.env, "seed": course.seed, "end": course.end}
    played |= {"actions": course.actions.tolist(), "rewards": course.rewards.tolist()}
    name = question(version, actor.task.name, course.states, content(reference), {**asked, "played": played})
    return kept_as(store, name, EpisodeExplanation.from_json, compute, _whole)


def _whole(found: EpisodeExplanation) -> bool:
    return not any(warning.startswith("interrupted") for warning in found.outputs.warnings)


def play(program: Program, task: Task, world: World, seed: int, steps: int, at: str | None = None) -> Course:
    """A greedy episode, recorded."""
    days, options = _days(world, at)
    env = make_env(world.env, 1, seed, {**options, **({} if days is None else {"rows": days})}, own_seeds=True)
    choose, named = greedy(program, task), read_as(program, task)
    seen: list[dict[str, Any]] = []
    keys, actions, rewards, end = [], [], [], "cut"
    try:
        obs = env.reset()
        for t in range(steps):
            if world.clock is not None:
                obs = {**obs, world.clock: np.full((1, 1), t, dtype=np.float32)}
            seen.append(named(obs))
            day = None if days is None else days.keys[int(env.info["row"][0])]
            keys.append(f"{world.env}/seed={seed}/step={t}" if day is None else str(day))
            action = choose(obs, t)
            step = env.step(action)
            actions.append(np.asarray(action)[0])
            rewards.append(float(step.reward[0]))
            obs = step.obs
            if step.terminated[0] or step.truncated[0]:
                end = "terminated" if step.terminated[0] else "truncated"
                break
    finally:
        env.close()
    fields = {name: np.concatenate([s[name] for s in seen]) for name in task.inputs}
    return Course(
        Rows(np.asarray(keys, dtype=np.str_), fields), np.stack(actions), np.asarray(rewards), world.env, seed, end
    )


def _days(world: World, at: str | None) -> tuple[Rows | None, dict[str, Any]]:
    """The days to walk along, and the environment's options: from a given day on, else anywhere."""
    if at is None:
        return world.days, world.options
    if world.days is None:
        raise SpecError(
            f"'{world.env}' does not walk along days.", where="at", mend="leave it out: the seed says which episode"
        )
    first = str(pick(world.days, [at]).keys[0])
    rest = world.days.take(slice([str(key) for key in world.days.keys].index(first), None))
    options = {**world.options, "random_start": False}
    if options.get("episode_days", 0) >= len(rest):
        options["episode_days"] = max(1, len(rest) - 1)
    return rest, options


def own_states(
    program: Program, task: Task, world: World, count: int, *, seed: int, avoid: set[str], played: int | None = None
) -> tuple[Rows, str]:
    """(states that the policy visits, what they are in a sentence).

    Args:
        avoid: keys of days that are left out.
        played: a seed that is left out.
    """
    if world.days is not None:
        known = world.known if world.known is not None and len(world.known) else world.days
        walked = visited(program, task, known) if trades(task) else known
        rest = walked.take(np.asarray([str(key) not in avoid for key in walked.keys]))
        pool = replace(rest if len(rest) else walked, targets={}, times=None, extra={})
        before = "before the review rows " if len(known) < len(world.days) else ""
        told = f"of the {len(pool):,} days {before}on which it was walked greedily"
        told += ", the explained ones left out" if len(rest) < len(walked) else ""
    else:
        pool, told = _pool(program, task, world, count, played)
    chosen = np.sort(stream(seed, "background/episode").permutation(len(pool))[:count])
    return pool.take(chosen), f"{len(chosen)} {told}"


def _pool(program: Program, task: Task, world: World, count: int, played: int | None) -> tuple[Rows, str]:
    """States of greedy episodes, a few at a time until there are enough to choose from."""
    choose, named = greedy(program, task), read_as(program, task)
    first = OWN_SEEDS + MANY if played in range(OWN_SEEDS, OWN_SEEDS + MANY) else OWN_SEEDS
    found: list[Rows] = []
    while len(found) < MANY // FEW and sum(map(len, found)) < 2 * count:
        seeds = range(first + FEW * len(found), first + FEW * (len(found) + 1))
        how: dict[str, Any] = {"options": world.options, "clock": world.clock, "keep": 8 * count, "limit": STEPS}
        found.append(rollout(world.env, choose, seeds, **how).states)
    fields = {name: np.concatenate([rows.fields[name] for rows in found]) for name in found[0].fields}
    pool = Rows(np.concatenate([rows.keys for rows in found]), named(fields))
    return pool, f"of the states of its own greedy episodes in {world.env}, seeds {first} to {seeds.stop - 1}"


def reported(store: Store, ref: str, program: Program, source: Any = None) -> list[dict[str, Any]]:
    """Of each policy the first episode that the evidence counts, explained, as JSON; {"task", "note"} without one."""
    found: list[dict[str, Any]] = []
    for task in program.tasks.values():
        if task.kind != "control":
            continue
        try:
            found.append(explain_episode(actor_of(store, ref, task.name, source), seed=HELD_OUT).to_json())
        except PellucidError as error:
            found.append({"task": task.name, "note": error.what})
    return found
