"""The log: SB3's tags and columns, read back from the files; resumed, no row is there twice."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stable_baselines3
from stable_baselines3.common.logger import configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pellucid.assemble import assemble, problem
from pellucid.core.errors import TrainingFault
from pellucid.nn.delta import parameters_sha
from pellucid.runs import logbook, stages
from pellucid.runs.progress import Silent, one_thread
from pellucid.runs.stages import Run
from pellucid.spec.loader import spec_from
from pellucid.spec.model import Spec
from pellucid.spec.presets import env_spec

SMALL = ("train.updates=40", "train.checkpoint_every=1", "network.width=8")
PPO = ("tasks.policy.ppo.num_envs=4", "tasks.policy.ppo.steps=32", "tasks.policy.ppo.minibatch=32")
OFF_POLICY = ("tasks.policy.{}.replay.warmup=450", "tasks.policy.{}.batch=16", "tasks.policy.{}.num_envs=2")


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def train(spec: Spec, folder: Path, *, callbacks: tuple[Any, ...] = (), resume: bool = False, log: bool = True) -> Any:
    notes = Notes()
    given = folder / "log" if log else None
    run = Run(folder / spec.name, {}, resume=resume, reporter=notes, log=given, callbacks=callbacks)
    with one_thread():
        program, _ = run.train("fit", partial(assemble, problem(spec), None, seed=3))
    return program, notes.notes


def rows(folder: Path) -> list[dict[str, str]]:
    with next(folder.rglob("progress.csv")).open(newline="") as file:
        return list(csv.DictReader(file))


def events(folder: Path) -> EventAccumulator:
    found = list(folder.rglob("events.out.tfevents.*"))
    assert len(found) == 1
    read = EventAccumulator(str(found[0].parent))
    read.Reload()
    return read


def of_sb3(algorithm: str, env: str, folder: Path, steps: int, **settings: Any) -> tuple[set[str], set[str]]:
    """(TensorBoard's tags, columns) that a real run writes."""
    model = getattr(stable_baselines3, algorithm)("MlpPolicy", env, seed=0, device="cpu", **settings)
    model.set_logger(configure(str(folder), ["csv", "tensorboard"]))
    model.learn(steps, log_interval=1)
    model.logger.close()
    return set(events(folder).Tags()["scalars"]), set(rows(folder)[0])


CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ppo": ("PPO", "CartPole-v1", {"steps": 128, "n_steps": 64, "n_epochs": 1}),
    "a2c": ("A2C", "CartPole-v1", {"steps": 200}),
    "dqn": ("DQN", "CartPole-v1", {"steps": 120, "learning_starts": 20}),
    "sac": ("SAC", "Pendulum-v1", {"steps": 420, "learning_starts": 395}),
}


@pytest.mark.parametrize("algorithm", CASES)
def test_everything_that_sb3_logs_is_logged_under_the_same_tags(algorithm: str, tmp_path: Path) -> None:
    theirs, env, settings = CASES[algorithm]
    tags, columns = of_sb3(theirs, env, tmp_path / "sb3", **settings)
    off_policy = tuple(line.format(algorithm) for line in OFF_POLICY)
    extra = {"ppo": PPO, "a2c": ("tasks.policy.a2c.num_envs=4",)}.get(algorithm, off_policy)
    train(env_spec(env, algorithm=algorithm, overrides=(*SMALL, *extra)), tmp_path)
    ours = set(events(tmp_path / "log").Tags()["scalars"])
    assert len(tags) >= 6
    assert tags - ours == set()
    assert columns - set(rows(tmp_path / "log")[0]) == set()
    assert not ours & set(logbook.CSV_ONLY)  # SB3 keeps these out of TensorBoard too


def test_a_continuous_ppo_logs_its_deviation(tmp_path: Path) -> None:
    spec = env_spec("Pendulum-v1", algorithm="ppo", overrides=(*SMALL, *PPO, "train.lr=1e-9"))
    train(spec, tmp_path)
    deviation = [float(row["train/std"]) for row in rows(tmp_path) if row["train/std"]]
    assert deviation == pytest.approx([1.0] * len(deviation), abs=0.05)  # it starts at log_std = 0


def test_rows_are_what_happened(tmp_path: Path) -> None:
    spec = env_spec("CartPole-v1", algorithm="ppo", overrides=(*SMALL, *PPO))
    program, _ = train(spec, tmp_path)
    found = rows(tmp_path)
    assert [int(row["train/n_updates"]) for row in found] == [0, 16, 32, 40]
    assert [int(row["time/iterations"]) for row in found] == [1, 2, 3, 3]
    assert found[0]["train/loss"] == ""  # as in SB3's: nothing was learned before the first rollout
    steps = [int(row["time/total_timesteps"]) for row in found]
    assert steps[2] == steps[3] > steps[1] > steps[0] > 100
    # A pole that stands n steps returns n.
    assert all(row["rollout/ep_rew_mean"] == row["rollout/ep_len_mean"] for row in found)
    assert all(float(row["train/entropy_loss"]) == -float(row["train/entropy"]) for row in found[1:])
    assert float(found[2]["train/learning_rate"]) == pytest.approx(3e-3 * (1 - 32 / 40))
    read = events(tmp_path)
    seen = [(event.step, event.value) for event in read.Scalars("train/value_loss")]
    assert seen == [
        (int(row["time/total_timesteps"]), pytest.approx(float(row["train/value_loss"]), rel=1e-6)) for row in found[1:]
    ]
    train(spec, tmp_path)  # a second fit has a folder of its own
    assert len(list((tmp_path / "log").iterdir())) == 2
    unlogged, _ = train(spec, tmp_path / "unlogged", log=False)
    assert parameters_sha(unlogged.network) == parameters_sha(program.network)


class Breaks:
    def on_update(self, run: Any, metrics: Any) -> None:
        if run.update == 35:
            raise RuntimeError


def test_a_resumed_log_is_that_of_an_uninterrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", 0.0)
    spec = env_spec("CartPole-v1", algorithm="ppo", overrides=(*SMALL, *PPO, "train.checkpoint_every=15"))
    train(spec, tmp_path / "whole")
    with pytest.raises(TrainingFault):
        train(spec, tmp_path, callbacks=(Breaks(),))
    train(spec, tmp_path, resume=True)
    whole, resumed = rows(tmp_path / "whole"), rows(tmp_path / "log")
    timed = {"time/fps", "time/time_elapsed"}
    assert [{k: v for k, v in row.items() if k not in timed} for row in resumed] == [
        {k: v for k, v in row.items() if k not in timed} for row in whole
    ]
    elapsed = [float(row["time/time_elapsed"]) for row in resumed]
    assert elapsed == sorted(elapsed)
    steps = [event.step for event in events(tmp_path / "log").Scalars("time/fps")]
    assert steps == [int(row["time/total_timesteps"]) for row in resumed]


def test_without_tensorboard_the_csv_is_written_and_the_mend_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else there(name))
    _, notes = train(env_spec("CartPole-v1", algorithm="ppo", overrides=(*SMALL, *PPO)), tmp_path)
    assert "pip install 'pellucid[track]'" in notes[1]
    assert len(rows(tmp_path)) == 4
    assert not list(tmp_path.rglob("events*"))


def test_several_tasks_and_stages_have_folders_of_their_own(tmp_path: Path) -> None:
    raw = {
        "name": "tiny",
        "data": {"kind": "prices", "source": "planted", "window": 5, "start": "2001-01-01", "end": "2003-12-31"},
        "tasks": {"risk": {"kind": "volatility"}, "market": {"kind": "forecast"}},
        "network": {"width": 8},
        "train": {"updates": 6, "batch": 16},
    }
    prob = problem(spec_from(raw, where="test"))
    run = Run(tmp_path / "tiny", {}, resume=False, reporter=Silent(), log=tmp_path / "log")
    run.train("fold 1 of 2", partial(assemble, prob, np.arange(200), seed=3))
    for task in ("risk", "market"):
        found = rows(tmp_path / "log" / "tiny_1" / "fold-1-of-2" / task)
        assert [int(row["train/n_updates"]) for row in found] == [1, 2, 3, 4, 5, 6]
        assert {"train/loss", "train/learning_rate", "time/time_elapsed"} <= set(found[0])
