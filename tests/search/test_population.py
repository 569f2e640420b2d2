"""Exploit and explore on trainings that are known: a member's weight moves by its rate, the best weight is 1."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

from pellucid.search import Dimension, Params, Population, PopulationPlan, train_population
from pellucid.train.loop import Hooks, LoopConfig

DIMS = (Dimension("train.lr", "float", 1e-3, 1.0, log=True),)
FIRST: Params = {"train.lr": 1e-3}


class Trainer:
    """A weight that goes `rate` of its way to 1 at every update."""

    def __init__(self) -> None:
        self.weight, self.update, self.rate = 0.0, 0, 1e-3

    def run(self, config: LoopConfig, hooks: Hooks) -> None:
        while self.update < config.updates:
            self.weight += self.rate * (1.0 - self.weight)
            self.update += 1
            if hooks.progress is not None and hooks.progress(self.update, {}) is False:
                return

    def set_rates(self, factor: float, weight_decay: float | None) -> None:
        self.rate = 1e-3 * factor

    def get_state(self) -> dict[str, Any]:
        return {"weight": self.weight, "update": self.update}

    def set_state(self, state: dict[str, Any]) -> None:
        self.weight, self.update = state["weight"], state["update"]


def build(_member: int) -> Any:
    trainer = Trainer()
    return SimpleNamespace(
        trainer=trainer,
        first_lr=1e-3,
        config=LoopConfig(40),
        schedule=None,
        snapshot=lambda: trainer.weight,
        close=lambda: None,
    )


def run(rounds: int = 4, kept: Any = None, **more: Any) -> tuple[Population, list[Any]]:
    plan = PopulationPlan(DIMS, 8, rounds, 0.25, 1.25, 0.0, more.pop("seed", 0))
    states: list[Any] = []
    population = train_population(
        plan,
        FIRST,
        build,
        lambda weight: (1.0 - weight) ** 2,  # type: ignore[operator,arg-type]
        keep=lambda state: states.append(copy.deepcopy(state)),
        kept=kept,
        told=more.pop("told", lambda population: None),
        stop=lambda: False,
    )
    return population, states


def test_the_worst_go_on_from_copies_of_the_best_and_the_others_are_left_alone() -> None:
    _, states = run()
    for before in states[:-1]:
        members = before["members"]
        fresh = [m for m in members if m["course"][-1][0] == before["round"]]
        old = [m for m in members if m not in fresh]
        assert len(fresh) == 2
        best = sorted(old, key=lambda m: m["loss"])[:2]
        for member in fresh:
            donor = next(m for m in best if m["trainer"] == member["trainer"])  # a copy of one of the two best
            ratio = member["params"]["train.lr"] / donor["params"]["train.lr"]
            at_end = member["params"]["train.lr"] == 1.0
            assert at_end or ratio == pytest.approx(1.25) or ratio == pytest.approx(1 / 1.25)
            assert member["course"][:-1] == donor["course"]
    pruned = [t for t in states[-1]["tried"] if t["state"] == "pruned"]
    assert len(pruned) == 6
    assert pruned[0]["params"] == FIRST or pruned[1]["params"] == FIRST  # the smallest rate is the worst here


def test_it_ends_better_than_drawing_alone_and_the_same_for_the_same_seed() -> None:
    population, states = run()
    assert population.best().loss == min(m.loss for m in population.members)
    alone, _ = run(rounds=1)
    assert max(m.loss for m in population.members) < 0.5 * max(m.loss for m in alone.members)
    assert run()[1] == states
    assert run(seed=1)[1] != states


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_from_a_kept_state_it_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    _, whole = run()
    _, rest = run(kept=copy.deepcopy(whole[cut - 1]))
    assert rest == whole[cut:]


def test_without_a_change_the_course_is_that_of_the_spec() -> None:
    population, _ = run(rounds=1)
    assert all(len(member.course) == 1 for member in population.members)
    assert population.members[0].params == FIRST
