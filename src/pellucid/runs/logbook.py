"""The log of a training: `progress.csv` in the shape of Stable-Baselines3, and TensorBoard's events beside it.

    DIR/<program>_<n>/progress.csv                     an environment alone
    DIR/<program>_<n>/<stage>[/<task>]/progress.csv    folds, several tasks

One row per rollout, or per so many updates. Resuming goes on in the same folder: rows that the checkpoint knows
nothing of are dropped from the CSV, and the events are written anew from it, so that no step appears twice.
"""

from __future__ import annotations

import csv
import json
import math
import time
from pathlib import Path
from typing import Any

from pellucid.core.errors import MissingExtra, require
from pellucid.runs.callbacks import Callback, Metrics, Training
from pellucid.runs.tags import settings, tagged
from pellucid.store.files import make_folder, translated, write_atomic
from pellucid.train.learner import Learner

ROWS = 500  # about as many rows at most: a curve of more points looks the same
CSV_ONLY = ("time/iterations", "time/time_elapsed", "time/total_timesteps", "time/episodes", "train/n_updates")
Row = dict[str, float]


def tensorboard_missing() -> MissingExtra | None:
    """Why there are no events; None when there are."""
    try:
        require("tensorboard", extra="track", purpose="a TensorBoard log (progress.csv is written all the same)")
    except MissingExtra as error:
        return error
    return None


class LogFile:
    """One task's curves: a CSV, and events when TensorBoard is installed.

    Args:
        folder: of both.
        keep: rows of an earlier process that stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.path = folder / "progress.csv"
        self.rows: list[Row] = _read(self.path)[:keep]
        self.columns = list(dict.fromkeys(tag for row in self.rows for tag in row))
        make_folder(folder)
        with translated("write", self.path):
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
        self._rewrite()
        self._events: Any = None
        if tensorboard_missing() is None:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(log_dir=str(folder))
            last = self.rows[-1]["time/time_elapsed"] if self.rows else 0.0
            for row in self.rows:
                self._emit(row, time.time() - last + row["time/time_elapsed"])

    def write(self, row: Row) -> None:
        """One more row."""
        self.rows.append(row)
        new = [tag for tag in row if tag not in self.columns]
        if new:
            self.columns += new
            self._rewrite()
        else:
            with translated("write", self.path), self.path.open("a", newline="") as file:
                file.write(_line([_text(row.get(tag)) for tag in self.columns]))
        self._emit(row, None)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _emit(self, row: Row, when: float | None) -> None:
        if self._events is None:
            return
        step = int(row.get("time/total_timesteps", row["train/n_updates"]))
        for tag, value in row.items():
            if tag not in CSV_ONLY:
                self._events.add_scalar(tag, value, step, walltime=when)
        self._events.flush()

    def _rewrite(self) -> None:
        lines = [self.columns, *([_text(row.get(tag)) for tag in self.columns] for row in self.rows)]
        write_atomic(self.path, "".join(map(_line, lines)).encode() if self.columns else b"")


class TaskLog:
    """Gathers the metrics of one learner and writes a row when it is time.

    Args:
        every: updates between rows, at least.
        state: of an earlier process.
    """

    def __init__(self, learner: Learner, folder: Path, every: int, state: dict[str, Any] | None) -> None:
        state = state or {"rows": 0, "sums": {}, "count": 0, "steps": 0, "rounds": 0, "last": 0, "rollout": {}}
        self.learner, self.every = learner, every
        self.file = LogFile(folder, int(state["rows"]))
        self._sums: dict[str, float] = dict(state["sums"])
        self._count, self._rounds = int(state["count"]), int(state["rounds"])
        self._steps, self._last = int(state["steps"]), int(state["last"])
        self._rollout: dict[str, float] = dict(state["rollout"])  # of the rollout that is being learned from

    def get_state(self) -> dict[str, Any]:
        return {
            "rows": len(self.file.rows),
            "sums": dict(self._sums),
            "count": self._count,
            "steps": self._steps,
            "rounds": self._rounds,
            "last": self._last,
            "rollout": self._rollout,
        }

    def update(self, run: Training, metrics: dict[str, float]) -> None:
        """As SB3 does, a row holds the new rollout and the updates before it: this update belongs to the next row."""
        steps = run.steps_of(self.learner)
        if not steps:
            self._add(metrics)
            if run.update % self.every == 0:
                self.row(run, run.update)
            return
        if steps != self._steps:
            self._steps = steps
            self._rounds += 1
            if self._rounds == 1 or run.update - self._last >= self.every:
                self.row(run, run.update - 1)
            self._rollout = dict(getattr(self.learner, "rollout_metrics", {}))
        self._add(metrics)

    def _add(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def row(self, run: Training, updates: int) -> None:
        """Write what was gathered."""
        row: Row = {}
        met, count = run.met(self.learner), max(1, self._count)
        if met is not None:
            if met.recent:
                row |= {"rollout/ep_rew_mean": met.episode_return, "rollout/ep_len_mean": met.episode_length}
            row |= {"time/fps": int(run.steps_per_s), "time/iterations": self._rounds, "time/episodes": met.episodes}
            row["time/total_timesteps"] = met.steps
        row |= {"time/time_elapsed": round(run.seconds, 3), "train/n_updates": updates}
        if self._count:
            row |= tagged(self.learner.task, {name: total / count for name, total in self._sums.items()})
            row |= {f"train/{name}": value for name, value in self._rollout.items()}
            row |= settings(self.learner, float(run.assembly.trainer.optimiser.param_groups[0]["lr"]))
        row |= run.recorded
        run.recorded.clear()
        self.file.write({tag: value for tag, value in row.items() if math.isfinite(value)})
        self._sums, self._count, self._last = {}, 0, run.update

    def finish(self, run: Training) -> None:
        """The rest, and no more."""
        if self._count:
            self.row(run, run.update)
        self.file.close()


class Logbook(Callback):
    """Logs every stage of a fit.

    Args:
        folder: DIR.
        program: names the subfolder.
        marker: a file of the run in which the subfolder is remembered, so that resuming finds it.
        resume: go on in the remembered subfolder.
    """

    def __init__(self, folder: str | Path, program: str, marker: Path, *, resume: bool) -> None:
        self.folder = _chosen(Path(folder).resolve(), program, marker, resume)
        self._logs: dict[str, TaskLog] = {}
        self._resumed: dict[str, Any] = {}

    def on_start(self, run: Training) -> None:
        """Open the files of this stage."""
        base = self.folder if run.stage == "fit" else self.folder / run.stage.replace(" ", "-")
        learners, every = run.assembly.learners, max(1, run.updates // ROWS)
        self._logs = {}
        for learner in learners:
            name = learner.task.name
            folder = base if len(learners) == 1 else base / name
            self._logs[name] = TaskLog(learner, folder, every, self._resumed.get(name))
        self._resumed = {}

    def on_update(self, run: Training, metrics: Metrics) -> bool | None:
        """Gather; now and then, a row."""
        for task, values in metrics.items():
            self._logs[task].update(run, values)
        return None

    def on_end(self, run: Training) -> None:
        """The last row."""
        for log in self._logs.values():
            log.finish(run)

    def get_state(self) -> dict[str, Any]:
        """What a resumed log must know, by task."""
        return {name: log.get_state() for name, log in self._logs.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Before `on_start`."""
        self._resumed = state


def _chosen(folder: Path, program: str, marker: Path, resume: bool) -> Path:
    """The subfolder of an interrupted run, or a new number."""
    if resume and marker.exists():
        before = Path(json.loads(marker.read_text())["folder"])
        if before.parent == folder:
            return before
    taken = [int(p.name.rpartition("_")[2]) for p in folder.glob(f"{program}_*") if p.name.rpartition("_")[2].isdigit()]
    found = folder / f"{program}_{max(taken, default=0) + 1}"
    make_folder(found)
    write_atomic(marker, json.dumps({"folder": str(found)}).encode())
    return found


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{tag: _number(text) for tag, text in row.items() if text} for row in csv.DictReader(file)]


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _text(value: float | None) -> str:
    return "" if value is None else str(value)


def _line(cells: list[str]) -> str:
    return ",".join(cells) + "\n"
