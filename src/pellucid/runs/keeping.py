"""What a version keeps of its program, so that it can be explained and compared years later without its data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pellucid.core.random import stream
from pellucid.core.rows import Index, Rows
from pellucid.core.task import Task
from pellucid.explain import attribute, summarise
from pellucid.runs.artefact import Learned, save_program, save_rows
from pellucid.runs.outputs import HELD_OUT
from pellucid.runs.policies import greedy, on_rows, rollout, trades, visited
from pellucid.spec.model import Spec
from pellucid.store.store import Store

ATTRIBUTED = 16  # review rows whose attributions every version keeps


def backgrounds(program: Learned, rows: Rows | None, train: Index | None, spec: Spec) -> dict[str, Rows]:
    """Reference rows of each task's explanations: of those at `train`; for a policy, states that it visits."""
    found = {}
    for name, task in program.tasks.items():
        at: Index | None = None
        if rows is None or train is None or not on_rows(task):
            seeds = range(HELD_OUT - 1000, HELD_OUT - 1000 + 16)
            options, clock = task.options.get("env_options"), task.options.get("clock")
            choose, env = greedy(program, task), str(task.options["env"])
            met = rollout(env, choose, seeds, options=options, clock=clock, keep=4096).states
        elif trades(task):
            met = visited(program, task, rows.take(train))
        else:
            met, at = rows, train  # of very many rows, only the drawn ones are copied
        asked, each = spec.explain.background, spec.explain.summarise
        chosen = stream(spec.seed, f"background/{name}").permutation(len(met if at is None else at))
        chosen = np.sort(chosen[: asked * max(1, each)])
        some = replace(met.take(chosen if at is None else at[chosen]), targets={})
        found[name] = summarise(some, program.schema, asked, least=each) if each else some
    return found


def attributions(program: Learned, task: Task, rows: Rows, background: Rows, spec: Spec) -> dict[str, Any]:
    """The attributions that a version keeps for diffs: the same rows under two seeds, which is the noise floor."""
    shown = np.unique(np.linspace(0, len(rows) - 1, min(ATTRIBUTED, len(rows))).astype(int))
    kept = rows.take(shown)
    runs = [
        attribute(
            program,
            kept,
            task.name,
            background=background,
            method="permutation",
            grain="field",
            evaluations=spec.explain.evaluations,
            seed=seed,
        )
        for seed in (spec.seed, spec.seed + 1)
    ]
    return {
        "players": list(runs[0].players),
        "outputs": list(runs[0].outputs),
        "keys": list(runs[0].keys),
        "values": [r.values.tolist() for r in runs],
    }


def describe_rows(program: Learned, review: Rows | None, background: dict[str, Rows]) -> dict[str, Rows]:
    """The rows on which attributions are compared: review rows, with the positions that the program holds there."""
    found = {}
    for name, task in program.tasks.items():
        if review is None or not on_rows(task):
            found[name] = background[name]
        else:
            found[name] = visited(program, task, review) if trades(task) else review
    return found


def keep_version(
    store: Store,
    program: Learned,
    spec: Spec,
    outputs: dict[str, pd.DataFrame],
    background: dict[str, Rows],
    explained: dict[str, Rows],
    evidence: dict[str, Any],
    extra_blobs: dict[str, str],
) -> dict[str, str]:
    """All blobs of a version, by role."""
    blobs = save_program(store, program)
    blobs["spec"] = store.blobs.put_json(spec.to_json())
    blobs["evidence"] = store.blobs.put_json(evidence)
    for name, table in outputs.items():
        blobs[f"outputs/{name}"] = store.blobs.put_table(table)
    for name, rows in background.items():
        blobs[f"background/{name}"] = save_rows(store, rows)
    for name, rows in explained.items():
        blobs[f"explained/{name}"] = save_rows(store, rows)
    blobs["attribution"] = store.blobs.put_json(
        {
            name: attributions(program, task, explained[name], background[name], spec)
            for name, task in program.tasks.items()
        }
    )
    return {**blobs, **extra_blobs}
