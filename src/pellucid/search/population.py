"""Population-based training (Jaderberg et al. 2017, arXiv:1711.09846): members train side by side, and at given times
the worst go on from a copy of one of the best (exploit), with settings that are a little other (explore).

What comes out is a course of settings over the training, not one setting: `Member.course` of the best member.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pellucid.assemble import Assembly
from pellucid.core.errors import Interrupted, TrainingFault
from pellucid.core.random import stream
from pellucid.search.space import Dimension, Params, drawn
from pellucid.search.training import Judge
from pellucid.search.trial import Trial
from pellucid.train.learner import State
from pellucid.train.loop import Hooks

LR, DECAY = "train.lr", "train.weight_decay"  # what a training under way can change


@dataclass(frozen=True)
class PopulationPlan:
    """How a population is trained; `share` is replaced at each of `rounds`, settings move by `factor` or are drawn
    `anew`."""

    dims: tuple[Dimension, ...]
    size: int
    rounds: int
    share: float
    factor: float
    anew: float
    seed: int


@dataclass
class Member:
    """A member: its settings now, and how it came to them.

    Args:
        course: (round, settings) from the beginning, over all whom it descends from.
        number: of its present settings among all that were tried.
        loss: held-out, after the last round; infinite when training failed.
    """

    params: Params
    course: list[tuple[int, Params]]
    number: int
    loss: float = math.inf


@dataclass
class Population:
    """The members, and every setting that was tried."""

    members: list[Member]
    tried: list[Trial] = field(default_factory=list)
    round: int = 0

    def best(self) -> Member:
        """Of least loss; of equal ones the first, which begins as the spec stands."""
        return min(self.members, key=lambda member: (member.loss, member.number))


def train_population(
    plan: PopulationPlan,
    first: Params,
    build: Callable[[int], Assembly],
    judge: Judge,
    *,
    keep: Callable[[State], None],
    kept: State | None,
    told: Callable[[Population], None],
    stop: Callable[[], bool],
) -> Population:
    """Train a population to its end.

    Args:
        first: the settings of the spec as it stands: member 0 begins with them.
        build: member -> its assembly, with the settings of the spec as it stands.
        judge: mean held-out loss of a program.
        keep: receives the complete state after a round; write or copy it at once.
        kept: the state of an interrupted run.
        told: after every round.
        stop: asked after every update; True gives up what came after the last round.
    Raises:
        Interrupted: by `stop`.
    """
    assemblies = [build(i) for i in range(plan.size)]
    try:
        population = _begun(plan, first)
        if kept is not None:
            _restore(population, assemblies, kept)
        for member, assembly in zip(population.members, assemblies, strict=True):
            _set_rates(assembly, member.params, first)
        while population.round < plan.rounds:
            population.round += 1
            for member, assembly in zip(population.members, assemblies, strict=True):
                member.loss = _trained(assembly, population.round / plan.rounds, judge, stop)
                _note(population, member)
            if population.round < plan.rounds:
                _replace(plan, population, assemblies, first)
            keep(_state(population, assemblies))
            told(population)
        return population
    finally:
        for assembly in assemblies:
            assembly.close()


def _begun(plan: PopulationPlan, first: Params) -> Population:
    members, tried = [], []
    for i in range(plan.size):
        params = first if i == 0 else drawn(plan.dims, stream(plan.seed, "search/member", i))
        members.append(Member(params, [(0, params)], i))
        tried.append(Trial(i, params, "done", ()))
    return Population(members, tried)


def _set_rates(assembly: Assembly, params: Params, first: Params) -> None:
    lr = assembly.first_lr
    assembly.trainer.set_rates(params.get(LR, lr) / lr, params.get(DECAY))


def _trained(assembly: Assembly, share: float, judge: Judge, stop: Callable[[], bool]) -> float:
    """Train to a share of all updates; the held-out loss there."""
    until = max(1, math.ceil(assembly.config.updates * share))
    try:
        hooks = Hooks(assembly.schedule, None, lambda update, metrics: not stop())
        with np.errstate(over="ignore", invalid="ignore"):
            assembly.trainer.run(replace(assembly.config, updates=until), hooks)
    except TrainingFault:
        return math.inf
    if stop():
        raise Interrupted("what came after the last round was given up.", where="search", mend="go on with --resume")
    loss = judge(assembly.snapshot())
    return loss if math.isfinite(loss) else math.inf


def _note(population: Population, member: Member) -> None:
    """The loss of the settings that were trained with."""
    trial = population.tried[member.number]
    if math.isfinite(member.loss):
        population.tried[member.number] = replace(trial, curve=(*trial.curve, member.loss))
    else:
        population.tried[member.number] = replace(trial, state="failed", why="the loss is not finite")


def _replace(plan: PopulationPlan, population: Population, assemblies: Sequence[Assembly], first: Params) -> None:
    """The worst members go on as changed copies of one of the best."""
    generator = stream(plan.seed, "search/replace", population.round)
    order = sorted(range(plan.size), key=lambda i: (population.members[i].loss, i))
    count = min(max(1, int(plan.share * plan.size)), plan.size // 2)
    for worst in order[-count:]:
        donor = order[int(generator.integers(count))]
        source, old = population.members[donor], population.members[worst]
        params = _moved(plan, source.params, generator)
        if population.tried[old.number].state == "done":
            population.tried[old.number] = replace(population.tried[old.number], state="pruned")
        number = len(population.tried)
        population.tried.append(Trial(number, params, "done", ()))
        course = [*source.course, (population.round, params)]
        population.members[worst] = Member(params, course, number)
        assemblies[worst].trainer.set_state(copy.deepcopy(assemblies[donor].trainer.get_state()))
        _set_rates(assemblies[worst], params, first)


def _moved(plan: PopulationPlan, params: Params, generator: np.random.Generator) -> Params:
    """Every setting is multiplied or divided by the factor, or now and then drawn anew."""
    found: Params = {}
    for dim in plan.dims:
        anew, up, unit = generator.random(3)
        value = float(params[dim.path]) * (plan.factor if up < 0.5 else 1 / plan.factor)
        found[dim.path] = dim.at(float(unit)) if anew < plan.anew else min(max(value, dim.low), dim.high)
    return found


def _state(population: Population, assemblies: Sequence[Assembly]) -> State:
    members = [
        {
            "params": member.params,
            "course": [[r, params] for r, params in member.course],
            "number": member.number,
            "loss": member.loss if math.isfinite(member.loss) else None,
            "trainer": assembly.trainer.get_state(),
        }
        for member, assembly in zip(population.members, assemblies, strict=True)
    ]
    tried = [trial.to_json() for trial in population.tried]
    return {"round": population.round, "tried": tried, "members": members}


def _restore(population: Population, assemblies: Sequence[Assembly], state: State) -> None:
    population.round = int(state["round"])
    population.tried = [Trial.from_json(raw) for raw in state["tried"]]
    for i, raw in enumerate(state["members"]):
        loss: Any = raw["loss"]
        course = [(int(r), dict(params)) for r, params in raw["course"]]
        population.members[i] = Member(
            dict(raw["params"]), course, int(raw["number"]), math.inf if loss is None else float(loss)
        )
        assemblies[i].trainer.set_state(raw["trainer"])
