"""Policies reach the optimum of markets whose optimum is known (short forms of bench/planted.py)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.rl.planted_optimum import optimum, program_worth
from pellucid.runs.progress import one_thread
from pellucid.spec.loader import load_spec
from pellucid.train.loop import Hooks

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

ROOT = Path(__file__).parents[2]


def share(phi: float, cost: float, *overrides: str, direct: bool = False) -> float:
    """Of g*, by the greedy policy, exactly. Seed 0."""
    spec = load_spec(ROOT / f"examples/planted{'_direct' if direct else ''}.yaml", list(overrides))
    spec = spec.replace({"tasks.trade.env_options.phi": phi, "tasks.trade.env_options.cost": cost})
    with one_thread():
        made = assemble(problem(spec), None, seed=0)
        made.trainer.run(made.config, Hooks(made.schedule))
    program = made.finish()
    return program_worth(program, program.tasks["trade"], phi, cost) / optimum(phi, cost).reward


def test_ppo_in_a_second() -> None:
    """A tenth of the updates, smaller minibatches; the rule of the sign earns 80 %, trading what pays at once 87 %."""
    short = ("train.updates=400", "tasks.trade.ppo.minibatch=1024", "tasks.trade.ppo.num_envs=64")
    assert share(0.9, 1.0, *short) >= 0.95
    assert share(0.9, 1.0, "train.updates=1") < 0.9


def test_direct_in_a_few_seconds() -> None:
    assert share(0.9, 1.0, "train.updates=100", "tasks.trade.direct.steps=32", direct=True) >= 0.98
    assert share(0.9, 1.0, "train.updates=1", direct=True) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("phi", "cost"), [(0.0, 1.0), (0.9, 1.0), (0.95, 1.0), (0.95, 2.0), (0.99, 5.0)])
def test_ppo_reaches_the_optimum(phi: float, cost: float) -> None:
    assert share(phi, cost) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("phi", "cost"), [(0.0, 1.0), (0.99, 5.0)])
def test_direct_reaches_the_optimum(phi: float, cost: float) -> None:
    assert share(phi, cost, direct=True) >= 0.985


@pytest.fixture(scope="module")
def bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_planted", ROOT / "bench/planted.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_evidence_tells_skill_from_luck(bench: Any) -> None:
    torch.set_num_threads(1)
    planted = [bench.skill("planted", seed) for seed in (2000, 2001, 2002)]
    walks = [bench.skill("random_walk", seed) for seed in (2000, 2001, 2002)]
    assert all(found["skill"] for found in planted)
    assert not any(found["skill"] for found in walks)
    assert not any(found["constant_skill"] for found in planted + walks)


@pytest.mark.slow
def test_the_leak_is_found(bench: Any) -> None:
    torch.set_num_threads(1)
    assert bench.leak("ppo", 0.0, 0)["share"] >= 0.99


@pytest.mark.slow
def test_the_critic_knows_the_noise(bench: Any) -> None:
    torch.set_num_threads(1)
    found = bench.critic(0)
    assert np.abs(found["ratio"] - 1) <= 0.02
