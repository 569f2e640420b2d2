"""`kill -9` at any moment of `pellucid fit`, then `--resume`: everything that is kept is bit-identical.

Not the weights alone: the whole manifest (weights, outputs on the review rows, evidence, attributions) of the resumed
run equals that of the uninterrupted one, and the store is sound, holds one version, one trial and nothing half done.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pellucid.runs.fit import fit
from pellucid.spec.loader import spec_from
from pellucid.store.store import Store

KILLING = Path(__file__).with_name("killing.py")
EXPLAIN = "explain: {background: 8, evaluations: 40}"
SPECS = {
    "table": f"""
name: tiny
data: {{kind: table, source: breast_cancer, target: target}}
network: {{width: 16}}
train: {{updates: 90, batch: 32, checkpoint_every: 3, noise: 0.5}}
evidence: {{folds: 2}}
{EXPLAIN}
""",
    "cartpole": f"""
name: tiny
tasks: {{policy: {{kind: control, env: CartPole-v1, ppo: {{num_envs: 8, steps: 16, minibatch: 32, epochs: 2}}}}}}
network: {{width: 16, activation: tanh}}
train: {{updates: 150, checkpoint_every: 3, optimiser: momentum}}
evidence: {{episodes: 5}}
{EXPLAIN}
""",
    "trading": f"""
name: tiny
data: {{kind: prices, source: planted, window: 5, scale_days: 60, start: "2001-01-01", end: "2005-12-31"}}
tasks:
  forecast: {{kind: forecast}}
  risk: {{kind: volatility}}
  trade:
    kind: control
    env: pellucid/StockTrading-v0
    episode_days: 60
    ppo: {{num_envs: 8, steps: 16, minibatch: 32, epochs: 2}}
network: {{width: 16}}
train: {{updates: 60, batch: 64, checkpoint_every: 3, noise: 0.5, combine: upgrad}}
evidence: {{folds: 1}}
review: {{rows: 200}}
{EXPLAIN}
""",
}
# after random updates, at random moments of the whole run, at random writes to disk
KILLS = {"table": (7, 2, 4), "cartpole": (7, 2, 4), "trading": (4, 1, 3)}

POLICY = """
name: tiny
tasks: {{policy: {{kind: control, env: {env}, algorithm: {algorithm}, {algorithm}: {settings}}}}}
network: {{width: 16}}
train: {{updates: {updates}, checkpoint_every: 3, optimiser: adam}}
evidence: {{episodes: 4}}
{explain}
"""
OFF_POLICY = "num_envs: 4, steps: 2, updates: 4, batch: 16, replay: {size: 600, warmup: 40"
SHORT = "env_options: {max_episode_steps: 30}"
POLICIES = {  # algorithm, environment (with what else its task says), its settings, updates
    "ppo on the lake": ("ppo", "FrozenLake-v1", "{num_envs: 8, steps: 16, minibatch: 32, epochs: 2}", 60),
    "ppo on the lake, in two processes": (
        "ppo",
        "FrozenLake-v1, workers: 2",
        "{num_envs: 8, steps: 16, minibatch: 32, epochs: 2}",
        60,
    ),
    "dqn on the cart": ("dqn", "CartPole-v1", f"{{{OFF_POLICY}, n_step: 3}}, priority: {{exponent: 0.6}}}}", 90),
    "dqn on the lake": ("dqn", "FrozenLake-v1", f"{{{OFF_POLICY}}}, duelling: true}}", 90),
    "sac on the pendulum": ("sac", f"Pendulum-v1, {SHORT}", f"{{{OFF_POLICY}}}}}", 60),
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where possible: a kill, unlike a power cut, does not ask what the disk has kept, and fsync is slow."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    made = tempfile.mkdtemp(dir="/dev/shm", prefix="pellucid-")
    yield Path(made)
    shutil.rmtree(made)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["freeze_review", "propose", "add_trial", "accept"])
def test_killed_while_the_version_is_kept(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of its records. The number of trials enters the evidence, so none may be counted twice."""
    spec = spec_from(yaml.safe_load(SPECS["trading"]), overrides=("train.updates=4",), where="test")
    whole = Store(tmp_path / "whole")
    fit(spec, whole)

    def killed(*args: Any, **kwargs: Any) -> None:
        raise MemoryError

    store = Store(tmp_path / "killed")
    for when in ("before", "after"):
        with monkeypatch.context() as patch:
            call = getattr(Store, step)
            patch.setattr(
                Store, step, killed if when == "before" else lambda *a, call=call, **k: (call(*a, **k), killed())
            )
            with pytest.raises(MemoryError):
                fit(spec, store, resume=when == "after")
    fit(spec, store, resume=True)
    assert store.head("tiny").manifest == whole.head("tiny").manifest
    assert (store.trials("tiny"), store.candidates("tiny"), len(store.versions("tiny"))) == (1, [], 1)
    assert not (tmp_path / "killed" / "runs" / "tiny").exists()


def attempts(text: str, folder: Path, seed: int, kills: tuple[int, int, int]) -> list[dict[str, Any]]:
    """What became of fits that were killed and resumed: each is the version that an uninterrupted one would be."""
    spec = folder / "tiny.yaml"
    spec.write_text(text)
    command = [sys.executable, KILLING, folder / "kills", seed, *kills, "fit", spec]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PELLUCID_USER": "tester"}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    whole = found["whole"]
    assert found["rehearsal"]["manifest"] == whole["manifest"], "more checkpoints, or a second run, change the result"
    for attempt in found["attempts"]:
        story = f"{attempt['how']}: exit codes {attempt['codes']}, resumed at {attempt['resumed']}"
        assert attempt["codes"][-1] == 0, f"{story}\n{attempt.get('log', '')[-3000:]}"
        assert attempt["manifest"]["blobs"]["weights"] == whole["manifest"]["blobs"]["weights"], story
        assert attempt["manifest"] == whole["manifest"], story
        assert attempt["problems"] == [], story
        assert (attempt["ref"], attempt["trials"], attempt["candidates"]) == ("tiny@1", 1, 0), story
        assert attempt["left"] == [], story
    tried: list[dict[str, Any]] = found["attempts"]
    return tried


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
def test_every_algorithm_and_its_environment_go_on_where_they_were(name: str, folder: Path) -> None:
    algorithm, env, settings, updates = POLICIES[name]
    text = POLICY.format(env=env, algorithm=algorithm, settings=settings, updates=updates, explain=EXPLAIN)
    tried = attempts(text, folder, 2, (3, 0, 0))
    assert all(-9 in attempt["codes"] for attempt in tried)
    resumed = [update for attempt in tried for stage, update in attempt["resumed"] if stage == "fit"]
    assert len(resumed) >= 2
    assert max(resumed) > updates // 3


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_killed_and_resumed_is_uninterrupted(name: str, folder: Path) -> None:
    tried = attempts(SPECS[name], folder, 1, KILLS[name])
    # The test tested something: enough kills, some twice, and resumes from within a stage.
    codes = [attempt["codes"] for attempt in tried]
    killed = [c for c in codes if -9 in c]
    assert len(killed) >= len(codes) - KILLS[name][1], codes
    assert sum(c.count(-9) for c in codes) > len(killed), codes
    middles = [a for a in tried if a["resumed"]]
    assert len(middles) >= len(codes) // 2, [a["resumed"] for a in tried]
    assert len({(stage, update) for a in middles for stage, update in a["resumed"]}) >= 4
