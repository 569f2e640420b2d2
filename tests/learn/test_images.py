"""PPO and DQN learn to catch from pixels alone. A paddle at random scores about -0.7, the best constant one -0.8."""

from __future__ import annotations

from typing import Any

import pytest

import small_worlds  # noqa: F401 - registers Catch
from pellucid.assemble import assemble, problem
from pellucid.nn.conv import ImageEncoder
from pellucid.runs.outputs import HELD_OUT
from pellucid.runs.policies import greedy, rollout
from pellucid.runs.progress import one_thread
from pellucid.spec.presets import env_spec
from pellucid.train.loop import Hooks

pytestmark = pytest.mark.slow

PPO = {"num_envs": 16, "minibatch": 128, "discount": 0.9, "gae_lambda": 0.95, "entropy": 0.02}
DQN = {"batch": 64, "updates": 32, "replay.size": 20000, "replay.n_step": 3, "explore.steps": 6000}


@pytest.mark.parametrize(
    ("algorithm", "section", "train"),
    [("ppo", PPO, {"updates": 1500}), ("dqn", DQN, {"updates": 3000, "lr": 1e-3})],
)
def test_catch_is_learned_from_pixels(algorithm: str, section: dict[str, Any], train: dict[str, Any]) -> None:
    settings = {f"tasks.policy.{algorithm}.{name}": value for name, value in section.items()}
    settings |= {f"train.{name}": value for name, value in train.items()} | {"network.width": 32}
    overrides = ("network.activation=relu", *(f"{name}={value}" for name, value in settings.items()))
    assembly = assemble(problem(env_spec("Catch-v0", algorithm=algorithm, overrides=overrides)), None, seed=0)
    assert isinstance(assembly.program.network.encoders["_image"], ImageEncoder)

    def score() -> float:
        task = assembly.program.tasks["policy"]
        seeds = range(HELD_OUT, HELD_OUT + 100)
        return float(rollout("Catch-v0", greedy(assembly.program, task), seeds).returns.mean())

    with one_thread():
        assert score() < -0.3, "it must not catch before it has learned"
        assembly.trainer.run(assembly.config, Hooks(schedule=assembly.schedule))
        assert score() > 0.6
