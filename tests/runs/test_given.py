"""`pellucid.fit(env=...)` with an id, an Env, a VectorEnv and a callable; what is not kept is asked for by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import pellucid
from pellucid.core.errors import SpecError
from pellucid.envs.making import using
from pellucid.handle import LearnedProgram
from pellucid.runs.outputs import HELD_OUT, outputs_table
from pellucid.runs.policies import greedy, rollout

pytestmark = pytest.mark.slow

SMALL = ("train.updates=6", "evidence.episodes=5", "explain.background=4", "explain.evaluations=16", "network.width=8")
LIMIT = {"max_episode_steps": 40}


def cart() -> gymnasium.Env[Any, Any]:
    return gymnasium.make("CartPole-v1", **LIMIT)


def fit(env: Any, folder: Path, *more: str, **options: Any) -> LearnedProgram:
    return pellucid.fit(env=env, store=folder, overrides=(*SMALL, *more), **options)


def settings(program: LearnedProgram) -> dict[str, Any]:
    found: dict[str, Any] = program.store.blobs.get_json(program.entry.manifest["blobs"]["spec"])["tasks"]["policy"]
    return found


def test_a_callable_learns_what_the_id_does(tmp_path: Path) -> None:
    by_id = fit("Acrobot-v1", tmp_path / "a", "tasks.policy.ppo.num_envs=8", "tasks.policy.env_options={}")
    given = fit(lambda: gymnasium.make("Acrobot-v1"), tmp_path / "b", "tasks.policy.ppo.num_envs=8")
    assert by_id.name == given.name == "acrobot-v1"
    assert settings(given)["env"] == "given:Acrobot-v1"
    assert by_id.entry.manifest["blobs"]["weights"] == given.entry.manifest["blobs"]["weights"]
    assert [t["value"] for t in by_id.evidence["tasks"]] == [t["value"] for t in given.evidence["tasks"]]


def test_an_environment_is_one_and_is_judged_one_episode_after_the_other(tmp_path: Path) -> None:
    env = cart()
    program = fit(env, tmp_path)
    task = settings(program)
    assert (task["env"], task["ppo"]["num_envs"]) == ("given:CartPole-v1", 1)
    assert task["ppo"]["steps"] == 1024  # as many in all as 32 environments of 32 steps
    choose = greedy(program.program, program.program.tasks["policy"])
    seeds = range(HELD_OUT, HELD_OUT + 5)
    together = rollout("CartPole-v1", choose, seeds, options=LIMIT)
    with using(given={"given:CartPole-v1": env}):
        one_by_one = rollout("given:CartPole-v1", choose, seeds)
    assert np.array_equal(together.returns, one_by_one.returns)
    assert np.array_equal(together.lengths, one_by_one.lengths)
    assert program.evidence["tasks"][0]["value"] == pytest.approx(-together.returns.mean())
    env.reset()  # it was not closed
    env.step(0)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_batch_keeps_its_size_and_its_way_to_reset(mode: AutoresetMode, tmp_path: Path) -> None:
    batch = SyncVectorEnv([cart] * 4, autoreset_mode=mode)
    program = fit(batch, tmp_path)
    assert (settings(program)["ppo"]["num_envs"], settings(program)["ppo"]["steps"]) == (4, 256)
    choose = greedy(program.program, program.program.tasks["policy"])
    together = rollout("CartPole-v1", choose, range(HELD_OUT, HELD_OUT + 10), options=LIMIT)
    with using(given={"given:CartPole-v1": batch}):  # two waves and a half
        waves = rollout("given:CartPole-v1", choose, range(HELD_OUT, HELD_OUT + 10))
    assert np.array_equal(together.returns, waves.returns)
    assert not batch.closed


def test_a_callable_that_makes_a_batch(tmp_path: Path) -> None:
    program = fit(lambda: SyncVectorEnv([cart] * 2, autoreset_mode=AutoresetMode.SAME_STEP), tmp_path)
    assert settings(program)["ppo"]["num_envs"] == 2


def test_a_batch_of_another_size_than_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="one environment cannot be 8"):
        fit(cart(), tmp_path, "tasks.policy.ppo.num_envs=8")


@pytest.mark.parametrize("algorithm", ["dqn", "es"])
def test_other_algorithms(algorithm: str, tmp_path: Path) -> None:
    more = ("tasks.policy.es.population=4",) if algorithm == "es" else ("tasks.policy.dqn.replay.warmup=16",)
    env = cart if algorithm == "es" else cart()
    assert settings(fit(env, tmp_path, *more, algorithm=algorithm))["algorithm"] == algorithm


@pytest.mark.parametrize("algorithm", ["value_iteration", "q_learning"])
def test_tables_too(algorithm: str, tmp_path: Path) -> None:
    def lake() -> gymnasium.Env[Any, Any]:
        return gymnasium.make("FrozenLake-v1", is_slippery=False)

    steps = "tasks.policy.q_learning.steps=20000"
    program = pellucid.fit(env=lake, algorithm=algorithm, store=tmp_path, overrides=(*SMALL[1:4], steps))
    if algorithm == "value_iteration":
        assert program.evidence["tasks"][0]["value"] == -1.0  # the goal, in every episode
    env = lake()
    again = pellucid.fit(env=env, algorithm=algorithm, store=tmp_path / "env", overrides=(*SMALL[1:4], steps))
    assert again.entry.manifest["blobs"]["evidence"] == program.entry.manifest["blobs"]["evidence"]
    env.reset()  # it was not closed
    env.step(0)
    with pytest.raises(SpecError, match="not a batch"):
        pellucid.fit(env=SyncVectorEnv([lake]), algorithm=algorithm, store=tmp_path / "batch")


def test_later_it_is_asked_for_by_name(tmp_path: Path) -> None:
    program = fit(cart, tmp_path)
    task = program.program.tasks["policy"]
    with pytest.raises(SpecError, match="the environment 'CartPole-v1' was given as an object") as caught:
        outputs_table(program.program, task, None, episodes=2)
    assert "given:CartPole-v1" in caught.value.where
    again = fit(cart, tmp_path, "seed=1")  # the same program, another version
    assert again.name == program.name


def test_a_spec_whose_environment_is_given(tmp_path: Path) -> None:
    spec = tmp_path / "mine.yaml"
    ppo = "{num_envs: 2, steps: 16, minibatch: 16}"
    spec.write_text(f"name: mine\ntasks: {{policy: {{kind: control, env: 'given:cart', ppo: {ppo}}}}}\n")
    program = pellucid.fit(spec, env=cart, store=tmp_path / "store", overrides=SMALL)
    assert settings(program)["env"] == "given:cart"
    with pytest.raises(SpecError, match="the environment 'cart' was given as an object"):
        pellucid.fit(spec, store=tmp_path / "other", overrides=SMALL)
    spec.write_text(spec.read_text().replace("given:cart", "CartPole-v1"))
    with pytest.raises(SpecError, match="the spec's environment is CartPole-v1, not an object"):
        pellucid.fit(spec, env=cart, store=tmp_path / "other", overrides=SMALL)


def test_a_wrapped_model_is_judged_in_an_object(tmp_path: Path) -> None:
    model = pellucid.wrap(
        lambda x: np.stack([x[:, 2] < 0, x[:, 2] >= 0], axis=1).astype(float),
        inputs=["cart_position", "cart_velocity", "pole_angle", "pole_velocity"],
        kind="control",
        outputs=["left", "right"],
    )
    by_id = model.evaluate(env="CartPole-v1", episodes=4)
    given = model.evaluate(env=lambda: gymnasium.make("CartPole-v1"), episodes=4)
    assert by_id["value"] == given["value"]
