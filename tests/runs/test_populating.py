"""Population-based training: the same seed, the same course; resumed equals uninterrupted; a course is a spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.core.errors import Interrupted, SpecError
from pellucid.runs import searching
from pellucid.runs.progress import Silent
from pellucid.runs.searching import run_search
from pellucid.spec.loader import build_spec
from pellucid.spec.model import Spec
from pellucid.store.store import Store
from pellucid.train.loop import Hooks
from pellucid.train.phases import Phase, Phases
from planted_table import pressed_after, table

SPACE: dict[str, Any] = {
    "train.lr": {"low": 1e-5, "high": 1e-1, "log": True},
    "train.weight_decay": {"low": 1e-4, "high": 1, "log": True},
}


def spec_of(file: Path, **population: Any) -> Spec:
    return build_spec(
        name="found",
        data={"kind": "table", "source": str(file), "target": "y"},
        network={"width": 8, "depth": 1},
        train={"updates": 40, "lr": 1e-5, "batch": 64},
        evidence={"folds": 2},
        search={
            "space": SPACE,
            "sampler": "population",
            "population": {"size": 4, "rounds": 4, "share": 0.5, **population},
        },
    )


def run(spec: Spec, folder: Path, **rest: Any) -> searching.Searched:
    return run_search(spec, Store(folder), reporter=Silent(), **rest)


def test_it_beats_a_bad_default_and_its_course_is_a_spec(tmp_path: Path) -> None:
    done = run(spec_of(table(tmp_path)), tmp_path / "store")
    assert done.found["confirm"]["verdict"] == "better"
    assert "train.phased" not in done.found["space"]
    tried = done.found["trials"]
    assert len(tried) == 4 + 3 * 2  # two members are replaced after each round but the last
    assert sum(t["state"] == "pruned" for t in tried) == 6
    assert Store(tmp_path / "store").trials("found") == 10
    starts = [phase.start for phase in done.spec.train.phased.phases]
    assert starts == sorted(starts)
    assert set(starts) <= {0.25, 0.5, 0.75}
    for t in tried:
        assert 1e-5 <= t["params"]["train.lr"] <= 1e-1
        assert 1e-4 <= t["params"]["train.weight_decay"] <= 1


def test_the_same_seed_gives_the_same_course_and_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(table(tmp_path))
    whole = run(spec, tmp_path / "a")
    assert run(spec.replace({"seed": 1}), tmp_path / "c").found != whole.found
    for asked in (60, 55):  # in the second round, then in another
        with monkeypatch.context() as patch:
            patch.setattr(searching, "interruptible", lambda asked=asked: pressed_after(asked))
            with pytest.raises(Interrupted):
                run(spec, tmp_path / "b", resume=True)
    done = run(spec, tmp_path / "b", resume=True)
    assert json.dumps(done.found) == json.dumps(whole.found)
    assert done.spec.sha() == whole.spec.sha()
    assert Store(tmp_path / "b").trials("found") == 10


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    spec = spec_of(table(tmp_path))
    with pytest.raises(SpecError, match=r"outside the range of train\.lr"):
        run(spec.replace({"train.lr": 1e-7}), tmp_path / "a")
    for path, value in (("early_stop.held_out", 0.2), ("budget.seconds", 9.0)):
        with pytest.raises(SpecError, match=rf"does not go with train\.{path}"):
            run(spec.replace({f"train.{path}": value}), tmp_path / "b")


# Phases


def weights(spec: Spec, *, cut: int | None = None) -> np.ndarray[Any, Any]:
    """After a training; with `cut`, stopped there and gone on with in a new trainer."""
    prob = problem(spec)
    assert prob.rows is not None
    train = np.arange(len(prob.rows))
    assembly = assemble(prob, train, seed=3)
    if cut is not None:
        states: list[Any] = []
        hooks = Hooks(assembly.schedule, states.append, None, lambda: assembly.trainer.update == cut)
        with pytest.raises(Interrupted):
            assembly.trainer.run(assembly.config, hooks)
        again = assemble(prob, train, seed=3)
        again.trainer.set_state(states[-1])
        assembly = again
    assembly.trainer.run(assembly.config, Hooks(assembly.schedule))
    return torch.cat([p.detach().reshape(-1) for p in assembly.program.network.parameters()]).numpy()


def phased(file: Path, *phases: dict[str, Any], **train: Any) -> Spec:
    spec = spec_of(file).replace({"search": None, "train.phased.phases": list(phases)})
    return spec.replace({f"train.{key}": value for key, value in {"lr": 1e-2, **train}.items()})


def test_phases_that_change_nothing_change_nothing(tmp_path: Path) -> None:
    file = table(tmp_path)
    same = phased(file, {"start": 0.25, "lr": 1e-2}, {"start": 0.5, "weight_decay": 1e-2})
    assert np.array_equal(weights(phased(file)), weights(same))


def test_a_phase_from_the_start_is_the_spec_with_its_rates(tmp_path: Path) -> None:
    file = table(tmp_path)
    there = weights(phased(file, {"start": 0, "lr": 2e-2, "weight_decay": 0.5}))
    assert np.allclose(there, weights(phased(file, lr=2e-2, weight_decay=0.5)), atol=1e-6)
    assert not np.allclose(there, weights(phased(file)), atol=1e-3)


def test_phases_resume_bit_by_bit(tmp_path: Path) -> None:
    spec = phased(table(tmp_path), {"start": 0.25, "lr": 1e-3}, {"start": 0.5, "lr": 3e-2, "weight_decay": 0.3})
    whole = weights(spec)
    for cut in (5, 10, 15, 25):
        assert np.array_equal(weights(spec, cut=cut), whole)


def test_the_last_phase_that_began_counts() -> None:
    seen: list[tuple[float, float | None]] = []
    part = Phases(lambda *rates: seen.append(rates), [Phase(2, 0.5, None), Phase(4, 0.1, 0.2)])
    for update in range(6):
        part.after_step(update)
    assert seen == [(0.5, None), (0.1, 0.2)]
    part.set_state({"done": 3})
    assert seen[-1] == (0.5, None)
    assert part.get_state() == {"done": 3}


def test_starts_increase() -> None:
    with pytest.raises(SpecError, match="starts increase"):
        build_spec(
            name="a",
            data={"kind": "table", "source": "wine", "target": "target"},
            train={"phased": {"phases": [{"start": 0.5}, {"start": 0.25}]}},
        )
