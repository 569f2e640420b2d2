"""One seed: two fits give the same weights, bit by bit, for every task; another seed and another combination differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pellucid
from pellucid.assemble import assemble, problem
from pellucid.runs.progress import one_thread
from pellucid.spec.loader import spec_from
from pellucid.spec.presets import env_spec
from pellucid.train.loop import Hooks

ROOT = Path(__file__).parents[2]
SMALL = (
    "data.source=planted",
    "data.window=5",
    "data.start=2001-01-01",
    "data.end=2005-12-31",
    "tasks.trade.ppo.num_envs=8",
    "tasks.trade.ppo.steps=16",
    "tasks.trade.ppo.minibatch=32",
    "tasks.trade.episode_days=60",
    "network.width=32",
    "train.updates=20",
    "evidence.folds=1",
    "evidence.controls=false",
    "review.rows=200",
    "explain.background=8",
    "explain.evaluations=40",
)
STOCKS = ROOT / "examples" / "stocks.yaml"


def _trained(spec, train) -> dict[str, torch.Tensor]:
    with one_thread():
        made = assemble(problem(spec), train, seed=spec.seed)
        made.trainer.run(made.config, Hooks(made.schedule))
    return {name: tensor.clone() for name, tensor in made.program.network.state_dict().items()}


def _stocks(*overrides: str):
    from pellucid.spec.loader import load_spec

    return load_spec(STOCKS, (*SMALL, *overrides))


def _differing(a, b) -> set[str]:
    assert a.keys() == b.keys()
    return {name for name in a if not torch.equal(a[name], b[name])}


TRAIN = np.arange(500)
CARTPOLE = env_spec("CartPole-v1", overrides=("train.updates=40", "tasks.policy.ppo.num_envs=8"))


@pytest.fixture(scope="module")
def reference():
    return _trained(_stocks(), TRAIN)


def test_three_tasks_on_one_trunk_are_repeatable(reference):
    torch.manual_seed(5)  # what else drew random numbers does not matter
    np.random.seed(5)
    torch.rand(3)
    assert _differing(reference, _trained(_stocks(), TRAIN)) == set()


def test_another_seed_gives_other_weights_everywhere(reference):
    assert _differing(reference, _trained(_stocks("seed=1"), TRAIN)) == set(reference)


def test_every_task_leaves_its_mark(reference):
    """Each head has moved, and each task moves the trunk: without one of them the trunk ends elsewhere."""
    with one_thread():
        start = assemble(problem(_stocks()), TRAIN, seed=0).program.network.state_dict()
    assert _differing(reference, start) == set(reference)
    for name in ("forecast", "risk", "trade"):
        lighter = _trained(_stocks(f"tasks.{name}.weight=0.5"), TRAIN)
        assert any(k.startswith("trunk") for k in _differing(reference, lighter)), name


def test_upgrad_goes_elsewhere_and_is_repeatable(reference):
    upgrad = _trained(_stocks("train.combine=upgrad"), TRAIN)
    assert any(name.startswith("trunk") for name in _differing(reference, upgrad))
    assert all(bool(torch.isfinite(t).all()) for t in upgrad.values())
    assert _differing(upgrad, _trained(_stocks("train.combine=upgrad"), TRAIN)) == set()


def test_cartpole_is_repeatable():
    one = _trained(CARTPOLE, None)
    assert _differing(one, _trained(CARTPOLE, None)) == set()
    assert _differing(one, _trained(CARTPOLE.replace({"seed": 1}), None)) == set(one)


def test_pendulum_is_repeatable():
    """Continuous actions, environments one by one."""
    ppo = {"num_envs": 4, "steps": 16, "minibatch": 32}
    spec = spec_from(
        {
            "name": "p",
            "tasks": {"swing": {"kind": "control", "env": "Pendulum-v1", "ppo": ppo}},
            "train": {"updates": 20},
            "network": {"width": 16},
        },
        where="test",
    )
    one = _trained(spec, None)
    assert _differing(one, _trained(spec, None)) == set()
    counts = {name for name in one if name.endswith(".count")}  # how much was observed, whatever it was
    assert _differing(one, _trained(spec.replace({"seed": 1}), None)) == set(one) - counts


# Whole fits, in processes of their own

FIT = """
import json, sys
import pellucid
program = pellucid.fit({source}, store=sys.argv[1], overrides=sys.argv[2:])
print(json.dumps(program.entry.manifest))
"""


def _fit(source: str, store: Path, overrides: tuple[str, ...], threads: int) -> dict:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    code = FIT.format(source=source)
    done = subprocess.run(
        [sys.executable, "-c", code, str(store), *overrides], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "overrides"),
    [
        (repr(str(STOCKS)), (*SMALL, "network.width=256")),
        ("env='CartPole-v1'", ("train.updates=100", "network.width=256", "evidence.episodes=5")),
    ],
    ids=["stocks", "CartPole"],
)
def test_two_processes_agree_to_the_last_byte_whatever_their_threads(tmp_path, source, overrides):
    """Weights, evidence, outputs and attributions. Wide enough that numpy's BLAS would share out its sums."""
    one = _fit(source, tmp_path / "one", overrides, threads=1)
    two = _fit(source, tmp_path / "two", overrides, threads=2)
    assert one["blobs"]["weights"] == two["blobs"]["weights"]
    differing = {role for role in one["blobs"] if one["blobs"][role] != two["blobs"][role]}
    assert differing == set()


@pytest.mark.slow
def test_the_choice_of_combining_works_end_to_end(tmp_path):
    sums = pellucid.fit(STOCKS, store=tmp_path / "sum", overrides=SMALL)
    upgrad = pellucid.fit(STOCKS, store=tmp_path / "upgrad", overrides=(*SMALL, "train.combine=upgrad"))
    assert sums.entry.manifest["blobs"]["weights"] != upgrad.entry.manifest["blobs"]["weights"]
    for program in (sums, upgrad):
        assert {entry["task"] for entry in program.evidence["tasks"]} == {"forecast", "risk", "trade"}
        assert all(np.isfinite(entry["value"]) for entry in program.evidence["tasks"])
