"""`pellucid fit` with environments in worker processes: they die, hang, are interrupted; nothing is lost or left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from home_folder import three_lines, told

import env_zoo
from pellucid.cli.main import main
from pellucid.envs.workers import Workers
from pellucid.runs import stages, statefile
from pellucid.store.store import Store

pytestmark = pytest.mark.slow

SPEC = """\
name: walk
seed: 3
tasks:
  move:
    kind: control
    env: faulty/Zoo-v0
    workers: 2
    env_timeout: 1.0
    ppo: {num_envs: 4, steps: 8, minibatch: 32, epochs: 1}
network: {width: 8, depth: 1}
train: {updates: 12, checkpoint_every: 1}
evidence: {episodes: 3}
explain: {background: 4, evaluations: 16}
"""


class Zoo(env_zoo.Walk):
    """A walk that goes wrong in its third episode, if `how` says so."""

    now = ""

    def __init__(self) -> None:
        super().__init__("", at=7, length=20)
        self.episodes = 0

    def reset(self, **kwargs: Any) -> Any:
        self.episodes += 1
        self.how = Zoo.now if self.episodes == 3 else ""
        return super().reset(**kwargs)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", 0.0)
    gymnasium.register("faulty/Zoo-v0", entry_point=Zoo, disable_env_checker=True)
    (tmp_path / "walk.yaml").write_text(SPEC)
    yield tmp_path
    Zoo.now = ""
    del gymnasium.registry["faulty/Zoo-v0"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Workers]:
    """Every batch of workers that is started."""
    found: list[Workers] = []
    init = Workers.__init__

    def watched(self: Workers, *args: Any) -> None:
        found.append(self)
        init(self, *args)

    monkeypatch.setattr(Workers, "__init__", watched)
    return found


# Episodes have 20 steps: the third's seventh is step 47, in the rollout of the sixth update.
@pytest.mark.parametrize(
    ("how", "phrase"),
    [
        ("exits", "took its process with it, which ended with exit code 3"),
        ("killed", "took its process with it, which was killed by SIGKILL"),
        ("hangs", "has not returned for 1 s"),
        ("loops", "has not returned for 1 s"),
        ("raises", "raised RuntimeError: the simulator lost its licence"),
    ],
)
def test_a_worker_that_fails_stops_the_run_and_leaves_nothing(
    how: str, phrase: str, folder: Path, started: list[Workers], capsys: pytest.CaptureFixture[str]
) -> None:
    Zoo.now = how
    assert main(["fit", "walk.yaml"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert f"EnvironmentFault: environment 'faulty/Zoo-v0' {phrase}" in err
    assert "step 47, seed " in err
    assert ", environment 0 of 4 (seed " in err
    assert "update 5, learner of 'move'" in err
    assert "--resume goes on from the checkpoint of update 5" in err
    assert statefile.load(folder / ".pellucid/runs/walk/checkpoint.state")["trainer"]["update"] == 5
    assert not any(process.is_alive() for batch in started for process in batch.processes)

    if how != "exits":  # the rest does not depend on it
        return
    Zoo.now = ""
    assert main(["fit", "walk.yaml", "--resume", "--quiet"]) == 0
    assert not any(process.is_alive() for batch in started for process in batch.processes)


def test_an_environment_that_hangs_in_this_process_is_interrupted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Zoo.now = "hangs"
    assert main(["fit", "walk.yaml", "--set", "tasks.move.workers=0"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert "environment 'faulty/Zoo-v0' has not returned for 1 s" in err
    assert "step 47, seed " in err
    assert "update 5, learner of 'move'" in err
    assert "--resume goes on from the checkpoint of update 5" in err


def test_the_version_is_the_same_as_without_workers(folder: Path) -> None:
    for store, workers in (("here", 0), ("there", 2), ("three", 3)):
        command = ["fit", "walk.yaml", "--store", store, "--quiet", "--set", f"tasks.move.workers={workers}"]
        assert main(command) == 0
    blobs = [Store(store).resolve("walk@1").manifest["blobs"] for store in ("here", "there", "three")]
    for role in blobs[0]:
        if role != "spec":  # which says how many workers
            assert blobs[0][role] == blobs[1][role] == blobs[2][role], role


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_ctrl_c_and_kill_leave_no_process(sign: int, code: int, tmp_path: Path) -> None:
    sets = ["tasks.policy.workers=2", "tasks.policy.ppo.num_envs=8", "train.updates=100000"]
    command = [sys.executable, "-m", "pellucid.cli.main", "fit", "--env", "Acrobot-v1"]
    command += [word for value in sets for word in ("--set", value)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, start_new_session=True
    ) as run:
        checkpoint = tmp_path / ".pellucid/runs/acrobot-v1/checkpoint.state"
        end = time.monotonic() + 60
        while not checkpoint.exists() and time.monotonic() < end and run.poll() is None:
            time.sleep(0.05)
        pids = children(run.pid)
        assert len(pids) == 2, run.stderr.read() if run.poll() is not None and run.stderr else pids
        (os.killpg if sign == signal.SIGINT else os.kill)(run.pid, sign)  # a terminal's Ctrl-C goes to everybody
        assert run.wait(20) == code
    end = time.monotonic() + 5
    while any(map(runs, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(runs, pids))
    assert checkpoint.exists()
