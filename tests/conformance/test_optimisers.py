"""Every learner works with every optimiser and every schedule, through the loop and the spec that users write."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from pellucid import optim
from pellucid.assemble import assemble, problem
from pellucid.spec.loader import spec_from
from pellucid.train.loop import Hooks
from pellucid.train.state import flatten, restore

REPLAY = {"size": 60, "warmup": 20}
PPO = {"num_envs": 4, "steps": 8, "minibatch": 16, "epochs": 2}
TASKS: dict[str, dict[str, Any]] = {
    "supervised": {"kind": "regress"},
    "ppo": {"env": "CartPole-v1", "ppo": PPO},
    "ppo box": {"env": "Pendulum-v1", "ppo": PPO},
    "a2c": {"env": "CartPole-v1", "algorithm": "a2c", "a2c": {"num_envs": 4, "steps": 4}},
    "dqn": {
        "env": "CartPole-v1",
        "algorithm": "dqn",
        "dqn": {"num_envs": 4, "steps": 3, "updates": 3, "batch": 16, "replay": REPLAY},
    },
    "sac": {
        "env": "Pendulum-v1",
        "algorithm": "sac",
        "sac": {"num_envs": 2, "steps": 3, "updates": 2, "batch": 16, "replay": REPLAY},
    },
    "es": {"env": "CartPole-v1", "algorithm": "es", "es": {"population": 4, "limit": 10}},
    "direct": {"env": "pellucid/PlantedTrading-v0", "algorithm": "direct", "direct": {"paths": 8, "steps": 4}},
}
SCHEDULES = ("constant", "linear", "cosine", "one_cycle")
UPDATES = 6


@lru_cache
def _problem(kind: str, optimiser: str, schedule: str):
    task = {"kind": "control", **TASKS[kind]}
    raw: dict[str, Any] = {"name": "case", "tasks": {"target" if kind == "supervised" else "p": task}}
    if kind == "supervised":
        raw["data"] = {"kind": "table", "source": "diabetes", "target": "target"}
    raw["network"] = {"width": 8}
    raw["train"] = {
        "updates": UPDATES, "batch": 32, "optimiser": optimiser, "schedule": schedule, "warmup": 0.2, "lr": 1e-3
    }  # fmt: skip
    return problem(spec_from(raw, where="test"))


def _assembly(kind: str, optimiser: str, schedule: str):
    found = _problem(kind, optimiser, schedule)
    return assemble(found, None if found.rows is None else np.arange(100), seed=0)


def _trained(kind: str, optimiser: str, schedule: str, *, cut: int | None = None) -> dict[str, torch.Tensor]:
    """Weights after the run; with `cut`, of a run that was saved there and went on in another assembly."""
    made = _assembly(kind, optimiser, schedule)
    if cut is not None:
        kept: list[Any] = []

        def keep(state: Any) -> None:
            kept.append(flatten(state))

        config = made.config.__class__(**{**vars(made.config), "checkpoint_every": cut})
        made.trainer.run(config, Hooks(made.schedule, save=keep))
        made = _assembly(kind, optimiser, schedule)
        made.trainer.set_state(restore(*kept[0]))
        assert made.trainer.update == cut
    made.trainer.run(made.config, Hooks(made.schedule))
    return {name: p.detach().clone() for name, p in made.program.network.named_parameters()}


@pytest.mark.parametrize("optimiser", optim.ALL)
@pytest.mark.parametrize("kind", TASKS)
def test_every_optimiser_moves_every_learner_and_goes_on_exactly(kind, optimiser):
    before = dict(_assembly(kind, optimiser, "constant").program.network.named_parameters())
    after = _trained(kind, optimiser, "constant")
    assert all(bool(p.isfinite().all()) for p in after.values())
    moved = [name for name, p in after.items() if not torch.equal(p, before[name])]
    assert len(moved) >= len(after) // 2
    again = _trained(kind, optimiser, "constant", cut=UPDATES // 2)
    assert all(torch.equal(p, again[name]) for name, p in after.items())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", TASKS)
def test_every_schedule_goes_with_every_learner(kind, schedule):
    after = _trained(kind, "adamw", schedule)
    assert all(bool(p.isfinite().all()) for p in after.values())
    if schedule != "constant":
        constant = _trained(kind, "adamw", "constant")
        assert any(not torch.equal(p, constant[name]) for name, p in after.items())
