"""Ranges of a spec: every dotted path and bound is held against the model, with the nearest name."""

from __future__ import annotations

from typing import Any

import pytest

from pellucid.core.errors import SpecError
from pellucid.spec.loader import build_spec
from pellucid.spec.model import Spec
from pellucid.spec.problems import Problem

BASE: dict[str, Any] = {
    "name": "a",
    "data": {"kind": "table", "source": "wine", "target": "target"},
    "tasks": {"kind_of": {"kind": "classify"}},
}
LR = {"train.lr": {"low": 1e-4, "high": 1e-1, "log": True}}


def built(space: dict[str, Any], **search: Any) -> Spec:
    return build_spec(**BASE, search={"space": space, **search})


def wrong(space: dict[str, Any], **search: Any) -> dict[str, Problem]:
    with pytest.raises(SpecError) as caught:
        built(space, **search)
    return {".".join(p.path): p for p in caught.value.problems if isinstance(p, Problem)}


def test_ranges_and_choices() -> None:
    spec = built(
        {**LR, "network.width": {"choices": [16, 64]}, "tasks.kind_of.label_smoothing": {"low": 0, "high": 0.2}}
    )
    assert spec.search is not None
    assert spec.search.space["network.width"].choices == [16, 64]
    assert build_spec(**spec.to_json()).sha() == spec.sha()


@pytest.mark.parametrize(
    ("space", "path", "says"),
    [
        ({"train.lrr": {"low": 1, "high": 2}}, "search.space.train.lrr", "did you mean 'train.lr'?"),
        ({"trian.lr": {"low": 1, "high": 2}}, "search.space.trian.lr", "did you mean 'train'?"),
        (
            {"tasks.kind_off.weight": {"low": 1, "high": 2}},
            "search.space.tasks.kind_off.weight",
            "'tasks.kind_of.weight'",
        ),
        ({"train": {"low": 1, "high": 2}}, "search.space.train", "the section 'train'"),
        ({"data.source": {"choices": ["a", "b"]}}, "search.space.data.source", "below train., network., tasks."),
        ({"seed": {"low": 1, "high": 2}}, "search.space.seed", "below train."),
        ({"train.device": {"choices": ["cpu", "cuda"]}}, "search.space.train.device", "train.updates"),
        ({"train.lr": {"low": -1, "high": 2}}, "search.space.train.lr.low", "a number > 0"),
        ({"train.lr": {"low": 2, "high": 1}}, "search.space.train.lr.high", "more than low"),
        ({"train.lr": {"low": 1}}, "search.space.train.lr", "low and high"),
        ({"train.noise": {"low": 0, "high": 1, "log": True}}, "search.space.train.noise.low", "more than 0"),
        ({"train.lr": {"low": 1, "high": 2, "choices": [1, 2]}}, "search.space.train.lr", "choices alone"),
        ({"network.width": {"low": 1.5, "high": 8}}, "search.space.network.width.low", "a whole number"),
        ({"train.optimiser": {"choices": ["adamw", "lyon"]}}, "search.space.train.optimiser.choices", "lion"),
        ({"train.optimiser": {"choices": ["adamw"]}}, "search.space.train.optimiser.choices", "two choices"),
        ({"train.lr": {"lo": 1, "high": 2}}, "search.space.train.lr.lo", "did you mean 'low'?"),
        ({}, "search.space", ""),
    ],
)
def test_what_the_model_does_not_allow_is_told(space: dict[str, Any], path: str, says: str) -> None:
    found = wrong(space)
    assert says in str(found[path])


def test_all_at_once() -> None:
    found = wrong({"train.lrr": {"low": 1, "high": 2}, "network.kindd": {"choices": [1, 2]}}, sampler="tpee")
    assert len(found) == 3


def test_a_population_changes_what_a_training_under_way_can_change() -> None:
    assert built(LR, sampler="population").search is not None
    assert "train.weight_decay" in str(wrong({"network.width": {"low": 1, "high": 8}}, sampler="population"))


def test_several_tasks_need_one_that_decides() -> None:
    tasks = {"a": {"kind": "forecast"}, "b": {"kind": "volatility"}}
    data = {"kind": "prices", "source": "planted"}
    with pytest.raises(SpecError, match=r"search\.task"):
        build_spec(name="a", data=data, tasks=tasks, search={"space": LR})
    assert build_spec(name="a", data=data, tasks=tasks, search={"space": LR, "task": "b"}).search
    assert "search.task" in wrong(LR, task="kind")


def test_shares_leave_something_to_learn_from() -> None:
    assert "search.confirm" in wrong(LR, choose=0.5, confirm=0.4)


def test_without_a_search_a_spec_is_what_it_was() -> None:
    plain = build_spec(**BASE)
    assert "search" not in plain.to_json()
    assert plain.sha() != built(LR).sha()
    assert built(LR).replace({"search": None}).sha() == plain.sha()
