"""A population of a spec: trained on a part of the training rows, compared on another; its best course as settings."""

from __future__ import annotations

from collections.abc import Callable

from pellucid.assemble import Assembly
from pellucid.core.errors import SpecError
from pellucid.core.random import derive
from pellucid.runs import statefile
from pellucid.runs.counting import Counter, state_file
from pellucid.runs.trying import Bench
from pellucid.search import Dimension, Params, Population, PopulationPlan, Trial, train_population
from pellucid.spec.searching import SearchSpec


def run_population(
    bench: Bench,
    asked: SearchSpec,
    dims: tuple[Dimension, ...],
    first: Params,
    count: Counter,
    *,
    resume: bool,
    stop: Callable[[], bool],
) -> tuple[list[Trial], Params]:
    """Every setting that was tried, and the best member's course as settings of the spec.

    Raises:
        SpecError: the spec's own settings lie outside the ranges, or it stops early.
    """
    _require(bench, dims, first)
    seed, given = bench.base.seed, asked.population
    plan = PopulationPlan(dims, given.size, given.rounds, given.share, given.factor, given.anew, seed)
    file = state_file(count.store, count.name)
    if not resume:
        file.unlink(missing_ok=True)

    def build(member: int) -> Assembly:
        return bench.build({}, bench.parts.train, derive(seed, "search/member", member))()

    def told(population: Population) -> None:
        count(population.tried)
        count.show(population.round, population.tried)

    count.reporter.stage("population", plan.rounds)
    population = train_population(
        plan,
        first,
        build,
        bench.judge,
        keep=lambda state: statefile.save(file, state),
        kept=statefile.load(file) if file.exists() else None,
        told=told,
        stop=stop,
    )
    told(population)
    return population.tried, settings_of(population, plan.rounds)


def settings_of(population: Population, rounds: int) -> Params:
    """The best member's course: the rates it began with, and a phase for each change."""
    course = population.best().course
    keys = {"train.lr": "lr", "train.weight_decay": "weight_decay"}
    phases = [
        {"start": done / rounds, **{keys[path]: value for path, value in params.items()}} for done, params in course[1:]
    ]
    return {**course[0][1], "train.phased.phases": phases}


def _require(bench: Bench, dims: tuple[Dimension, ...], first: Params) -> None:
    outside = [dim.path for dim in dims if not dim.holds(first[dim.path])]
    if outside:
        raise SpecError(
            f"member 0 begins as the spec stands, which is outside the range of {', '.join(outside)}.",
            where="search.space",
            mend="widen the range, or change the spec's own value",
        )
    train = bench.base.train
    reasons = {
        "train.early_stop.held_out": train.early_stop.held_out is not None,
        "train.phased.phases": bool(train.phased.phases),
        "train.budget.seconds": train.budget.seconds is not None,
    }
    given = [path for path, there in reasons.items() if there]
    if given:
        raise SpecError(
            f"a population is compared at given updates, which does not go with {', '.join(given)}.",
            where="search.sampler",
            mend="leave these out, or use another sampler",
        )
