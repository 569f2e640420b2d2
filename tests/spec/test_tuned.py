"""Tuned settings, chosen by the names of environment and algorithm."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import pytest

from pellucid.core.errors import MissingExtra, SpecError
from pellucid.entrance import fit
from pellucid.envs import engines, vectorise
from pellucid.runs.beginning import chosen_spec
from pellucid.spec.presets import BY_ALGORITHM, env_spec
from pellucid.spec.tuned import TUNED, tuned


@pytest.mark.parametrize(("env", "algorithm"), [(e, a) for e, found in TUNED.items() for a in found])
def test_every_tuned_configuration_is_a_spec(env: str, algorithm: str) -> None:
    settings, task = TUNED[env][algorithm], env_spec(env, algorithm=algorithm).tasks["policy"]
    assert (task.env, task.algorithm) == (env, algorithm)
    written = task.settings.model_dump(exclude_unset=True)
    assert written == settings.section  # nothing was left out
    assert env in gymnasium.registry


def test_without_an_algorithm_the_first_that_was_tuned_is_taken() -> None:
    for env, found in TUNED.items():
        assert env_spec(env).tasks["policy"].algorithm == next(iter(found))
        assert tuned(f"some.module:{env}", None) == next(iter(found.items()))


def test_what_nobody_tuned_falls_back_on_the_algorithm_alone() -> None:
    assert tuned("MountainCar-v0", None) is None
    spec = env_spec("MountainCar-v0")
    assert spec.tasks["policy"].algorithm == "ppo"
    assert BY_ALGORITHM["ppo"].network.items() <= spec.network.model_dump().items()
    assert tuned("CartPole-v1", "es") is None
    assert env_spec("CartPole-v1", algorithm="es").train.updates == BY_ALGORITHM["es"].train["updates"]


def test_an_algorithm_beside_no_environment_would_be_ignored() -> None:
    with pytest.raises(SpecError, match="algorithm 'sac' would not be used"):
        chosen_spec("any.yaml", None, None, None, None, (), "sac")
    with pytest.raises(SpecError, match="algorithm 'sac' would not be used"):
        fit(data="any.csv", target="y", algorithm="sac")


@pytest.mark.parametrize(("env", "extra"), [("LunarLander-v3", "box2d"), ("HalfCheetah-v5", "mujoco")])
def test_a_missing_engine_is_told_with_its_extra(env: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectorise.make(env, 1).close()
    place = f"gymnasium.envs.{extra}"
    monkeypatch.setitem(engines.EXTRAS, place, (extra, ("a_package_that_is_not_there",)))
    with pytest.raises(MissingExtra) as told:
        vectorise.make(env, 1)
    assert f"pip install 'pellucid[{extra}]'" in str(told.value)
    assert f"environment '{env}'" in str(told.value)


def test_mujoco_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vectorise.make("HalfCheetah-v5", 1).close()  # its model makes MuJoCo warn
    assert list(tmp_path.iterdir()) == []
