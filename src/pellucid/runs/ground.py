"""What a correction stands on, and how it becomes a candidate: shared by all kinds of feedback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.assemble import Problem, problem
from pellucid.core.errors import DataError, Interrupted
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.nn.delta import Delta
from pellucid.nn.program import NetworkProgram
from pellucid.optim import build as build_optimiser
from pellucid.optim.schedules import Schedule
from pellucid.runs.artefact import FORMAT, load_rows, provenance
from pellucid.runs.judge import block_rows
from pellucid.runs.keeping import describe_rows, keep_version
from pellucid.runs.outputs import outputs_table
from pellucid.runs.policies import trades, visited
from pellucid.runs.progress import Reporter, interruptible
from pellucid.spec.model import Spec
from pellucid.store.records import Entry, FeedbackRecord
from pellucid.store.store import Store
from pellucid.train.learner import Learner
from pellucid.train.loop import Hooks, LoopConfig, Trainer

MOSTLY = 0.9  # share of the base's rows without which an effect would be measured on something else


@dataclass(frozen=True)
class Revised:
    """The candidate, or None when there was nothing to correct; what was said to the person."""

    ref: str | None
    notes: list[str]
    measured: dict[str, Any]


@dataclass(frozen=True)
class Proposal:
    """What is said about a delta when it is proposed.

    Args:
        method: kind of delta.
        measured: what its gates are checked against.
        claim: what it is meant to change and keep, and at what cost.
    """

    method: str
    measured: dict[str, Any]
    claim: dict[str, Any]
    author: str | None
    because: str


@dataclass(frozen=True)
class Ground:
    """What a correction stands on: the base's data, per task the rows it trains on and is measured on."""

    prob: Problem
    train: dict[str, Rows]
    review: dict[str, Rows]
    background: dict[str, Rows]
    block: float


def find_ground(store: Store, entry: Entry, spec: Spec, base: NetworkProgram, source: Any) -> Ground:
    """Training rows are those that the base was trained on; the review rows stay what they were."""
    prob = problem(spec, source)
    blobs: dict[str, str] = entry.manifest["blobs"]
    background = {name: load_rows(store, blobs[f"background/{name}"]) for name in base.tasks}
    if prob.rows is None:
        return Ground(prob, background, background, background, 1.0)
    trained = store.blobs.get_table(blobs["trained"])["key"].to_numpy().astype(str)
    frozen = np.asarray(store.review_keys(entry.name) or (), dtype=np.str_)
    train = prob.rows.take(np.isin(prob.rows.keys, trained))
    review = prob.rows.take(np.isin(prob.rows.keys, frozen))
    rows_only = [key for key in frozen if "/seed=" not in key]  # held-out episodes of an environment are not rows
    if not len(frozen):
        raise DataError(
            f"'{entry.name}' has no review rows on which a correction could be compared with it.",
            where=f"revise '{entry.ref}'",
            mend="fit again with review rows: an estimator takes review=0.2",
        )
    for what, found, wanted in (("trained on", train, trained), ("reviewed on", review, rows_only)):
        if len(found) < max(2, MOSTLY * len(wanted)):
            raise DataError(
                f"{len(found)} of the {len(wanted)} rows that '{entry.name}' was {what} are in these data.",
                where=f"revise '{entry.ref}'",
                mend="give the data of its fit, or fit again first",
            )

    def states(rows: Rows) -> dict[str, Rows]:
        return {n: visited(base, t, rows) if trades(t) else rows for n, t in base.tasks.items()}

    block = block_rows(prob)
    return Ground(prob, states(train), states(review), background, float(block))


def review_rows(ground: Ground) -> Rows | None:
    return None if ground.prob.rows is None else next(iter(ground.review.values()))


def answered(ground: Ground, task: Task) -> Rows | None:
    return None if ground.prob.rows is None else ground.review[task.name]


@dataclass(frozen=True)
class TrainDelta:
    """How long a delta is trained, and what is said meanwhile."""

    updates: int
    lr: float
    stage: str
    ref: str


def train_delta(
    program: NetworkProgram, delta: Delta, learners: Sequence[Learner], settings: TrainDelta, reporter: Reporter
) -> NetworkProgram:
    """Attach a delta to a fresh copy of the base and train it; nothing else of the program moves."""
    delta.attach(program.network)
    parameters = delta.parameters()
    optimiser = build_optimiser("adamw", parameters, lr=settings.lr, weight_decay=0.0)
    trainer = Trainer(program.network, learners, optimiser, parameters, parts=[delta])
    reporter.stage(settings.stage, settings.updates)

    def progress(update: int, metrics: dict[str, dict[str, float]]) -> None:
        if update % 10 == 0 or update == settings.updates:
            reporter.advance(update, "  ".join(f"{t} {m['loss']:.4g}" for t, m in metrics.items()))

    hooks = Hooks(Schedule("cosine", settings.updates, 0.05), None, progress)
    with interruptible() as hooks.stop:
        try:
            trainer.run(LoopConfig(settings.updates), hooks)
        except Interrupted:
            raise Interrupted(
                "interrupted; nothing was proposed.", where=f"revise {settings.ref}", mend="run the same command again"
            ) from None
    delta.finish()
    program.network.eval()
    tasks = dict(program.tasks)
    return NetworkProgram(program.network, program.schema, tasks, program.encoding, (*program.deltas, delta))


def propose_delta(
    store: Store,
    entry: Entry,
    corrected: NetworkProgram,
    delta: Delta,
    ground: Ground,
    records: list[FeedbackRecord],
    proposal: Proposal,
) -> str:
    """Keep the corrected program and propose it; its feedback is used from now on. Returns the candidate."""
    spec = ground.prob.spec
    outputs = {
        name: outputs_table(corrected, task, answered(ground, task), episodes=spec.evidence.episodes)
        for name, task in corrected.tasks.items()
    }
    blobs: dict[str, str] = entry.manifest["blobs"]
    explained = describe_rows(corrected, review_rows(ground), ground.background)
    kept: dict[str, str] = {k: blobs[k] for k in ("touched", "trained") if k in blobs}
    kept["measured"] = store.blobs.put_json(proposal.measured)
    evidence = store.blobs.get_json(blobs["evidence"])
    evidence["notes"] = [*evidence["notes"], f"the folds are those of {entry.ref}: what changed since is in the diff"]
    new = keep_version(store, corrected, spec, outputs, ground.background, explained, evidence, kept)
    total, count = corrected.parameter_count(), delta.count()
    share = {"touched": count, "total": total, "share": count / total, "bytes": 4 * count}
    manifest = {
        "format": FORMAT,
        "kind": "correction",
        "name": entry.name,
        "folder": entry.manifest.get("folder"),
        "blobs": new,
        "parameters": share,
        "feedback": [r.id for r in records],
        "provenance": {
            **provenance(seed=spec.seed, data_sha=ground.prob.data_sha, spec_sha=spec.sha()),
            "method": proposal.method,
            "delta": delta.manifest(),
        },
    }
    reason = proposal.because or "; ".join(r.because for r in records)
    candidate = store.propose(
        entry.name,
        manifest,
        parent=entry.ref,
        kind="correction",
        author=proposal.author,
        because=reason,
        claim=proposal.claim,
    )
    store.use_feedback([r.id for r in records], candidate)
    store.add_trial(entry.name, "correction", {"method": proposal.method, "seed": spec.seed})
    return candidate
