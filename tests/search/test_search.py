"""Samplers, pruners and the journal on losses that are known: no training here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.core.errors import CorruptBlob, DataError, SpecError
from pellucid.search import ALL, RUNGS, Attempt, Dimension, Journal, Params, Plan, Trial, best_of, search

DIMS = (
    Dimension("lr", "float", 1e-4, 1.0, log=True),
    Dimension("width", "int", 1, 64, log=True),
    Dimension("kind", "choice", 0, 1, choices=("a", "b")),
)
FIRST: Params = {"lr": 0.5, "width": 60, "kind": "a"}


def bowl(params: Params) -> float:
    """0 at lr = 0.01, width = 8, kind b."""
    return (
        (math.log10(params["lr"]) + 2) ** 2
        + (math.log2(params["width"]) - 3) ** 2
        + (0.5 if params["kind"] == "a" else 0.0)
    )


def attempt(loss: Callable[[Params], float]) -> Callable[[Params, Callable[[int, float], bool]], Attempt]:
    """A trial whose loss falls towards its end as 1 / rung."""

    def run(params: Params, prune: Callable[[int, float], bool]) -> Attempt:
        curve: list[float] = []
        for rung in range(1, RUNGS + 1):
            curve.append(loss(params) + 1.0 / rung)
            if prune(rung, curve[-1]):
                return Attempt("pruned", tuple(curve))
        return Attempt("done", tuple(curve))

    return run


def run(
    file: Path,
    sampler: str,
    trials: int,
    *,
    pruner: str = "none",
    loss: Callable[[Params], float] = bowl,
    seed: int = 3,
    resume: bool = False,
) -> list[Trial]:
    journal = Journal(file, {"spec": sampler}, resume=resume)
    plan = Plan(DIMS, sampler, pruner, trials, None, seed)
    found = search(plan, journal, FIRST, attempt(loss), lambda _: None)
    return [Trial(t.number, t.params, t.state, t.curve, t.why, 0.0, t.marks) for t in found]


@pytest.mark.parametrize("pruner", ["none", "median", "hyperband"])
@pytest.mark.parametrize("sampler", ALL)
def test_the_same_seed_gives_the_same_trials_and_resumed_equals_uninterrupted(
    sampler: str, pruner: str, tmp_path: Path
) -> None:
    whole = run(tmp_path / "a", sampler, 24, pruner=pruner)
    assert run(tmp_path / "b", sampler, 24, pruner=pruner) == whole
    for cut in (1, 7, 17):
        run(tmp_path / "c", sampler, cut, pruner=pruner)
        assert run(tmp_path / "c", sampler, 24, pruner=pruner, resume=True) == whole
    assert run(tmp_path / "d", sampler, 24, pruner=pruner, seed=4) != whole
    assert whole[0].params == FIRST


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_sampler_that_learns_beats_drawing_evenly(sampler: str, tmp_path: Path) -> None:
    """The mean loss of the second half of 60 trials, over five seeds."""

    def late(name: str, seed: int) -> float:
        return float(np.mean([t.loss for t in run(tmp_path / "a", name, 60, seed=seed)[30:]]))

    seeds = range(5)
    assert np.mean([late(sampler, s) for s in seeds]) < 0.6 * np.mean([late("random", s) for s in seeds])


def test_a_search_finds_the_bottom(tmp_path: Path) -> None:
    best = best_of(run(tmp_path / "a", "tpe", 60))
    assert best is not None
    assert best.loss - 1 / RUNGS < 0.2 < bowl(FIRST)


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_pruners_end_the_bad_trials_and_save_work(pruner: str, tmp_path: Path) -> None:
    trials = run(tmp_path / "a", "random", 40, pruner=pruner)
    pruned = [t for t in trials if t.state == "pruned"]
    assert 10 <= len(pruned) < 40
    assert sum(len(t.curve) for t in trials) < 0.75 * 40 * RUNGS
    best = best_of(trials)
    assert best is not None
    assert best.loss < np.quantile([bowl(t.params) + 1 / RUNGS for t in trials], 0.2)


def test_of_equal_trials_the_spec_as_it_stands_is_best(tmp_path: Path) -> None:
    best = best_of(run(tmp_path / "a", "tpe", 15, loss=lambda params: 1.0, pruner="median"))
    assert best is not None
    assert best.number == 0


@pytest.mark.parametrize("sampler", ALL)
def test_trials_that_fail_are_kept_and_are_not_the_best(sampler: str, tmp_path: Path) -> None:
    def torn(params: Params, prune: Callable[[int, float], bool]) -> Attempt:
        if params["lr"] > 0.02:
            return Attempt("failed", (), "the loss is nan at update 3")
        return attempt(bowl)(params, prune)

    journal = Journal(tmp_path / "a", {}, resume=False)
    found = search(Plan(DIMS, sampler, "median", 25, None, 0), journal, FIRST, torn, lambda _: None)
    assert found[0].state == "failed"
    assert all(t.state == "failed" for t in found if t.params["lr"] > 0.02)
    best = best_of(found)
    assert best is not None
    assert best.params["lr"] <= 0.02
    assert [t.to_json() for t in Journal(tmp_path / "a", {}, resume=True).trials] == [t.to_json() for t in found]


def test_a_spec_outside_the_ranges_is_tried_first_all_the_same(tmp_path: Path) -> None:
    outside = {**FIRST, "width": 1000}
    journal = Journal(tmp_path / "a", {}, resume=False)
    found = search(Plan(DIMS, "tpe", "median", 12, None, 0), journal, outside, attempt(bowl), lambda _: None)
    assert found[0].params == outside
    again = Journal(tmp_path / "a", {}, resume=True)
    more = search(Plan(DIMS, "tpe", "median", 14, None, 0), again, outside, attempt(bowl), lambda _: None)
    assert [t.to_json() for t in more[:12]] == [t.to_json() for t in found]


def test_no_trial_begins_after_the_time_is_up(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a", {}, resume=False)
    found = search(Plan(DIMS, "random", "none", 1000, 1e-6, 0), journal, FIRST, attempt(bowl), lambda _: None)
    assert len(found) == 1


def test_cma_es_needs_two_settings(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a", {}, resume=False)
    with pytest.raises(SpecError, match="two settings"):
        search(
            Plan(DIMS[:1], "cmaes", "none", 3, None, 0), journal, {"lr": 0.5}, attempt(lambda p: 0.0), lambda _: None
        )


def trial(number: int, **rest: Any) -> Trial:
    return Trial(number, {"lr": 0.1 + number}, "done", (0.5, 0.25), **rest)


def test_a_journal_survives_a_torn_line_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    journal = Journal(file, {"spec": "s"}, resume=False)
    for number in range(3):
        journal.add(trial(number))
    whole = file.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1):
        file.write_bytes(whole[:-cut])
        again = Journal(file, {"spec": "s"}, resume=True)
        assert [t.number for t in again.trials] == [0, 1]
        again.add(trial(2))
        assert file.read_bytes() == whole
    file.write_bytes(whole.replace(b'"number": 0', b'"number" 0'))
    with pytest.raises(CorruptBlob, match="line 2"):
        Journal(file, {"spec": "s"}, resume=True)


def test_a_journal_belongs_to_one_search(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    Journal(file, {"spec": "s", "data": "d"}, resume=False).add(trial(0))
    with pytest.raises(DataError, match="another data"):
        Journal(file, {"spec": "s", "data": "e"}, resume=True)
    assert Journal(file, {"spec": "s", "data": "e"}, resume=False).trials == []


def test_a_journal_holds_json_alone(tmp_path: Path) -> None:
    run(tmp_path / "a", "tpe", 12, pruner="hyperband")
    lines = [json.loads(line) for line in (tmp_path / "a").read_text().splitlines()]
    assert len(lines) == 13
    assert any(line["trial"]["marks"] for line in lines[1:])  # what hyperband remembers is there


def test_a_time_budget_ends_a_trial_as_it_ends_a_fit() -> None:
    from pellucid.assemble import assemble, problem
    from pellucid.search import trained
    from pellucid.spec.loader import build_spec

    spec = build_spec(
        name="a",
        data={"kind": "table", "source": "wine", "target": "target"},
        network={"width": 4, "depth": 1},
        train={"updates": 100_000},
    )
    prob = problem(spec)
    seen: list[float] = []
    done = trained(
        lambda: assemble(prob, np.arange(100), seed=0),
        lambda program: seen.append(0.5) or 0.5,
        lambda rung, loss: False,
        look=True,
        stop=lambda: False,
        seconds=0.05,
    )
    assert done.state == "done"
    assert done.curve == (0.5,) * RUNGS
    assert len(seen) == 1
