"""The outputs table of a program on rows: the raw material of evidence and of every later diff.

One row per key: the target, every output, the task's loss on that row, and the decision that the program takes
there. A diff joins two such tables on their keys and never runs old code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.labels import label_texts
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.evidence.metrics import median_rank, probabilities, row_losses, with_scale
from pellucid.nn.outputs import choices, likeliest
from pellucid.runs.policies import POSITION, action_dimension, forecasts, greedy, replay_policy, rollout, trades

PIECE = 4096  # rows answered together: an ensemble's activations take 8 kB a row and layer
HELD_OUT = 1_000_003  # first seed of held-out episodes, far from any training seed


def outputs_table(program: Program, task: Task, rows: Rows | None, *, episodes: int = 100) -> pd.DataFrame:
    """Outputs, losses and decisions of a task.

    Args:
        rows: the rows to answer for; consecutive days when the task trades them. None for an environment: every row
            is then one greedy episode on a held-out seed. A policy on bare observations has decisions but no loss.
    Returns:
        columns key, [time], y, loss, decision, and `out:<name>` per output.
    """
    if rows is None:
        return _episodes(program, task, episodes)
    if trades(task):
        return _traded(program, task, rows)
    if forecasts(task):
        return _forecast(program, task, rows)
    if task.kind == "horizons":
        return _ahead(program, task, rows)
    y = rows.targets.get(str(task.options.get("target", task.name)))
    outputs = answers(program, task, rows)
    known = _known(y, len(rows))
    loss = np.full(len(rows), np.nan)
    if y is not None and known.any():
        loss[known] = row_losses(task, y[known], outputs[known])
    return _table(rows, y, loss, decisions(task, outputs, rows), task, outputs)


def answers(program: Program, task: Task, rows: Rows) -> npt.NDArray[np.float64]:
    """Outputs of a task, shape (n, k); many rows in pieces, so that their activations are never all in memory."""
    pieces = [slice(i, i + PIECE) for i in range(0, max(1, len(rows)), PIECE)]
    found = [program(program.encode(rows.take(piece)), task.name).double().cpu().numpy() for piece in pieces]
    return found[0] if len(found) == 1 else np.concatenate(found)


def _known(y: npt.NDArray[Any] | None, n: int) -> npt.NDArray[np.bool_]:
    if y is None:
        return np.zeros(n, dtype=np.bool_)
    if y.dtype.kind == "f":
        return np.asarray(np.isfinite(y), dtype=np.bool_)
    return np.ones(n, dtype=np.bool_)


def decisions(task: Task, outputs: npt.NDArray[Any], rows: Rows) -> npt.NDArray[np.str_]:
    """What a person would act on: the (median) class, the labels, the sign of the median, whether volatility rises."""
    if task.kind == "multilabel":
        return label_texts(outputs > 0, task.options["classes"])
    if task.kind == "ordinal":
        ranks: npt.NDArray[np.str_] = np.asarray(task.options["classes"], dtype=np.str_)[median_rank(outputs)]
        return ranks
    if task.kind == "classify":
        classes = np.asarray(task.options["classes"], dtype=np.str_)
        chosen: npt.NDArray[np.str_] = classes[probabilities(outputs, task).argmax(1)]
        return chosen
    if task.kind == "forecast":
        return np.where(outputs[:, outputs.shape[1] // 2] > 0, "up", "down")
    if task.kind == "volatility":
        return np.where(outputs[:, 0] > 2.0 * np.log(rows.extra["sigma"]), "rising", "falling")
    if task.kind == "control" and task.options.get("space") == "discrete":
        names = task.options.get("action_names") or list(task.outputs[: action_dimension(task)])
        picked: npt.NDArray[np.str_] = np.asarray(names, dtype=np.str_)[outputs[:, : len(names)].argmax(1)]
        return picked
    if task.kind == "control" and task.options.get("space") == "multi_discrete":
        parts = choices(task)
        chosen = likeliest(outputs[:, : sum(parts)], parts) + np.cumsum((0, *parts[:-1]))
        words = np.asarray(task.options["action_names"], dtype=np.str_)[chosen]
        return np.asarray([", ".join(row) for row in words], dtype=np.str_)
    return np.full(len(rows), "")


def _table(rows: Rows, y: Any, loss: Any, decision: Any, task: Task, outputs: npt.NDArray[Any]) -> pd.DataFrame:
    columns: dict[str, Any] = {"key": rows.keys.astype(str)}
    if rows.times is not None:
        columns["time"] = rows.times.astype("datetime64[ns]")
    if y is not None:
        columns["y"] = y.astype(str) if np.asarray(y).dtype.kind in "OUS" else y
    columns |= {"loss": loss, "decision": decision}
    columns |= {f"out:{name}": outputs[:, j] for j, name in enumerate(task.outputs)}
    return pd.DataFrame(columns)


def _traded(program: Program, task: Task, rows: Rows) -> pd.DataFrame:
    replay = replay_policy(program, task, rows)
    names = np.asarray(task.options["action_names"], dtype=np.str_)
    frame = _table(rows, rows.extra["next_return"], -replay.net, names[replay.action], task, replay.outputs)
    frame["position"] = POSITION[replay.action]
    return frame


def _forecast(program: Program, task: Task, rows: Rows) -> pd.DataFrame:
    """A step of `StockPrice` is a row: minus the squared error of the forecast, in percent squared."""
    y = rows.targets[str(task.options["target"])]
    outputs = program(program.encode(rows), task.name).double().cpu().numpy()
    action = np.clip(outputs[:, 0], *task.options["low"], *task.options["high"])
    loss = (100.0 * y - action) ** 2
    return _table(rows, y, loss, np.where(action > 0, "up", "down"), task, outputs)


def _ahead(program: Program, task: Task, rows: Rows) -> pd.DataFrame:
    """Steps ahead of series: `y` is the first of them, the decision whether the last one will lie higher than now."""
    outputs, y = answers(program, task, rows), rows.targets.get(str(task.options["target"]))
    loss = np.full(len(rows), np.nan)
    if y is not None:
        loss = row_losses(task, with_scale(y, rows.extra["error_scale"]), outputs)
    levels = list(task.options["quantiles"])
    last = outputs[:, levels.index(0.5) - len(levels)]
    decision = np.where(last > rows.extra["value"], "up", "down")
    return _table(rows, None if y is None else y[:, 0], loss, decision, task, outputs)


def _episodes(program: Program, task: Task, episodes: int) -> pd.DataFrame:
    seeds = range(HELD_OUT, HELD_OUT + episodes)
    options, clock = task.options.get("env_options"), task.options.get("clock")
    found = rollout(task.options["env"], greedy(program, task), seeds, options=options, clock=clock)
    return pd.DataFrame(
        {
            "key": [f"{task.options['env']}/seed={seed}" for seed in seeds],
            "loss": -found.returns,
            "decision": [f"{length:.0f} steps" for length in found.lengths],
            "out:return": found.returns,
        }
    )
