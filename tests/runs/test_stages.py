"""Stages: finished ones are kept, the one under way is checkpointed, nothing good is replaced by something bad."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
import torch

from pellucid.assemble import Assembly, assemble, problem
from pellucid.core.errors import CorruptBlob, Interrupted, TrainingFault
from pellucid.nn.delta import parameters_sha
from pellucid.runs import stages, statefile
from pellucid.runs.progress import Silent, interruptible, one_thread
from pellucid.runs.stages import Run
from pellucid.spec.loader import spec_from

RAW = {
    "name": "tiny",
    "data": {"kind": "prices", "source": "planted", "window": 5, "start": "2001-01-01", "end": "2004-12-31"},
    "tasks": {
        "risk": {"kind": "volatility"},
        "trade": {
            "kind": "control",
            "env": "pellucid/StockTrading-v0",
            "episode_days": 30,
            "ppo": {"num_envs": 4, "steps": 16, "minibatch": 32, "epochs": 2},
        },
    },
    "network": {"width": 16},
    "train": {"updates": 24, "batch": 32, "checkpoint_every": 5},
}
PROBLEM = problem(spec_from(RAW, where="test"))
build = partial(assemble, PROBLEM, np.arange(400), seed=3)


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def _run(folder: Path, *, resume: bool = False) -> tuple[Run, list[str]]:
    notes = Notes()
    return Run(folder / "tiny", {"spec": "a", "data": "b"}, resume=resume, reporter=notes), notes.notes


def never() -> Assembly:
    """An assembly whose training must not begin."""
    made = build()
    made.trainer.run = None
    return made


def killed_at(update: int) -> Assembly:
    """Stands for `kill -9`: an exception that nothing handles, in the middle of a run."""
    made = build()
    inner = made.trainer._step

    def step(config):
        if made.trainer.update == update:
            raise MemoryError
        return inner(config)

    made.trainer._step = step
    return made


def test_a_finished_stage_is_not_trained_again(tmp_path):
    run, _ = _run(tmp_path)
    program, curves = run.train("fold 1 of 2", build)
    again, notes = _run(tmp_path, resume=True)
    kept, kept_curves = again.train("fold 1 of 2", never)
    assert parameters_sha(kept.network) == parameters_sha(program.network)
    assert {name: t.options for name, t in kept.tasks.items()} == {n: t.options for n, t in program.tasks.items()}
    assert kept.tasks["trade"].options["value_scale"] != 1.0
    assert kept_curves == curves
    assert set(curves) == {"risk", "trade"}
    assert notes == []
    blocks = program.encode(PROBLEM.rows.take(np.arange(5)))
    assert torch.equal(kept(blocks, "risk"), program(blocks, "risk"))


@pytest.mark.parametrize("pause_s", [0.0, 1e6])
def test_a_stage_under_way_goes_on_from_its_checkpoint(tmp_path, monkeypatch, pause_s):
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", pause_s)
    whole, _ = _run(tmp_path / "whole")
    program, curves = whole.train("fit", build)
    run, _ = _run(tmp_path)
    with pytest.raises(MemoryError):
        run.train("fit", partial(killed_at, 18))
    again, notes = _run(tmp_path, resume=True)
    resumed, resumed_curves = again.train("fit", build)
    # With a long pause the first checkpoint is the only one; either way it changes nothing.
    assert notes == [f"resumed 'fit' at update {15 if pause_s == 0 else 5}"]
    assert parameters_sha(resumed.network) == parameters_sha(program.network)
    assert resumed_curves == curves
    assert resumed.tasks == program.tasks


def test_a_checkpoint_belongs_to_its_stage(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", 0.0)
    run, _ = _run(tmp_path)
    with pytest.raises(MemoryError):
        run.train("fold 1 of 2", partial(killed_at, 12))
    again, notes = _run(tmp_path, resume=True)
    again.train("fold 2 of 2", build)
    assert notes == []


def test_a_new_run_begins_with_an_empty_folder(tmp_path):
    run, _ = _run(tmp_path)
    run.train("fit", build)
    again, notes = _run(tmp_path)
    assert notes == ["an unfinished run was discarded (keep it with --resume)"]
    assert [path.name for path in again.folder.iterdir()] == ["run.json"]
    again.finish()
    assert not again.folder.exists()


def test_weights_that_overflow_leave_the_last_good_checkpoint(tmp_path, monkeypatch):
    """The learning rate runs away at update 12; checkpoints are taken after 5, 10, 15 updates."""
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", 0.0)

    def exploding() -> Assembly:
        made = build()
        made.schedule = lambda update: 1.0 if update < 12 else 1e38
        return made

    run, _ = _run(tmp_path)
    with pytest.raises(TrainingFault) as caught:
        run.train("fit", exploding)
    what, where, mend = str(caught.value).splitlines()
    assert "update 13" in what  # the first loss under the weights of update 12
    assert "seed 3" in where
    assert "checkpoints are intact" in mend
    saved = statefile.load(run.folder / "checkpoint.state")
    assert saved["trainer"]["update"] == 10
    assert all(bool(torch.isfinite(t).all()) for t in saved["trainer"]["network"].values())
    again, notes = _run(tmp_path, resume=True)
    again.train("fit", build)
    assert notes == ["resumed 'fit' at update 10"]


def test_a_poisoned_target_stops_at_its_update(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", 0.0)

    def poisoned() -> Assembly:
        made = build()
        learner = made.learners[0]
        draw = learner.next_batch

        def next_batch(network):
            batch = draw(network)
            if made.trainer.update == 13:
                batch.target[3] = float("nan")
            return batch

        learner.next_batch = next_batch
        return made

    run, _ = _run(tmp_path)
    with pytest.raises(TrainingFault, match="task 'risk': the loss is nan at update 13") as caught:
        run.train("fit", poisoned)
    assert "update 13, learner of 'risk', seed 3" in str(caught.value)
    assert statefile.load(run.folder / "checkpoint.state")["trainer"]["update"] == 10


# Ctrl-C


def _interrupting(at: int, made: Assembly | None = None) -> Assembly:
    made = made or build()
    inner = made.trainer._step

    def step(config):
        if made.trainer.update == at:
            os.kill(os.getpid(), signal.SIGINT)
        return inner(config)

    made.trainer._step = step
    return made


@pytest.mark.parametrize("at", [0, 11, 22])
def test_ctrl_c_checkpoints_whatever_the_pace(tmp_path, at):
    """The update under way is finished first."""
    whole, _ = _run(tmp_path / "whole")
    program, _ = whole.train("fit", build)
    run, _ = _run(tmp_path)
    with pytest.raises(Interrupted, match=f"after update {at + 1} of 24; a checkpoint is written"):
        run.train("fit", partial(_interrupting, at))
    again, notes = _run(tmp_path, resume=True)
    resumed, _ = again.train("fit", build)
    assert notes == [f"resumed 'fit' at update {at + 1}"]
    assert parameters_sha(resumed.network) == parameters_sha(program.network)


def test_ctrl_c_in_the_last_update_is_not_lost(tmp_path):
    run, _ = _run(tmp_path)
    with pytest.raises(Interrupted, match="interrupted after 'fit'; finished stages are kept") as caught:
        run.train("fit", partial(_interrupting, 23))
    assert caught.value.exit_code == 130
    assert "--resume" in caught.value.mend
    again, _ = _run(tmp_path, resume=True)
    again.train("fit", never)


def test_a_second_ctrl_c_breaks_the_update():
    with interruptible() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handler_is_given_back():
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_one_thread_is_given_back():
    def blas() -> set[int]:
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    torch.set_num_threads(2)
    try:
        with threadpoolctl.threadpool_limits(2, user_api="blas"):
            assert blas() == {2}
            with one_thread():
                assert torch.get_num_threads() == 1
                assert blas() == {1}
            assert torch.get_num_threads() == 2
            assert blas() == {2}
    finally:
        torch.set_num_threads(1)


# The file under it


@pytest.mark.parametrize("place", [3, 40, 200, -5])
def test_a_flipped_bit_is_noticed(tmp_path, place):
    path = tmp_path / "a.state"
    statefile.save(path, {"w": torch.arange(50.0), "n": [1, None, {"deep": np.arange(3)}]})
    again = statefile.load(path)
    assert torch.equal(again["w"], torch.arange(50.0))
    assert again["n"][2]["deep"].tolist() == [0, 1, 2]
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    with pytest.raises(CorruptBlob, match="damaged"):
        statefile.load(path)


@pytest.mark.parametrize("length", [0, 10, 90, 300])
def test_a_truncated_file_is_noticed(tmp_path, length):
    path = tmp_path / "a.state"
    statefile.save(path, {"w": torch.arange(50.0)})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CorruptBlob, match="damaged"):
        statefile.load(path)
