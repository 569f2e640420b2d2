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
from pellucid.envs import planted_trading
from pellucid.runs import stages, statefile
from pellucid.store.store import Store
from pellucid.train.loop import Trainer

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
            if Walk.how == "infinite observation":
                obs = np.array([0.0, np.inf], np.float32)
            if Walk.how == "infinite reward":
                reward = -float("inf")
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
    gymnasium.register("faulty/Pushed-v0", entry_point=Pushed, disable_env_checker=True)
    Walk.how, Walk.at, Walk.steps = "", 0, 0
    (tmp_path / "walk.yaml").write_text(SPEC)
    yield tmp_path
    del gymnasium.registry["faulty/Walk-v0"], gymnasium.registry["faulty/Pushed-v0"]


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
    err = capsys.readouterr().err
    assert "resumed 'fit' at update 5" in err
    assert "this environment cannot give its state: resumable, not bit-identical" in err
    assert Store(".pellucid").resolve("walk").ref == "walk@1"
    assert not checkpoint.exists()


class Pushed(Walk):
    """Pushed to and fro by a force."""

    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def step(self, action: Any) -> Any:
        return super().step(bool(action[0] > 0))


REPLAY = "batch: 8, steps: 2, updates: 2, replay: {size: 200, warmup: 8}"
OTHERS = {  # algorithm -> (its settings, environment)
    "dqn": (f"{{num_envs: 2, {REPLAY}}}", "faulty/Walk-v0"),
    "sac": (f"{{num_envs: 2, {REPLAY}}}", "faulty/Pushed-v0"),
    "es": ("{population: 4}", "faulty/Walk-v0"),
}


@pytest.mark.parametrize("algorithm", OTHERS)
@pytest.mark.parametrize(
    ("how", "phrase"),
    [
        ("raises", "raised RuntimeError"),
        ("NaN observation", "returned NaN or infinity in 'obs_0'"),
        ("infinite observation", "returned NaN or infinity in 'obs_1'"),
        ("NaN reward", "returned NaN or infinity as reward"),
        ("infinite reward", "returned NaN or infinity as reward"),
    ],
)
def test_every_algorithm_stops_within_the_update_and_goes_on(
    algorithm: str, how: str, phrase: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, env = OTHERS[algorithm]
    spec = SPEC.replace("ppo: {num_envs: 2, steps: 8, minibatch: 16, epochs: 1}", f"{algorithm}: {settings}")
    spec = spec.replace("env: faulty/Walk-v0", f"env: {env}, algorithm: {algorithm}".replace(", ", "\n    "))
    (folder / "walk.yaml").write_text(spec.replace("updates: 12", "updates: 16"))
    Walk.how, Walk.at = how, 1
    stopped, updates = [], Trainer._step
    with pytest.MonkeyPatch.context() as patch:
        # A good update, then trouble: the next steps of the environment are the next batch's.
        def watched(self: Trainer, config: Any) -> Any:
            Walk.at = 0 if self.update < 10 else 1
            stopped.append(self.update)
            return updates(self, config)

        patch.setattr(Trainer, "_step", watched)
        assert main(["fit", "walk.yaml"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert phrase in err
    assert stopped[-1] in (10, 11)  # updates are made in twos: at the latest in the second, the environment is stepped
    assert f"update {stopped[-1]}, learner of 'move'" in err
    assert f"--resume goes on from the checkpoint of update {stopped[-1]}" in err
    assert "step " in err
    assert "seed " in err
    assert Store(".pellucid").names() == []
    checkpoint = statefile.load(folder / ".pellucid/runs/walk/checkpoint.state")
    assert checkpoint["trainer"]["update"] == stopped[-1]
    assert all(v.isfinite().all() for v in checkpoint["trainer"]["network"].values())

    if how != "raises":  # the rest does not depend on it
        return
    Walk.at = 0  # repaired
    assert main(["fit", "walk.yaml", "--resume"]) == 0
    assert f"resumed 'fit' at update {stopped[-1]}" in capsys.readouterr().err


def test_a_market_that_gives_no_numbers_stops_direct(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`direct` never steps an environment: what its market draws goes straight into the loss."""
    drawn, draw = [], planted_trading._Planted.draw

    def broken(self: Any, rng: Any, n: int, steps: int) -> Any:
        fields, following = draw(self, rng, n, steps)
        drawn.append(None)
        if len(drawn) == 8:  # the probe, then one an update
            following[0, 0] = np.nan
        return fields, following

    monkeypatch.setattr(planted_trading._Planted, "draw", broken)
    spec = SPEC.replace("faulty/Walk-v0", "pellucid/PlantedTrading-v0\n    algorithm: direct").replace(
        "ppo: {num_envs: 2, steps: 8, minibatch: 16, epochs: 1}", "direct: {paths: 8, steps: 4}"
    )
    (folder / "walk.yaml").write_text(spec)
    assert main(["fit", "walk.yaml"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert "TrainingFault: task 'move': the loss is nan at update 6" in err
    assert "seed 3" in err
    assert statefile.load(folder / ".pellucid/runs/walk/checkpoint.state")["trainer"]["update"] == 6


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
