"""Trials one after the other: ask a sampler, try, keep, end early whoever falls behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pellucid.search.journal import Journal
from pellucid.search.samplers import ALL
from pellucid.search.space import Dimension, Params
from pellucid.search.study import Study
from pellucid.search.training import Attempt
from pellucid.search.trial import Trial

Prune = Callable[[int, float], bool]  # (rung, mean held-out loss) -> end it here


@dataclass(frozen=True)
class Plan:
    """How a search goes.

    Args:
        dims: the settings.
        sampler: one of `samplers.ALL`.
        pruner: "median", "hyperband" or "none".
        trials: in all, trial 0 (the spec as it stands) included.
        seconds: no trial begins after so many seconds of trials; None for no limit.
        seed: of what is tried.
    """

    dims: tuple[Dimension, ...]
    sampler: str
    pruner: str
    trials: int
    seconds: float | None
    seed: int


def search(
    plan: Plan,
    journal: Journal,
    first: Params,
    attempt: Callable[[Params, Prune], Attempt],
    told: Callable[[Sequence[Trial]], None],
) -> list[Trial]:
    """Try settings until there are enough trials or no time is left.

    Args:
        journal: trials of a search that was interrupted; new ones are added.
        first: the settings of the spec as it stands, trial 0.
        attempt: trains with some settings; asked at every rung whether to go on.
        told: after every trial, with all of them.
    Returns:
        All trials in their order.
    """
    study = Study(plan.dims, plan.pruner)
    inside = all(dim.holds(first[dim.path]) for dim in plan.dims)
    for trial in journal.trials:
        if trial.number or inside:
            study.add(trial)
    told(journal.trials)
    while len(journal.trials) < plan.trials and not _late(plan, journal.trials):
        number = len(journal.trials)
        known = number > 0 or inside
        params = ALL[plan.sampler](plan.dims, journal.trials, study, number, plan.seed) if number else first
        if known:
            study.begin(params)
        before = time.monotonic()
        done = attempt(params, study.prune if known else _never)
        seconds = time.monotonic() - before
        marks = study.end(done.state) if known else {}
        journal.add(Trial(number, params, done.state, done.curve, done.why, seconds, marks))
        told(journal.trials)
    return journal.trials


def _late(plan: Plan, trials: Sequence[Trial]) -> bool:
    return plan.seconds is not None and sum(trial.seconds for trial in trials) >= plan.seconds


def _never(rung: int, loss: float) -> bool:
    return False
