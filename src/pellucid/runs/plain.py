"""A fit and nothing else: a program of all given rows, without folds. A version is made of it when one is asked for.

This is how the estimators learn (`pellucid.estimators`): whoever calls them splits the rows, and may do so many times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from pellucid.assemble import Problem, assemble
from pellucid.assemble.problem import fingerprint
from pellucid.core.labels import label_texts
from pellucid.core.rows import Index, Rows
from pellucid.core.schema import Field
from pellucid.data.frames import learn_fields
from pellucid.data.reading import TARGET
from pellucid.data.tables import table_keys
from pellucid.evidence.folds import Fold, review_split
from pellucid.nn.program import NetworkProgram
from pellucid.runs.artefact import described, rebuilt
from pellucid.runs.fit import Version, keep
from pellucid.runs.judge import FoldResult, judge_folds
from pellucid.runs.keeping import backgrounds
from pellucid.runs.outputs import outputs_table
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.runs.splitting import alike, labels_of
from pellucid.spec.model import Spec, TableData
from pellucid.store.store import Store
from pellucid.train.loop import Hooks

WHERE = "the data frame"
UNJUDGED = "fitted as an estimator, on all of its rows: nothing here says how good it is, scores on other rows do"
JUDGED = "fitted as an estimator: judged once, on the review rows, which its training has not seen"


@dataclass
class Plain:
    """What such a fit gives.

    Args:
        spec: with its task.
        program: the trained program.
        classes: names of the classes in code order; empty for a number.
        notes: what was left out or changed.
        table: inputs and target of all rows, until `parts` are made.
        review: share of the rows that were kept out of training.
        parts: what a version needs beside the program.
    """

    spec: Spec
    program: NetworkProgram
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    table: pd.DataFrame | None = None
    review: float = 0.0
    parts: Parts | None = None


@dataclass(frozen=True)
class Parts:
    """Arrays and JSON; see `runs.fit.Version`."""

    fields: tuple[Field, ...]
    data_sha: str
    evidence: dict[str, Any]
    review: Rows | None
    background: dict[str, Rows]
    trained: list[str] = field(default_factory=list)


def learn(
    spec: Spec,
    table: pd.DataFrame,
    classes: tuple[str, ...],
    *,
    review: float = 0.0,
    reporter: Reporter | None = None,
) -> Plain:
    """Train on a table.

    Args:
        spec: of a table; its task is the only one.
        table: inputs and the target `spec.data.target`, class names, numbers or columns of truth values, in every row.
        classes: names of the classes in code order, the labels; empty for a number.
        review: share of the rows that are kept out of training, as the review set of later corrections.
    Raises:
        DataError: a column cannot be read, or nothing would be left to train on.
    """
    reporter = reporter or Silent()
    prob, fold, notes = _problem(spec, table, classes, review)
    with one_thread():
        assembly = assemble(prob, fold.train, seed=spec.seed)
        updates = assembly.config.updates
        reporter.stage("fit", updates)

        def progress(update: int, metrics: Mapping[str, Mapping[str, float]]) -> None:
            if update % 10 == 0 or update == updates:
                reporter.advance(update, "  ".join(f"loss {m['loss']:.4g}" for m in metrics.values()))

        assembly.trainer.run(assembly.config, Hooks(assembly.schedule, None, progress))
        program = assembly.finish()
    program.network.eval()
    return Plain(spec, program, classes, tuple(notes), table, review)


def _problem(
    spec: Spec, table: pd.DataFrame, classes: tuple[str, ...], review: float
) -> tuple[Problem, Fold, list[str]]:
    assert isinstance(spec.data, TableData)
    target = spec.data.target
    fields, values, notes = learn_fields(table.drop(columns=target), spec.data.fields, WHERE)
    y = table[target].to_numpy()
    if y.ndim > 1:
        y = label_texts(y, classes)
    y = y.astype(np.str_) if classes else y.astype(np.float64)
    n = len(table)
    # The content of the rows names them; without a review set nobody asks before `parts`.
    keys = table_keys(table) if review else np.arange(n).astype(np.str_)
    kind = next(iter(spec.tasks.values())).kind
    rows = Rows(keys, values, {TARGET: y})
    prob = Problem(spec, rows, fields, classes=classes, target_kind=kind, notes=tuple(notes))
    if not review:
        return prob, Fold(np.arange(n), np.arange(0)), notes
    part = review_split(n, share=review, ordered=False, labels=labels_of(prob), seed=spec.seed)
    copies = alike(keys[part.train], [str(key) for key in keys[part.test]])
    return prob, Fold(part.train[~copies], part.test), notes


def parts_of(plain: Plain) -> Parts:
    """Keys, background, review rows and evidence, made once; the table is let go."""
    if plain.parts is not None:
        return plain.parts
    assert plain.table is not None
    spec, program, table = plain.spec, plain.program, plain.table
    prob, fold, notes = _problem(spec, table, plain.classes, plain.review)
    assert prob.rows is not None
    rows = prob.rows if plain.review else replace(prob.rows, keys=table_keys(table))
    prob = replace(prob, rows=rows, data_sha=fingerprint(rows))
    with one_thread():
        entries = judge_folds(prob, [FoldResult(fold, program)])[0] if plain.review else []
        background = backgrounds(program, rows, fold.train, spec)
    evidence = {
        "program": spec.name,
        "tasks": entries,
        "controls": [],
        "curves": [],
        "wealth": [],
        "seed": spec.seed,
        "trials": 1,
        "looks": 0,
        "notes": [*notes, JUDGED if plain.review else UNJUDGED],
        "review": {"n": len(fold.test), "from": "", "to": ""},
        "parameters": program.parameter_count(),
    }
    review = rows.take(fold.test) if plain.review else None
    plain.parts = Parts(prob.fields, prob.data_sha, evidence, review, background, _keys(rows, fold.train))
    plain.table = None
    return plain.parts


def _keys(rows: Rows, index: Index) -> list[str]:
    return [str(key) for key in rows.keys[index]]


def keep_plain(plain: Plain, store: Store) -> str:
    """Keep it as the first version of a store; returns its reference."""
    parts, program = parts_of(plain), plain.program
    prob = Problem(plain.spec, parts.review, parts.fields, classes=plain.classes, data_sha=parts.data_sha)
    # Without review rows a version has no outputs that another could be compared with: the background stands in.
    shown = parts.review if parts.review is not None else next(iter(parts.background.values())).take(slice(0, 0))
    outputs = {name: outputs_table(program, task, shown) for name, task in program.tasks.items()}
    version = Version(program, parts.evidence, parts.review, outputs, parts.background, parts.trained, parts.trained)
    with one_thread():
        return keep(prob, version, store, None, "").ref


def exact(program: NetworkProgram) -> NetworkProgram:
    """A copy that computes in double precision: what it says of a row does not depend on the rows beside it."""
    copy = rebuilt(
        described(program), program.network.state_dict(), [dict(delta.parameters()) for delta in program.deltas]
    )
    copy.network.double()
    for delta in copy.deltas:
        for parameter in delta.parameters().values():
            parameter.data = parameter.data.double()
    return copy
