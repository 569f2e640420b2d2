"""Callbacks look on: they change nothing, may end a training early, and their faults bear their name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pellucid.assemble import assemble, problem
from pellucid.core.errors import TrainingFault
from pellucid.nn.delta import parameters_sha
from pellucid.runs import stages
from pellucid.runs.callbacks import Callback, EvaluateEvery, StopOnReturn, Training
from pellucid.runs.fit import fit
from pellucid.runs.progress import Silent, one_thread
from pellucid.runs.stages import Run
from pellucid.spec.presets import env_spec
from pellucid.store.store import Store

SMALL = (
    "train.updates=40",
    "train.checkpoint_every=4",
    "network.width=8",
    "tasks.policy.ppo.num_envs=4",
    "tasks.policy.ppo.steps=32",
    "tasks.policy.ppo.minibatch=32",
    "evidence.episodes=2",
    "explain.evaluations=8",
    "explain.background=8",
)
SPEC = env_spec("CartPole-v1", name="tiny", algorithm="ppo", overrides=SMALL)
build = partial(assemble, problem(SPEC), None, seed=3)


class Watching(Callback):
    """Looks at everything that there is to see."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.metrics: list[dict[str, dict[str, float]]] = []
        self.returns: list[float] = []

    def on_start(self, run: Training) -> None:
        self.seen.append(("start", run.update))

    def on_update(self, run: Training, metrics: dict[str, dict[str, float]]) -> None:
        self.seen.append(("update", run.update))
        self.metrics.append(metrics)
        if run.update % 10 == 0:
            run.policy()

    def on_rollout_end(self, run: Training) -> None:
        self.seen.append(("rollout", run.steps))
        self.returns.append(run.episode_return)

    def on_checkpoint(self, run: Training) -> None:
        self.seen.append(("checkpoint", run.update))

    def on_end(self, run: Training) -> None:
        self.seen.append(("end", run.update))


class Faulty:
    """Needs no base class, and breaks."""

    def on_update(self, run: Training, metrics: Any) -> None:
        if run.update == 11:
            raise ZeroDivisionError("by hand")


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, done: int, text: str = "") -> None:
        self.told.append(text)


def train(folder: Path, *callbacks: Any, resume: bool = False, reporter: Notes | None = None) -> tuple[Run, str]:
    run = Run(folder / "tiny", {}, resume=resume, reporter=reporter or Notes(), callbacks=callbacks)
    with one_thread():
        program, _ = run.train("fit", build)
    return run, parameters_sha(program.network)


@pytest.fixture
def every_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", 0.0)


@pytest.mark.usefixtures("every_checkpoint")
def test_who_only_looks_on_changes_no_bit_and_sees_everything_in_order(tmp_path: Path) -> None:
    watching, evaluating = Watching(), EvaluateEvery(15, episodes=2)
    _, alone = train(tmp_path / "alone")
    _, watched = train(tmp_path / "watched", watching, evaluating)
    assert watched == alone
    assert [n for what, n in watching.seen if what == "update"] == list(range(1, 41))
    assert watching.seen[0] == ("start", 0)
    assert watching.seen[1][0] == "rollout"  # before the first update that learns from it
    assert watching.seen[-2:] == [("checkpoint", 40), ("end", 40)]
    steps = [n for what, n in watching.seen if what == "rollout"]
    # A rollout is 4 environments x 32 steps less the dummies of ended episodes, and 4 epochs of 4 minibatches.
    assert len(steps) == 3
    assert all(128 * i - 40 < n <= 128 * i for i, n in enumerate(steps, start=1))
    assert {"loss", "policy_loss", "value_loss"} <= set(watching.metrics[0]["policy"])
    assert watching.returns[-1] > 1.0
    assert [update for update, _, _ in evaluating.history] == [15, 30]


@pytest.mark.usefixtures("every_checkpoint")
def test_a_fault_is_named_and_the_last_checkpoint_goes_on(tmp_path: Path) -> None:
    _, whole = train(tmp_path / "whole")
    with pytest.raises(TrainingFault, match="Faulty raised ZeroDivisionError in on_update: by hand") as caught:
        train(tmp_path, Faulty())
    assert "'fit', update 11" in str(caught.value)
    notes, counting = Notes(), Watching()
    _, resumed = train(tmp_path, counting, resume=True, reporter=notes)
    assert notes.notes == ["resumed 'fit' at update 8"]
    assert resumed == whole
    assert counting.seen[0] == ("start", 8)
    steps = [n for what, n in counting.seen if what == "rollout"]
    assert len(steps) == 2
    assert steps[0] > 200  # counted on from the interrupted process


class Enough(Callback):
    def on_update(self, run: Training, metrics: Any) -> bool:
        return run.update != 13


def test_false_ends_the_training_with_a_checkpoint_and_a_note(tmp_path: Path) -> None:
    watching, notes = Watching(), Notes()
    run, ended = train(tmp_path, Enough(), watching, reporter=notes)
    said = "Enough ended 'fit' after update 13 of 40"
    assert run.notes == [said]
    assert said in notes.notes
    assert watching.seen[-2:] == [("checkpoint", 13), ("end", 13)]
    again, kept = train(tmp_path, resume=True)  # the stage is finished: nothing more is trained
    assert kept == ended
    assert again.notes == [said]


def test_stop_on_return(tmp_path: Path) -> None:
    run, _ = train(tmp_path / "low", StopOnReturn(5.0, episodes=3))
    assert run.notes
    assert run.notes[0].startswith("StopOnReturn ended 'fit' after update")
    run, _ = train(tmp_path / "high", StopOnReturn(1e9, episodes=3))
    assert run.notes == []
    evaluating = EvaluateEvery(5, episodes=2, stop_at=1.0)
    run, _ = train(tmp_path / "evaluated", evaluating)
    assert run.notes == ["EvaluateEvery ended 'fit' after update 5 of 40"]
    assert evaluating.history[0][2] >= 1.0


def test_progress_tells_return_and_speed(tmp_path: Path) -> None:
    notes = Notes()
    train(tmp_path, reporter=notes)
    assert all(" steps/s" in text and text.startswith("policy return ") for text in notes.told)


class Judging(Callback):
    def on_evaluation(self, evidence: dict[str, Any]) -> None:
        self.evidence = evidence


def test_the_evidence_says_who_ended_the_training(tmp_path: Path) -> None:
    judging = Judging()
    done = fit(SPEC, Store(tmp_path / "store"), callbacks=[Enough(), judging])
    assert "Enough ended 'fit' after update 13 of 40" in done.evidence["notes"]
    assert judging.evidence is done.evidence
