"""Search: settings are tried on training rows, chosen by other training rows, confirmed by a third part of them.

training rows (never the review rows) = train | choose | confirm. Every trial learns from `train` and is compared on
`choose`. The best and the spec as it stands then learn from both and are compared on `confirm`, which nobody had seen:
that difference is free of the luck of the best of many. The chosen spec is fitted as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.assemble import Problem, table_task
from pellucid.core.errors import SpecError
from pellucid.core.random import derive
from pellucid.runs.confirming import best_trial, confirm, described
from pellucid.runs.counting import Counter, journal_file, state_file
from pellucid.runs.fit import Fitted, fit
from pellucid.runs.populating import run_population
from pellucid.runs.progress import Reporter, interruptible, one_thread
from pellucid.runs.reading import read_problem
from pellucid.runs.stages import unfinished
from pellucid.runs.trying import Bench, parts_of
from pellucid.search import Attempt, Dimension, Journal, Params, Plan, Trial, dimensions, search, trained
from pellucid.spec.loader import setting, whole_numbers
from pellucid.spec.model import IN_MEMORY, Spec, relocated
from pellucid.spec.searching import SearchSpec
from pellucid.store.files import make_folder, write_atomic
from pellucid.store.store import Store

Floats = npt.NDArray[np.float64]
CHOOSE, CONFIRM = 2_000_003, 3_000_017  # first seeds of episodes, far from those of training and of the review


@dataclass(frozen=True)
class Searched:
    """What a search chose.

    Args:
        spec: without a search section: the spec as it stands, or with the settings of the best trial.
        found: JSON for the evidence: trials, the confirming comparison, a sentence.
    """

    spec: Spec
    found: dict[str, Any]


def run_search(spec: Spec, store: Store, *, source: Any = None, resume: bool = False, reporter: Reporter) -> Searched:
    """Try settings and choose.

    Raises:
        SpecError: the spec has no search section, or nothing that is trained.
        Interrupted: by Ctrl-C; the trials so far are kept.
    """
    prob, asked = _problem(spec, source, store, reporter)
    task = asked.task or next(iter(prob.spec.tasks))
    parts = parts_of(prob, asked, store)
    base = prob.spec.replace({"search": None})
    dims = dimensions(asked.space, whole_numbers(base, list(asked.space)))
    file = journal_file(store, spec.name)
    make_folder(file.parent)
    journal = Journal(file, _identity(spec, prob), resume=resume)
    first = {dim.path: setting(base, dim.path) for dim in dims}
    bench = Bench(prob, base, task, parts)
    with one_thread(), interruptible() as stop:
        count = Counter(store, spec.name, journal, reporter)
        if asked.sampler == "population":
            trials, settings = run_population(bench, asked, dims, first, count, resume=resume, stop=stop)
        else:
            trials = _trials(bench, asked, dims, first, journal, count, stop)
            settings = best_trial(trials).params
        confirmed = confirm(bench, journal, best_trial(trials), settings, reporter, stop)
    taken = bool(confirmed and confirmed["change"] < 0)
    chosen = base.replace(settings) if taken else base
    found = described(prob, asked, task, trials, parts, confirmed, taken)
    return Searched(chosen.within(spec.folder), found)


def _trials(
    bench: Bench,
    asked: SearchSpec,
    dims: tuple[Dimension, ...],
    first: Params,
    journal: Journal,
    count: Counter,
    stop: Callable[[], bool],
) -> list[Trial]:
    """Trials one after the other."""
    seed = bench.base.seed
    plan = Plan(dims, asked.sampler, asked.pruner, asked.trials, asked.seconds, seed)

    def attempt(params: Params, prune: Callable[[int, float], bool]) -> Attempt:
        try:
            build = bench.build(params, bench.parts.train, derive(seed, "search/fit"))
        except SpecError as error:
            return Attempt("failed", (), error.what)
        look, seconds = asked.pruner != "none", bench.base.train.budget.seconds
        return trained(build, bench.judge, prune, look=look, stop=stop, seconds=seconds)

    def told(trials: Sequence[Trial]) -> None:
        count(trials)
        count.show(len(trials), trials)

    count.reporter.stage("search", asked.trials)
    return search(plan, journal, first, attempt, told)


def _problem(spec: Spec, source: Any, store: Store, reporter: Reporter) -> tuple[Problem, SearchSpec]:
    if spec.search is None:
        raise SpecError(
            f"'{spec.name}' says nothing of what to search over.",
            where="search",
            mend="add e.g. `search: {space: {train.lr: {low: 1e-4, high: 1e-1, log: true}}}`",
        )
    prob = read_problem(spec, source, store, reporter)
    if table_task(prob) is not None:
        raise SpecError(
            "a table of action values is solved, not trained.",
            where="search",
            mend="search over an algorithm that trains",
        )
    for note in prob.notes:
        reporter.note(note)
    return prob, spec.search


def _identity(spec: Spec, prob: Problem) -> dict[str, Any]:
    """What a resumed search must repeat: everything but how long it goes on."""
    same = spec.replace({"search.trials": 1, "search.seconds": None})
    return {"spec": same.sha(), "data": prob.data_sha}


def fit_chosen(
    done: Searched, store: Store, *, source: Any = None, because: str = "", resume: bool = False, reporter: Reporter
) -> Fitted:
    """Fit the chosen spec as any other; the search stands in its evidence."""
    reporter.note(done.found["sentence"])
    name = done.spec.name
    going_on = resume and unfinished(store.root / "runs" / name).get("spec") == done.spec.sha()
    reason = because or f"the best of {len(done.found['trials'])} settings"
    fitted = fit(
        done.spec,
        store,
        source=source,
        resume=going_on,
        because=reason,
        reporter=reporter,
        searched=done.found,
    )
    forget(store, name)
    return fitted


def forget(store: Store, name: str) -> None:
    """The search is over: its trials are in the evidence, and counted in the store."""
    journal_file(store, name).unlink(missing_ok=True)
    state_file(store, name).unlink(missing_ok=True)


def write_spec(spec: Spec, path: Path) -> None:
    """A spec as a YAML file: what differs from the defaults; relative sources start at the file's folder."""
    import yaml

    raw = spec.model_dump(mode="json", exclude_defaults=True)
    if spec.source is not None and spec.source != IN_MEMORY:
        raw["data"]["source"] = relocated(spec.source, path.resolve().parent)
    write_atomic(path, yaml.safe_dump(raw, sort_keys=False, allow_unicode=True).encode())
