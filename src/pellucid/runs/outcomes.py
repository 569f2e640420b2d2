"""What a policy's return rests on: the same episodes again, with one feature at a time hidden from it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import SpecError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.schema import Grain, Player
from pellucid.core.task import Task
from pellucid.envs.vectorise import make as make_env
from pellucid.evidence.intervals import Interval, mean_interval
from pellucid.explain import Hidden, Outcome
from pellucid.explain.outcome import ANEW, hide
from pellucid.explain.together import Together, joined_players
from pellucid.runs.episodes import Actor, World, own_states
from pellucid.runs.outputs import HELD_OUT
from pellucid.runs.policies import greedy, read_as, rollout, trades
from pellucid.runs.progress import Reporter, Silent, one_thread

DONORS = 1024  # states whose values stand in for hidden ones
DRAWS = 8  # walks along the same days with other draws
BLOCK = 20  # days of a block of the bootstrap, as in the evidence
SOON, PATIENCE = 1000, 20  # an episode is cut so many times later than those with everything seen
Floats = npt.NDArray[np.float64]


def explain_outcome(
    actor: Actor,
    *,
    episodes: int = 50,
    grain: Grain = "field",
    together: Together | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Outcome:
    """Outcomes with each feature hidden, paired with those in which everything is seen.

    Args:
        episodes: on held-out seeds, the same for every feature; days are walked from the first to the last instead.
        grain: features are whole fields, the named lag groups of a series, or parts.
        together: groups of fields that are hidden together, by name.
        seed: of what is drawn in a hidden feature's place, and of the intervals.
    Raises:
        SpecError: fewer than two episodes.
    """
    if episodes < 2:
        raise SpecError(f"{episodes} episodes have no interval.", where="explain_outcome(episodes=...)", mend="give 50")
    reporter = reporter or Silent()
    program, task, world = actor[:3]
    players = joined_players(program.schema.players(task.inputs, grain), together)
    with one_thread():
        donors, _ = own_states(program, task, world, DONORS, seed=seed, avoid=set())
        reporter.stage(f"outcome of {task.name}", len(players))
        if world.days is None:
            seen, hidden, cut = _by_seed(program, task, world, players, donors, episodes, seed, reporter)
            block, pairs, unit = 1, f"episodes on seeds {HELD_OUT} to {HELD_OUT + episodes - 1}", "return of an episode"
        else:
            days = _reviewed(world)
            (seen, hidden), cut = _by_day(program, task, replace(world, days=days), players, donors, seed), 0
            block, unit = BLOCK, "return of a day" if trades(task) else "reward of a day"
            which = "the review rows" if len(days) < len(world.days) else "all of them, training rows among them"
            pairs = f"days, {which}, walked {DRAWS} times"
    whole = mean_interval(seen, block=block, seed=seed, name="outcome/seen")
    entries = [_entry(p.name, seen, other, block, seed) for p, other in zip(players, hidden, strict=True)]
    warnings = (f"{cut} episodes with a hidden feature had no end and were cut",) if cut else ()
    return Outcome(
        task=task.name,
        env=world.env,
        unit=unit,
        seen=whole.value,
        low=whole.low,
        high=whole.high,
        hidden=tuple(sorted(entries, key=lambda one: one.change)),
        n=len(seen),
        pairs=pairs,
        hiding=ANEW.format(n=len(donors)),
        method=f"paired differences; {whole.method}",
        seed=seed,
        warnings=warnings,
    )


def _entry(name: str, seen: Floats, hidden: Floats, block: int, seed: int) -> Hidden:
    found: Interval = mean_interval(hidden - seen, block=block, seed=seed, name=f"outcome/{name}")
    return Hidden(name, float(hidden.mean()), found.value, found.low, found.high)


def _by_seed(
    program: Program,
    task: Task,
    world: World,
    players: list[Player],
    donors: Rows,
    episodes: int,
    seed: int,
    reporter: Reporter,
) -> tuple[Floats, list[Floats], int]:
    """Returns of the same seeds with everything seen and with each player hidden; how many episodes were cut."""
    seeds, choose, named = range(HELD_OUT, HELD_OUT + episodes), greedy(program, task), read_as(program, task)
    how: dict[str, Any] = {"options": world.options, "clock": world.clock, "keep": 1}
    whole = rollout(world.env, choose, seeds, **how)
    limit, cut, found = int(max(SOON, PATIENCE * whole.lengths.max())), 0, []
    for done, player in enumerate(players, start=1):
        calls = count()  # given environments are played in waves: every call draws anew

        def blind(obs: dict[str, Any], step: int, player: Player = player, calls: Any = calls) -> Any:
            return choose(hide(named(obs), player, donors, seed, next(calls)), step)

        other = rollout(world.env, blind, seeds, limit=limit, **how)
        cut += int((other.lengths >= limit).sum())
        found.append(other.returns)
        reporter.advance(done)
    return whole.returns, found, cut


def _by_day(
    program: Program, task: Task, world: World, players: list[Player], donors: Rows, seed: int
) -> tuple[Floats, list[Floats]]:
    """Rewards of the same days, walked once with everything seen and `DRAWS` times with each player hidden."""
    days, choose, named = world.days, greedy(program, task), read_as(program, task)
    assert days is not None
    options = {name: value for name, value in world.options.items() if name != "episode_days"}
    n = 1 + DRAWS * len(players)
    env = make_env(world.env, n, 0, {**options, "random_start": False, "rows": days}, own_seeds=True)
    blind = [slice(1 + i * DRAWS, 1 + (i + 1) * DRAWS) for i in range(len(players))]
    rewards = np.empty((len(days) - 1, n))
    try:
        obs = env.reset()
        for t in range(len(rewards)):
            shown = {name: np.array(values) for name, values in named(obs).items()}
            for player, rows in zip(players, blind, strict=True):
                part = {name: values[rows] for name, values in shown.items()}
                for name, values in hide(part, player, donors, seed, t).items():
                    shown[name][rows] = values
            step = env.step(choose(shown, t))
            rewards[t], obs = step.reward, step.obs
    finally:
        env.close()
    return rewards[:, 0].copy(), [rewards[:, rows].mean(1) for rows in blind]


def _reviewed(world: World) -> Rows:
    """The days that the program was not trained on; all, where too few are left."""
    assert world.days is not None
    known = set() if world.known is None else {str(key) for key in world.known.keys}
    rest = world.days.take(np.asarray([str(key) not in known for key in world.days.keys]))
    return rest if len(rest) > 2 * BLOCK else world.days
