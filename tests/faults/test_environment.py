"""An environment that breaks in the middle of an episode: the fit stops there, and what was good before is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from home_folder import fingerprint, three_lines, told

from pellucid.cli.main import main
from pellucid.runs import stages, statefile
from pellucid.store.store import Store

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

SPEC = """\
name: walk
seed: 3
tasks:
  move:
    kind: control
    env: faulty/Walk-v0
    ppo: {num_envs: 2, steps: 8, minibatch: 16, epochs: 1}
network: {width: 8, depth: 1}
train: {updates: 12, checkpoint_every: 1}
evidence: {episodes: 3}
explain: {background: 4, evaluations: 16}
"""


class Walk(gymnasium.Env[Any, Any]):
    """A walk on a line that breaks at its `at`-th step over all instances, in the way of `how`."""

    observation_space = gymnasium.spaces.Box(-100.0, 100.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    how: ClassVar[str] = ""
    at: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.t = float(self.np_random.uniform(-1, 1)), 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        Walk.steps += 1
        self.t += 1
        self.x += 0.1 if action else -0.1
        obs, reward = self._seen(), -abs(self.x)
        if Walk.steps >= Walk.at > 0:
            if Walk.how == "raises":
                raise RuntimeError("the simulator lost its licence\nsecond line")
            if Walk.how == "NaN observation":
                obs = np.array([np.nan, 0.0], np.float32)
            if Walk.how == "NaN reward":
                reward = float("nan")
            if Walk.how == "shape":
                obs = np.zeros(3, np.float32)
        return obs, reward, False, self.t >= 20, {}

    def _seen(self) -> Any:
        return np.array([self.x, self.t], np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", 0.0)
    gymnasium.register("faulty/Walk-v0", entry_point=Walk, disable_env_checker=True)
    Walk.how, Walk.at, Walk.steps = "", 0, 0
    (tmp_path / "walk.yaml").write_text(SPEC)
    yield tmp_path
    del gymnasium.registry["faulty/Walk-v0"]


@pytest.mark.parametrize(
    ("how", "phrase"),
    [
        ("raises", "raised RuntimeError: the simulator lost its licence"),
        ("NaN observation", "returned NaN or infinity in 'obs_0'"),
        ("NaN reward", "returned NaN or infinity as reward"),
        ("shape", "returned 'obs' of shape (3,); its space says (2,)"),
    ],
)
def test_it_stops_there_keeps_the_checkpoint_and_goes_on_when_repaired(
    how: str, phrase: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 16 steps make one update: step 90 lies in the rollout of update 6.
    Walk.how, Walk.at = how, 90
    assert main(["fit", "walk.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    three_lines(told(err))
    assert err.splitlines()[-3].startswith("EnvironmentFault: environment 'faulty/Walk-v0' ")
    assert phrase in err
    assert "step 45, seed " in err
    assert "update 5, learner of 'move'" in err
    assert "--resume goes on from the checkpoint of update 5" in err
    assert Store(".pellucid").names() == []
    checkpoint = folder / ".pellucid/runs/walk/checkpoint.state"
    assert statefile.load(checkpoint)["trainer"]["update"] == 5

    Walk.at = 0  # repaired
    assert main(["fit", "walk.yaml", "--resume"]) == 0
    assert "resumed 'fit' at update 5" in capsys.readouterr().err
    assert Store(".pellucid").resolve("walk").ref == "walk@1"
    assert not checkpoint.exists()


def test_before_the_first_checkpoint_nothing_is_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Walk.how, Walk.at = "raises", 5
    assert main(["fit", "walk.yaml"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert "step 3, seed " in err
    assert "--resume" not in err
    assert not (folder / ".pellucid/runs/walk").exists()


def test_a_fault_while_the_evidence_is_gathered_keeps_the_trained_weights(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Walk.how, Walk.at = "raises", 12 * 16 + 30  # after the last update
    assert main(["fit", "walk.yaml"]) == 2
    three_lines(told(capsys.readouterr().err))
    assert Store(".pellucid").names() == []
    Walk.at = 0
    steps = Walk.steps
    assert main(["fit", "walk.yaml", "--resume", "--json"]) == 0
    capsys.readouterr()
    trained, resumed = Store(".pellucid").resolve("walk@1").manifest["blobs"]["weights"], Walk.steps - steps
    Walk.steps = 0
    assert main(["fit", "walk.yaml", "--store", "fresh", "--quiet"]) == 0
    assert Store("fresh").resolve("walk@1").manifest["blobs"]["weights"] == trained
    assert Walk.steps - resumed == 12 * 16  # not one step of training was repeated


def test_an_earlier_version_is_not_touched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "walk.yaml"]) == 0
    blobs = fingerprint(folder / ".pellucid")
    Walk.how, Walk.at, Walk.steps = "NaN reward", 90, 0
    assert main(["fit", "walk.yaml", "--set", "seed=4"]) == 2
    after = {k: v for k, v in fingerprint(folder / ".pellucid").items() if not k.startswith("runs/")}
    assert after == blobs
    Walk.at = 0
    assert main(["explain", "walk"]) == 0


def test_check_env_tells_beforehand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Walk.how, Walk.at = "NaN reward", 30
    assert main(["check", "env", "faulty/Walk-v0"]) == 1
    assert "NaN or infinity as reward" in capsys.readouterr().out
