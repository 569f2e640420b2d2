"""Tuned configurations reach their environment's threshold; the seeds here are neither tuned on nor reported."""

from __future__ import annotations

import gymnasium
import pytest

from pellucid.assemble import assemble, problem
from pellucid.runs.policies import greedy, rollout
from pellucid.runs.progress import one_thread
from pellucid.spec.presets import env_spec
from pellucid.train.loop import Hooks

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("env", "overrides"),
    [
        ("MountainCarContinuous-v0", ("train.updates=20",)),  # half the tuned budget is enough here
        ("InvertedPendulum-v5", ("train.updates=2400",)),
    ],
)
def test_the_threshold_is_reached(env: str, overrides: tuple[str, ...]) -> None:
    threshold = gymnasium.spec(env).reward_threshold
    assert threshold is not None
    assembly = assemble(problem(env_spec(env, overrides=("seed=50", *overrides))), None, seed=50)

    def mean() -> float:
        program = assembly.finish()
        return float(rollout(env, greedy(program, program.tasks["policy"]), range(8_000_000, 8_000_030)).returns.mean())

    assert mean() < threshold / 2  # before
    with one_thread():
        assembly.trainer.run(assembly.config, Hooks(assembly.schedule))
    assert mean() >= threshold
