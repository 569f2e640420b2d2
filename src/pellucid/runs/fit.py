"""Fit: from a spec to a version with its evidence.

read data -> set the review rows aside -> fit every fold -> judge -> fit on all training rows -> keep outputs,
attributions and background -> propose; a first version is accepted at once, a later one waits for its review
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pellucid.assemble import Assembly, Problem, assemble, problem, steps_of, table_task, tabulate
from pellucid.core.errors import ReviewError, SpecError
from pellucid.core.random import derive
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.envs.making import Stepping, using
from pellucid.evidence.folds import touched, walk_forward
from pellucid.explain.summary import require_means
from pellucid.rl.tabular import TabularProgram
from pellucid.runs.artefact import FORMAT, Learned, provenance
from pellucid.runs.calibrating import calibrated, with_options
from pellucid.runs.encoded import told_fewer
from pellucid.runs.fair import require_sensitive
from pellucid.runs.growing import learning_curves
from pellucid.runs.judge import FoldResult, judge_folds, tidy
from pellucid.runs.judge_policy import judge_episodes
from pellucid.runs.keeping import backgrounds, describe_rows, keep_version
from pellucid.runs.moments import touched_moments
from pellucid.runs.outputs import HELD_OUT, outputs_table
from pellucid.runs.policies import on_rows
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.runs.reading import read_problem
from pellucid.runs.said import CHOSEN, about
from pellucid.runs.sanity import KINDS, Check, check_end, check_start, sentences
from pellucid.runs.splitting import split
from pellucid.runs.stages import Run, interrupted
from pellucid.runs.starting import calibrated_rivals, rivals, starting, told, unseen_folds
from pellucid.runs.tries import other_trials, trial_of, trials_of
from pellucid.spec.model import ControlTask, PricesData, Spec
from pellucid.spec.series import SeriesData
from pellucid.store.store import Store

CONTROLS = {"planted market": ("planted", True), "random walk": ("random_walk", False)}


@dataclass(frozen=True)
class Fitted:
    """The outcome: a reference ("stocks@1" or "stocks~3f2a") and its evidence."""

    ref: str
    evidence: dict[str, Any]
    accepted: bool


def fit(
    spec: Spec,
    store: Store,
    *,
    source: Any = None,
    resume: bool = False,
    author: str | None = None,
    because: str = "",
    reporter: Reporter | None = None,
    log: str | Path | None = None,
    callbacks: Sequence[Any] = (),
    searched: Mapping[str, Any] | None = None,
) -> Fitted:
    """Learn a program from a spec and keep it as a version or a candidate.

    Args:
        source: a DataFrame or path that replaces the spec's own.
        resume: continue an interrupted fit of the same spec and data; the weights are those of an uninterrupted one.
        log: folder of the training log: progress.csv and TensorBoard's events (see `runs.logbook`).
        callbacks: who looks on (see `runs.callbacks`).
        searched: how the spec's settings were chosen, for the evidence (see `runs.searching`).
    """
    reporter = reporter or Silent()
    if spec.search is not None:
        reporter.note(
            f"the spec's ranges are not searched: `pellucid search` tries them; '{spec.name}' is fitted as it stands"
        )
        spec = spec.replace({"search": None})
    prob = read_problem(spec, source, store, reporter)
    require_same_program(prob, store)
    require_sensitive(prob)
    if spec.explain.summarise:
        require_means(prob.fields, where="explain.summarise")
    prob = starting(replace(prob, notes=(*prob.notes, *_forgotten(store, spec.name))), store)
    for note in prob.notes:
        reporter.note(note)
    identity = {"spec": spec.sha(), "data": prob.data_sha}
    if prob.start is not None:
        identity["start"] = prob.start.sha()
    with one_thread(), using(stepping=_stepping(spec)):
        folder = store.root / "runs" / spec.name
        seconds = spec.train.budget.seconds
        run = Run(folder, identity, resume=resume, reporter=reporter, log=log, callbacks=callbacks, seconds=seconds)
        try:
            version = _fit_env(prob, run) if prob.rows is None else _fit_rows(prob, run, store)
            if searched is not None:
                version.evidence.update(search=dict(searched), notes=[*version.evidence["notes"], CHOSEN])
            run.callbacks.evaluation(version.evidence)
            fitted = keep(prob, version, store, author, because)
        except KeyboardInterrupt:
            raise interrupted("interrupted") from None
        except ReviewError:  # it was decided before: resuming would end here again
            run.finish()
            raise
        finally:
            run.tidy()
        run.finish()
    return fitted


def _stepping(spec: Spec) -> dict[str, Stepping]:
    """How the environments are stepped that a policy is judged in: as in training."""
    tasks = [task for task in spec.tasks.values() if isinstance(task, ControlTask)]
    return {task.env: Stepping(task.workers, task.env_timeout) for task in tasks}


def require_same_program(prob: Problem, store: Store) -> None:
    """A name stands for one program: a later version answers at least one of its questions."""
    name = prob.spec.name
    head = store.head(name) if name in store.names() else None
    if head is None:
        return
    known = [str(task["name"]) for task in store.blobs.get_json(head.manifest["blobs"]["program"])["tasks"]]
    if not set(known) & set(prob.spec.tasks):
        raise SpecError(
            f"'{name}' learns {', '.join(known)}; this spec learns {', '.join(prob.spec.tasks)}.",
            where=f"the program '{name}' in the store",
            mend="give it another name: --name",
        )


@dataclass(frozen=True)
class Version:
    """Everything that a version will consist of."""

    program: Learned
    evidence: dict[str, Any]
    review: Rows | None
    outputs: dict[str, pd.DataFrame]
    background: dict[str, Rows]
    trained: list[str]
    touched: list[str]


def _fit_rows(prob: Problem, run: Run, store: Store) -> Version:
    rows, spec = prob.rows, prob.spec
    assert rows is not None
    parts = split(prob, store)
    folds, clean = unseen_folds(prob, parts.folds)
    for note in (*parts.notes, *clean):
        run.reporter.note(note)
    tidy(rows)
    results = []
    for i, fold in enumerate(folds):
        seed = derive(spec.seed, "fold", i)
        stage = f"fold {i + 1} of {len(folds)}"
        program, _ = run.train(stage, partial(assemble, prob, fold.train, seed=seed))
        results.append(FoldResult(fold, program, rivals(prob, fold, stage, seed, run.train)))
        tidy(rows)
    seen = [(result.program, result.fold.train) for result in results]
    results = calibrated_rivals(prob, results)
    growth = learning_curves(prob, run, results) if spec.evidence.learning_curve else {}
    results, options = calibrated(prob, results)
    entries, wealth = judge_folds(prob, results, trials=1 + other_trials(prob, store))
    tidy(rows)
    for entry in entries:
        entry["extra"].update(growth.get(entry["task"], {}))
    build = partial(assemble, prob, parts.train, seed=spec.seed)
    checks: list[Check] = []
    assemblies: list[Assembly] = []

    def look(assembly: Assembly) -> None:
        checks.extend(check_start(assembly))
        assemblies.append(assembly)

    known = any(task.kind in KINDS for task in spec.tasks.values())
    begun = told(prob, build)
    for line in begun:
        run.reporter.note(line)
    program, history = run.train("final fit", build, look if known else None)
    checks += [check for assembly in assemblies for check in check_end(assembly, program)]
    assemblies.clear()
    tidy(rows)
    for line in sentences(checks):
        run.reporter.note(line)
    program = with_options(program, options)
    controls = _controls(prob, run) if spec.evidence.controls and isinstance(spec.data, PricesData) else []
    review = rows.take(parts.review)
    outputs = {name: outputs_table(program, task, _met(task, review)) for name, task in program.tasks.items()}
    near = parts.train
    if isinstance(spec.data, SeriesData):
        near = touched_moments(prob, parts.train)
    elif rows.times is not None:
        near = touched(parts.train, prob.purge, len(rows))
    evidence = {
        "program": spec.name,
        "tasks": entries,
        "controls": controls,
        "curves": _curves(history),
        "wealth": wealth,
        "seed": spec.seed,
        "trials": 1,
        "looks": 0,
        "notes": [
            *prob.notes,
            *parts.notes,
            *run.notes,
            *clean,
            *begun,
            *told_fewer(rows, seen),
            *sentences([c for c in checks if not c.passed]),
        ],
        "sanity": [check.to_json() for check in checks],
        **({"quarantine": prob.quarantine} if prob.quarantine else {}),
        "review": _described(review),
        "parameters": program.parameter_count(),
    }
    trained = [str(k) for k in rows.keys[parts.train]]
    return Version(
        program,
        evidence,
        review,
        outputs,
        backgrounds(program, rows, parts.train, spec),
        trained,
        trained if near is parts.train else [str(k) for k in rows.keys[near]],
    )


def _met(task: Task, review: Rows) -> Rows | None:
    """What a task is reviewed on: rows, or episodes of an environment that is not made of these rows."""
    return review if on_rows(task) else None


def _described(review: Rows) -> dict[str, Any]:
    if review.times is None:
        return {"n": len(review), "from": "", "to": ""}
    return {"n": len(review), "from": str(review.times[0]), "to": str(review.times[-1])}


def _fit_env(prob: Problem, run: Run) -> Version:
    program, history = _learn(prob, run)
    return judged_by_episodes(prob, program, history, run.notes)


def judged_by_episodes(prob: Problem, program: Learned, history: dict[str, Any], notes: Sequence[str]) -> Version:
    """The version of a program that acts in an environment, however it was come by."""
    spec = prob.spec
    episodes = spec.evidence.episodes
    outputs = {name: outputs_table(program, task, None, episodes=episodes) for name, task in program.tasks.items()}
    evidence = {
        "program": spec.name,
        "tasks": [judge_episodes(prob, program, task) for task in program.tasks.values()],
        "controls": [],
        "curves": _curves(history),
        "wealth": [],
        "seed": spec.seed,
        "trials": 1,
        "looks": 0,
        "notes": [*prob.notes, *notes],
        "review": {"n": episodes, "from": f"seed {HELD_OUT}", "to": f"seed {HELD_OUT + episodes - 1}"},
        "parameters": program.parameter_count(),
    }
    return Version(program, evidence, None, outputs, backgrounds(program, None, None, spec), [], [])


def _learn(prob: Problem, run: Run) -> tuple[Learned, dict[str, Any]]:
    """The program of an environment, and its learning curves: a table has none."""
    task = table_task(prob)
    if task is None:
        return run.train("fit", partial(assemble, prob, None, seed=prob.spec.seed))
    if run.callbacks:
        run.reporter.note(f"{task.algorithm} fills a table, without updates: there is nothing to log or to look on at")
    run.reporter.stage("fit", steps_of(task))
    table = tabulate(prob, task, progress=run.reporter.advance)
    run.reporter.advance(steps_of(task))
    return table, {}


def _curves(history: dict[str, Any]) -> list[dict[str, Any]]:
    shown = ("loss", "held_out_loss", "episode_return", "entropy")
    return [
        {"task": task, "name": name, "x": [p[0] for p in points], "y": [p[1] for p in points]}
        for task, metrics in history.items()
        for name, points in metrics.items()
        if name in shown
    ]


def _controls(prob: Problem, run: Run) -> list[dict[str, Any]]:
    """The same program on a market with a planted signal and on a random walk: evidence that the evidence works."""
    found = []
    for label, (source, expected) in CONTROLS.items():
        spec = prob.spec.replace({"data.source": source, "data.start": None, "data.end": None})
        control = problem(spec)
        assert control.rows is not None
        fold = walk_forward(len(control.rows) - control.purge, folds=1, purge=control.purge)[0]
        seed = derive(spec.seed, "control/" + source)
        program, _ = run.train(label, partial(assemble, control, fold.train, seed=seed))
        entries, _ = judge_folds(control, [FoldResult(fold, program)])
        skills = [bool(entry["skill"]) for entry in entries]
        found.append(
            {
                "name": label,
                "expect": "skill" if expected else "no skill",
                "tasks": entries,
                "passed": all(skills) if expected else not any(skills),
            }
        )
    return found


def keep(
    prob: Problem,
    version: Version,
    store: Store,
    author: str | None,
    because: str,
    *,
    kind: str = "fit",
    origin: Mapping[str, str] | None = None,
) -> Fitted:
    """Store a version: accepted at once when it is the first, else a candidate.

    Args:
        kind: "fit", "import".
        origin: more about where it comes from.
    """
    spec, program = prob.spec, version.program
    explained = describe_rows(program, version.review, version.background)
    keys = pd.DataFrame({"key": np.asarray(version.touched, dtype=object)})
    trained = pd.DataFrame({"key": np.asarray(version.trained, dtype=object)})
    blobs = keep_version(
        store,
        program,
        spec,
        version.outputs,
        version.background,
        explained,
        version.evidence,
        {"touched": store.blobs.put_table(keys), "trained": store.blobs.put_table(trained)},
    )
    total, width = program.parameter_count(), 8 if isinstance(program, TabularProgram) else 4
    manifest = {
        "format": FORMAT,
        "kind": kind,
        "name": spec.name,
        "folder": _folder(spec, store),
        "blobs": blobs,
        "parameters": {"touched": total, "total": total, "share": 1.0, "bytes": width * total},
        "provenance": {**provenance(seed=spec.seed, data_sha=prob.data_sha, spec_sha=spec.sha()), **(origin or {})},
    }
    head = store.head(spec.name) if spec.name in store.names() else None
    if head is not None and _same(head.manifest, manifest):
        return Fitted(head.ref, version.evidence, True)
    reviewed = sorted({str(k) for table in version.outputs.values() for k in table["key"]})
    if head is None and reviewed:  # none: an estimator that learned from all of its rows
        # Keys of the review rows, or of the held-out episodes, are frozen before anything can be compared on them.
        store.freeze_review(spec.name, reviewed, {"by": f"first {kind}", **version.evidence["review"]})
    reason = because or (f"first {kind}" if head is None else f"{kind} again")
    candidate = store.propose(
        spec.name,
        manifest,
        parent=None if head is None else head.ref,
        kind=kind,
        author=author,
        because=reason,
        claim={},
    )
    if kind == "fit" and all(event.info != trial_of(prob) for event in trials_of(prob, store)):
        store.add_trial(spec.name, "fit", trial_of(prob))
    if head is not None:
        return Fitted(candidate, version.evidence, False)
    ref = store.accept(candidate, reviewer=author, because="first version: its parent is the best honest baseline")
    return Fitted(ref, version.evidence, True)


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Equal but for the evidence, which counts the trials."""
    strip: list[dict[str, Any]] = [
        {**m, "blobs": {k: v for k, v in m["blobs"].items() if k != "evidence"}} for m in (a, b)
    ]
    return strip[0] == strip[1]


def _forgotten(store: Store, name: str) -> list[str]:
    """What people asked for and earlier versions kept, which a fit from the beginning knows nothing of."""
    records = store.feedback(name) if name in store.names() else []
    said = [f"{about(r.kind, r.payload)} ({ref})" for r in records for ref in r.used_by if "@" in ref]
    if not said:
        return []
    return [f"a new fit knows nothing of earlier corrections: {'; '.join(said)}; give the feedback again"]


def _folder(spec: Spec, store: Store) -> str | None:
    """Where relative sources start, seen from the store, so that both can be moved together."""
    return None if spec.folder is None else os.path.relpath(spec.folder, store.root.parent)
