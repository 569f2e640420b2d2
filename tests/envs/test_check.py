"""`check_env` on environments that are broken in every way that we know: each is told, and all at once."""

from __future__ import annotations

import random
import time
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from env_zoo import Rich, Walk
from pellucid.cli.main import main
from pellucid.core.errors import SpecError
from pellucid.envs import check
from pellucid.envs.check import check_env, inspect_env
from pellucid.envs.making import Stepping

SOUND = [
    "CartPole-v1",
    "Acrobot-v1",
    "Pendulum-v1",
    "FrozenLake-v1",
    "Blackjack-v1",
    "pellucid/StockTrading-v0",
    "pellucid/StockPrice-v0",
]


@pytest.mark.parametrize("env_id", SOUND)
def test_sound_ones_have_no_problems(env_id: str) -> None:
    report = inspect_env(env_id, 200)
    assert report.problems == []
    assert report.facts["resume"] == "bit-identical"
    assert report.facts["seed"] == "the same run from the same seed"
    assert "steps/s" in report.facts["speed"]


def test_what_is_worth_knowing() -> None:
    lake = inspect_env("FrozenLake-v1", 400).facts
    assert lake["observation"] == "state (16)"
    assert lake["action"] == "Discrete(4)"
    assert lake["autoreset"] == "SAME_STEP, stepped one by one"
    assert lake["random play"].startswith("return 0")
    cart = inspect_env("CartPole-v1", 200).facts
    assert cart["autoreset"] == "NEXT_STEP, a batch of its own"
    rich = inspect_env(lambda: Rich(length=5), 100)
    assert rich.problems == []
    assert rich.facts["observation"].startswith("bits (2), body.0 (2), body.1 (3), eye (8 x 9 x 3), keys_0 (2)")
    assert rich.facts["resume"].startswith("not bit-identical")


class Unseeded(Walk):
    def look(self) -> Any:
        return np.array([random.random(), self.t], np.float32)


class Drifting(Walk):
    """The same after every reset of one object, another from object to object."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = random.random()

    def look(self) -> Any:
        return np.array([self.bias, self.t], np.float32)


class Endless(Walk):
    def __init__(self) -> None:
        super().__init__(length=10**9)


class Escaping(Walk):
    observation_space = spaces.Box(-0.5, 5.0, (2,), np.float32)


class Choosing(Walk):
    action_space = spaces.Dict({"a": spaces.Discrete(2)})


class Grid(Walk):
    action_space = spaces.Box(-1, 1, (2, 2), np.float32)


class Unbounded(Walk):
    action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def step(self, action: Any) -> Any:
        return super().step(bool(action[0] > 0))


class Talking(Walk):
    observation_space = spaces.Dict({"said": spaces.Text(9)})


class Unseedable(Walk):
    def reset(self) -> Any:  # type: ignore[override]
        self.np_random, self.x, self.t = np.random.default_rng(), 0.0, 0
        return self.look(), {}


class Lost(Walk):
    """Its state is none of those it declares."""

    observation_space = spaces.Discrete(5)

    def look(self) -> Any:
        return self.t


class OldReset(Walk):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed)[0]


BROKEN: dict[str, tuple[Any, str]] = {
    "raises": (lambda: Walk("raises"), "raised RuntimeError: the simulator lost its licence"),
    "raises in reset": (lambda: Walk("raises in reset"), "raised RuntimeError: no room (in reset)"),
    "NaN": (lambda: Walk("NaN"), "returned NaN or infinity in 'obs_0'"),
    "NaN reward": (lambda: Walk("NaN reward"), "returned NaN or infinity as reward"),
    "no reward": (lambda: Walk("no reward"), "raised TypeError"),
    "shape": (lambda: Walk("longer"), "returned 'obs' of shape (3,); its space says (2,)"),
    "kind of number": (lambda: Walk("whole numbers"), "returned 'obs' as int64, and other numbers before"),
    "a dict where a box was": (lambda: Walk("part"), "returned 'obs' as dict, no numbers"),
    "old step": (lambda: Walk("four values"), "returned 4 values from step"),
    "old reset": (OldReset, "returned ndarray from reset"),
    "chance of its own": (Unseeded, "two runs from the same seed differ, first in 'obs_0' of the first observation"),
    "chance of its making": (Drifting, "two runs from the same seed differ, first in 'obs_0'"),
    "no seed": (Unseedable, "unexpected keyword argument 'seed'"),
    "no end": (Endless, "no episode ended in 1000 random steps"),
    "bounds": (Escaping, "'obs_1' reached 20, beyond the 5 that its space declares"),
    "a state too many": (Lost, "5 of environment 0 is none of its 5 states"),
    "actions of a dict": (Choosing, "no learner acts in the space Dict('a': Discrete(2))"),
    "actions of two dimensions": (Grid, "no learner acts in the space Box(-1.0, 1.0, (2, 2), float32)"),
    "actions without bounds": (Unbounded, "the action space is unbounded"),
    "words": (Talking, "observations of the space Text have no fields"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_way_to_be_broken_is_told(name: str) -> None:
    source, phrase = BROKEN[name]
    assert any(phrase in problem for problem in check_env(source)), check_env(source)


def test_one_that_takes_its_process_with_it_is_told() -> None:
    assert "took its process with it, which ended with exit code 3" in check_env(lambda: Walk("exits"))[0]
    assert "took its process with it, which was killed by SIGKILL" in check_env(lambda: Walk("killed"))[0]


def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PATIENCE", Stepping(timeout_s=0.3))
    start = time.monotonic()
    assert any("has not returned for 0.3 s" in problem for problem in check_env(lambda: Walk("hangs")))
    assert time.monotonic() - start < 20.0


class Many(Walk):
    """Wrong in one way after the other."""

    observation_space = spaces.Box(-0.5, 5.0, (2,), np.float32)
    action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    calls = 0

    def step(self, action: Any) -> Any:
        Many.calls += 1
        self.how, self.at = ("raises", "NaN", "NaN reward", "longer", "")[Many.calls // 40 % 5], 7
        return super().step(bool(action[0] > 0))


def test_everything_is_told_at_once() -> None:
    problems = check_env(Many)
    wanted = [
        "raised RuntimeError",
        "NaN or infinity in 'obs_0'",
        "NaN or infinity as reward",
        "returned 'obs' of shape (3,)",
        "beyond the",
        "unbounded",
    ]
    for phrase in wanted:
        assert any(phrase in problem for problem in problems), (phrase, problems)
    assert len(problems) == len(set(problems))
    assert all("step 7, seed " in line for line in problems if line.startswith("environment"))


class Silent(VectorEnv[Any, Any, Any]):
    """A batch that does not say how it resets."""

    def __init__(self) -> None:
        self.num_envs, self.metadata = 2, {}
        self.single_observation_space, self.single_action_space = Walk.observation_space, Walk.action_space


class Forgetful(SyncVectorEnv):
    """A batch that resets in the same step and does not keep the last observation."""

    def step(self, actions: Any) -> Any:
        *rest, infos = super().step(actions)
        infos.pop("final_obs", None)
        return (*rest, infos)


def test_batches() -> None:
    assert any("does not say how it resets" in line for line in check_env(Silent()))
    forgetful = Forgetful([Walk, Walk], autoreset_mode=AutoresetMode.SAME_STEP)
    assert any("without 'final_obs'" in line for line in check_env(forgetful))
    for mode in AutoresetMode:
        report = inspect_env(SyncVectorEnv([Walk, Walk], autoreset_mode=mode), 100)
        assert report.problems == []
        assert report.facts["autoreset"].startswith(mode.name)


def test_an_object_is_checked_and_left_open() -> None:
    env = gymnasium.make("CartPole-v1")
    assert check_env(env, 100) == []
    env.reset(seed=0)
    env.step(0)


def test_notes_are_no_problems() -> None:
    still = type("Still", (Walk,), {"look": lambda self: np.array([1, self.t], np.float32)})
    slow = type("Slow", (Walk,), {"look": lambda self: (time.sleep(0.002), Walk.look(self))[1]})
    assert inspect_env(still, 100).problems == []
    assert any("'obs_0' never changed" in note for note in inspect_env(still, 100).notes)
    assert any("has no names" in note for note in inspect_env(still, 100).notes)
    assert any("in several processes (workers)" in note for note in inspect_env(slow, 40).notes)
    assert any("never met by random play" in note for note in inspect_env("Taxi-v4", 40).notes)


def test_no_such_environment() -> None:
    with pytest.raises(SpecError, match="no environment 'CartPole-v77'"):
        check_env("CartPole-v77")


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "env", "FrozenLake-v1", "--steps", "100"]) == 0
    out = capsys.readouterr().out
    assert "autoreset    SAME_STEP" in out
    assert out.endswith("FrozenLake-v1: obeys the conventions.\nNext: pellucid fit --env FrozenLake-v1\n")
    gymnasium.register("zoo/Many-v0", entry_point=Many)
    try:
        assert main(["check", "env", "zoo/Many-v0"]) == 1
    finally:
        del gymnasium.registry["zoo/Many-v0"]
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("zoo/Many-v0: ") for line in lines) >= 5
    assert lines[-1].endswith(" problems.")
    assert main(["check", "env", "CartPole-v1", "--steps", "0"]) == 2
