"""What a learned policy does: replayed over prices, or rolled out on held-out seeds of an environment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.core.errors import SchemaError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.envs.making import room
from pellucid.envs.vectorise import VectorAdapter
from pellucid.envs.vectorise import make as make_env
from pellucid.evidence.finance import replay
from pellucid.nn.outputs import choices, likeliest

Floats = npt.NDArray[np.float64]
States = tuple[str, dict[str, Any]]  # a key, and the observation that was met there
POSITION = np.array([-1.0, 0.0, 1.0])  # of actions 0, 1, 2


def trades(task: Task) -> bool:
    """The task trades the program's own price rows (positions, costs), so it is replayed instead of rolled out."""
    return "cost_bps" in task.options


def forecasts(task: Task) -> bool:
    """The task's actions are forecasts for the program's own price rows (`StockPrice`): every row is a whole step."""
    return task.kind == "control" and "target" in task.options


def on_rows(task: Task) -> bool:
    """The task is judged row by row; otherwise by episodes of an environment that is not made of the rows."""
    return task.kind != "control" or trades(task) or forecasts(task)


@dataclass(frozen=True)
class Replay:
    """A greedy pass over consecutive days.

    Args:
        action: chosen after close t, shape (n,).
        held: position held from close t on (before the fill), shape (n,).
        net: reward of the step t -> t+1 after costs, shape (n,); NaN on a day whose next return is unknown.
        outputs: of the program at the state it was in, shape (n, k).
    """

    action: npt.NDArray[np.int64]
    held: Floats
    net: Floats
    outputs: Floats


def with_position(rows: Rows, position: npt.ArrayLike) -> Rows:
    """Price rows as states of a trading policy."""
    held = np.broadcast_to(np.asarray(position, dtype=np.float64), (len(rows),)).reshape(-1, 1).copy()
    return replace(rows, fields={**rows.fields, "position": held})


def replay_policy(program: Program, task: Task, rows: Rows) -> Replay:
    """Act greedily from a flat position through consecutive rows.

    The position is the only part of the state that depends on the past actions and has three values, so the program
    is called once for all days and positions, and the walk itself is a table look-up.
    """
    outputs = np.stack(
        [program(program.encode(with_position(rows, p)), task.name).double().cpu().numpy() for p in POSITION]
    )
    best = outputs[:, :, :3].argmax(2)
    action = np.empty(len(rows), dtype=np.int64)
    state = np.empty(len(rows), dtype=np.int64)
    at = 1  # flat
    for t in range(len(rows)):
        state[t] = at
        at = int(best[at, t])
        action[t] = at
    following = rows.extra["next_return"]
    net = replay(POSITION[action], np.nan_to_num(following), task.options["cost_bps"] * 1e-4)
    net[~np.isfinite(following)] = np.nan
    return Replay(action, POSITION[state], net, outputs[state, np.arange(len(rows))])


def visited(program: Program, task: Task, rows: Rows) -> Rows:
    """The states that a trading policy visits on these rows."""
    return with_position(rows, replay_policy(program, task, rows).held)


@dataclass(frozen=True)
class Rollout:
    """Greedy (or sampled, or constant) episodes, one per seed.

    Args:
        returns: undiscounted, shape (episodes,).
        lengths: steps, shape (episodes,).
        states: a sample of visited observations as rows, keyed `<env>/seed=<s>/step=<t>`.
    """

    returns: Floats
    lengths: Floats
    states: Rows


def rollout(
    env_id: str,
    choose: Any,
    seeds: range,
    *,
    options: dict[str, Any] | None = None,
    clock: str | None = None,
    keep: int = 256,
    limit: int = 100_000,
) -> Rollout:
    """Run one episode per seed, all together; an environment that was given as an object has less room: in waves.

    Args:
        env_id: Gymnasium id, or the name of an object that was given.
        choose: (observations as dict of arrays (n, w), step) -> actions (n,) or (n, k).
        seeds: one environment each; held-out seeds are far from those of training.
        clock: name under which `choose` is told the steps so far beside each observation, if it is.
        keep: visited states kept (evenly spread over the steps of the first environments).
        limit: steps after which unfinished episodes are cut.
    """
    n = len(seeds)
    n_envs = room(env_id) or n
    env = make_env(env_id, n_envs, seeds.start, options or {}, own_seeds=True)
    returns, lengths = np.zeros(n), np.zeros(n)
    kept: list[States] = []
    try:
        for first in range(0, n, n_envs):
            wave = slice(first, min(first + n_envs, n))
            env.seed, watched = seeds[first], max(0, 8 - first)
            returns[wave], lengths[wave] = _play(env, env_id, choose, seeds[wave], watched, kept, clock, limit)
    finally:
        env.close()
    chosen = [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, min(keep, len(kept))).astype(int))]
    states = Rows(
        np.asarray([key for key, _ in chosen], dtype=np.str_),
        {k: np.stack([state[k] for _, state in chosen]) for k in chosen[0][1]},
    )
    return Rollout(returns, lengths, states)


def _play(
    env: VectorAdapter,
    name: str,
    choose: Any,
    seeds: range,
    watched: int,
    kept: list[States],
    clock: str | None,
    limit: int,
) -> tuple[Floats, Floats]:
    """(returns, lengths) of one episode per seed; states of the first `watched` are added to `kept`."""
    n, obs = env.num_envs, env.reset()
    returns, lengths = np.zeros(n), np.zeros(n)
    running = np.arange(n) < len(seeds)  # the last wave may need fewer environments than there are
    for t in range(limit):
        if clock is not None:
            obs = {**obs, clock: np.full((n, 1), t, dtype=np.float32)}
        for i in np.flatnonzero(running[:watched]):
            kept.append((f"{name}/seed={seeds[i]}/step={t}", {k: v[i] for k, v in obs.items()}))
        step = env.step(choose(obs, t))
        live = running & step.valid
        returns += np.where(live, step.reward, 0.0)
        lengths += live
        running &= ~(live & (step.terminated | step.truncated))
        obs = step.obs
        if not running.any():
            break
    return returns[: len(seeds)], lengths[: len(seeds)]


def action_dimension(task: Task) -> int:
    """Number of discrete actions, or of dimensions; the last output of a control task is the value."""
    return int(task.options.get("actions", len(task.outputs) - 1))


def greedy(program: Program, task: Task) -> Any:
    """The program as a `choose` of `rollout`: the likeliest action, or the mean action.

    A policy from elsewhere may call the observed values otherwise than the environment does: then they are taken in
    order.
    """

    actions, named = action_dimension(task), read_as(program, task)

    def choose(obs: dict[str, Any], _: int) -> Any:
        n = len(next(iter(obs.values())))
        rows = Rows(np.full(n, ""), named(obs))
        with torch.no_grad():
            outputs = program(program.encode(rows), task.name)[:, :actions]
        if task.options["space"] != "box":
            return likeliest(outputs.cpu().numpy(), choices(task))
        low, high = task.options["low"], task.options["high"]
        return np.clip(outputs.cpu().numpy(), low, high).astype(np.float32)

    return choose


def read_as(program: Program, task: Task) -> Any:
    """A function from observations to the task's inputs: by name, else in order."""
    widths = [program.schema[name].width for name in task.inputs]

    def named(obs: dict[str, Any]) -> dict[str, Any]:
        if all(name in obs for name in task.inputs):
            return obs
        values = np.concatenate(list(obs.values()), axis=1)
        if values.shape[1] != sum(widths):
            raise SchemaError(
                f"the policy reads {sum(widths)} values ({', '.join(task.inputs)}), the environment gives "
                f"{values.shape[1]} ({', '.join(obs)}).",
                where=f"environment of task '{task.name}'",
                mend="judge the policy in the environment that it was learned in",
            )
        return dict(zip(task.inputs, np.split(values, np.cumsum(widths)[:-1], axis=1), strict=True))

    return named
