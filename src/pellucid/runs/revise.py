"""Revise: from a person's feedback to a candidate with its claim and its measurements.

The base is frozen; a delta is trained by one learner per task that reads the field. A second delta, trained with the
same budget but without the feedback, is the control. What was measured is stored with the candidate, so that the
diff and its gates need no model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pellucid.adapt import build as build_delta
from pellucid.adapt import fit_rank
from pellucid.assemble import training_target
from pellucid.core.errors import DeltaError, ReviewError, nearest
from pellucid.core.random import derive
from pellucid.core.task import Task
from pellucid.evidence.finance import DAYS
from pellucid.feedback.ignore import Ignore, IgnoreConfig
from pellucid.nn.delta import Delta
from pellucid.nn.network import safe
from pellucid.nn.program import NetworkProgram
from pellucid.runs.artefact import load_network, load_spec
from pellucid.runs.correct import KIND, correct_actions
from pellucid.runs.ground import Ground, Proposal, Revised, TrainDelta, find_ground, propose_delta, train_delta
from pellucid.runs.measure import FieldEffect, compare_fixed, field_effect, held_fixed, typical_block
from pellucid.runs.policies import trades
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.store.records import Entry, FeedbackRecord
from pellucid.store.store import Store

METHODS = ("lora", "adalora")


@dataclass(frozen=True)
class ReviseConfig:
    """Settings of a correction.

    Args:
        method: `lora` or `adalora`.
        share: largest share of the parameters that the delta may have.
        updates, lr: of the delta.
        reduce: least reduction of the effect of do(field).
        correlation, spread: least correlation and share of the spread with the field held fixed.
        control: largest share of the effect that the control delta may gain.
        budget: loss on ordinary data that a person is ready to pay: a share of the loss (of the annual return on
            the notional for trading).
    """

    method: str = "lora"
    share: float = 0.05
    updates: int = 600
    lr: float = 1e-2
    reduce: float = 0.8
    correlation: float = 0.95
    spread: float = 0.5
    control: float = 0.25
    budget: float = 0.05


def revise(
    store: Store,
    ref: str,
    config: ReviseConfig | None = None,
    *,
    source: Any = None,
    author: str | None = None,
    because: str = "",
    reporter: Reporter | None = None,
) -> Revised:
    """Train a correction from the open feedback of a program, of the oldest one's kind, and propose it.

    Args:
        ref: the version to correct; a candidate's parent must be the head when it is accepted.
        source: a DataFrame or path that replaces the spec's own.
    Raises:
        ReviewError: no open feedback, or an unknown method.
    """
    config, reporter = config or ReviseConfig(), reporter or Silent()
    if config.method not in METHODS:
        raise ReviewError(
            f"no method '{config.method}'; there are {', '.join(METHODS)}.",
            where="revise(method=...)",
            mend=nearest(config.method, METHODS) or "use one of these",
        )
    entry = store.resolve(ref)
    if entry.number is None:
        raise ReviewError(
            f"'{entry.ref}' is no version yet, so nothing can be proposed on top of it.",
            where="revise",
            mend=f"accept or reject it first, or revise {entry.parent or entry.name}",
        )
    opened = store.feedback(entry.name, open_only=True)
    kind = opened[0].kind if opened else ""
    records = [r for r in opened if r.kind == kind]
    if not records:
        raise ReviewError(
            f"there is no open feedback on '{entry.name}'.",
            where="revise",
            mend=f'pellucid feedback add {entry.ref} --ignore FIELD --because "..."',
        )
    with one_thread():
        answer = correct_actions if kind == KIND else _revise
        done = answer(store, entry, records, config, source, author, because, reporter)
    if len(records) < len(opened):
        done.notes.append(f"feedback of another kind than '{kind}' stays open: revise again after this one")
    return done


def _revise(
    store: Store,
    entry: Entry,
    records: list[FeedbackRecord],
    config: ReviseConfig,
    source: Any,
    author: str | None,
    because: str,
    reporter: Reporter,
) -> Revised:
    spec = load_spec(store, entry)
    base = load_network(store, entry, what="revise")
    ground = find_ground(store, entry, spec, base, source)
    fields = sorted({str(r.payload["field"]) for r in records})
    tasks = [t for t in base.tasks.values() if any(f in t.inputs for f in fields)]
    notes: list[str] = []
    before = _effects(base, ground, tasks, fields, spec.seed)
    present = {key for key, effect in before.items() if effect.present}
    for (task, field), effect in before.items():
        size = f"{effect.value:.3g} sd of its outputs, interval {effect.low:.3g} to {effect.high:.3g}"
        verb = "effect" if (task, field) in present else "nothing to forbid: effect"
        notes.append(f"{task}: {verb} of do({field}) {size}")
    if not present:
        notes.append(f"nothing to forbid: no task of {entry.ref} responds to {', '.join(fields)} beyond its noise")
        return Revised(None, notes, {})

    corrected, delta = _train("correction", store, entry, ground, tasks, fields, config, True, reporter)
    control, _ = _train("control (no feedback)", store, entry, ground, tasks, fields, config, False, reporter)
    after = _effects(corrected, ground, tasks, fields, spec.seed)
    without = _effects(control, ground, tasks, fields, spec.seed)
    measured = {"effects": _measured(base, corrected, ground, tasks, fields, before, after, without)}

    proposal = Proposal(config.method, measured, _claim(config, entry, store, before, fields), author, because)
    candidate = propose_delta(store, entry, corrected, delta, ground, records, proposal)
    count, total = delta.count(), base.parameter_count()
    notes += [f"{config.method}: {count:,} of {total:,} parameters, {count / total:.1%}", *_room(base, fields, delta)]
    return Revised(candidate, notes, measured)


def _effects(
    program: NetworkProgram, ground: Ground, tasks: Sequence[Task], fields: Sequence[str], seed: int
) -> dict[tuple[str, str], FieldEffect]:
    return {
        (task.name, field): field_effect(
            program, ground.review[task.name], ground.train[task.name], task.name, field, block=ground.block, seed=seed
        )
        for task in tasks
        for field in fields
        if field in task.inputs
    }


def _train(
    stage: str,
    store: Store,
    entry: Entry,
    ground: Ground,
    tasks: Sequence[Task],
    fields: Sequence[str],
    config: ReviseConfig,
    resample: bool,
    reporter: Reporter,
) -> tuple[NetworkProgram, Delta]:
    """Train one delta on a fresh copy of the base; with `resample=False` it is the control."""
    program = load_network(store, entry, what="revise")
    seed = derive(load_spec(store, entry).seed, "revise")
    learners = []
    for task in tasks:
        rows = ground.train[task.name]
        blocks, target = program.encode(rows), None
        if task.kind != "control":
            target, known = training_target(task, rows)
            index = torch.from_numpy(np.flatnonzero(known))
            blocks, target = {k: v[index] for k, v in blocks.items()}, target[index]
        learners.append(
            Ignore(task, program.network, blocks, target, tuple(fields), IgnoreConfig(resample=resample), seed=seed)
        )
    delta = _delta(program, fields, config, seed)
    settings = TrainDelta(config.updates, config.lr, stage, entry.ref)
    return train_delta(program, delta, learners, settings, reporter), delta


def _delta(program: NetworkProgram, fields: Sequence[str], config: ReviseConfig, seed: int) -> Delta:
    """The delta of a correction: where the forbidden fields enter, at the largest rank within the share.

    At full rank a field is ignored exactly by cancelling its encoder, and nothing else has to move. With less, some of
    the effect stays; a delta of that size on all encoders and the trunk removes more of it, but moves what should stay
    (measured in `bench/ignore.py`: it fails the gates).
    """
    unread = [f for f in fields if safe(f) not in program.network.encoders]
    if unread:
        raise DeltaError(
            f"'{unread[0]}' enters no layer of the network: the position is held in a band that is drawn around it.",
            where="runs.revise",
            mend="forbid other fields, or learn the task by ppo, whose network reads the position",
        )
    targets = tuple(f"encoders.{safe(f)}.project" for f in fields)
    try:
        rank = fit_rank(program.network, targets, config.share, config.method)
    except DeltaError as error:
        mend = "allow a larger share (revise --share), or fit a wider network (network.width)"
        raise DeltaError(error.what, where="share of the parameters", mend=mend) from error
    options: dict[str, Any]
    if config.method == "adalora":
        options = {"start_rank": rank, "budget": rank, "steps": config.updates}
    else:
        options = {"rank": rank, "alpha": float(rank)}
    return build_delta(config.method, {**options, "targets": targets, "seed": seed})


def _room(program: NetworkProgram, fields: Sequence[str], delta: Delta) -> list[str]:
    """Says what share would let the delta cancel every forbidden field wholly, when it cannot."""
    encoders: Any = {field: program.network.encoders[safe(field)] for field in fields}
    widths = {field: encoder.project.in_features for field, encoder in encoders.items()}
    out = max(encoder.project.out_features for encoder in encoders.values())
    needed = {field: min(width, out) for field, width in widths.items()}
    if sum(delta.manifest()["ranks"].values()) >= sum(needed.values()):
        return []
    one = 1 if delta.kind == "adalora" else 0
    count = sum(rank * (widths[field] + out + one) for field, rank in needed.items())
    share = math.ceil(1e3 * count / program.parameter_count()) / 1e3
    return [f"the share leaves no room to cancel {', '.join(fields)} wholly; --share {share} does"]


def _measured(
    base: NetworkProgram,
    corrected: NetworkProgram,
    ground: Ground,
    tasks: Sequence[Task],
    fields: Sequence[str],
    before: dict[tuple[str, str], FieldEffect],
    after: dict[tuple[str, str], FieldEffect],
    without: dict[tuple[str, str], FieldEffect],
) -> dict[str, Any]:
    found = {}
    for (name, field), effect in before.items():
        task, rows = base.tasks[name], ground.review[name]
        block = typical_block(base, ground.train[name], field)
        fixed = [held_fixed(p, rows, name, field, block) for p in (base, corrected)]
        found[f"{name}/{field}"] = {
            "task": name,
            "field": field,
            "present": effect.present,
            "base": effect.value,
            "base_low": effect.low,
            "base_high": effect.high,
            "candidate": after[name, field].value,
            "candidate_low": after[name, field].low,
            "candidate_high": after[name, field].high,
            "control": without[name, field].value,
            "reduction": 1.0 - after[name, field].value / max(effect.value, 1e-12),
            "control_reduction": 1.0 - without[name, field].value / max(effect.value, 1e-12),
            "held_fixed": compare_fixed(task.outputs, *fixed),
        }
    return found


def _claim(
    config: ReviseConfig,
    entry: Entry,
    store: Store,
    before: dict[tuple[str, str], FieldEffect],
    fields: Sequence[str],
) -> dict[str, Any]:
    budget = {}
    tasks = {t["name"]: Task.from_json(t) for t in store.blobs.get_json(entry.manifest["blobs"]["program"])["tasks"]}
    for name, task in tasks.items():
        if not any(f in task.inputs for f in fields):
            continue
        loss = store.blobs.get_table(entry.manifest["blobs"][f"outputs/{name}"])["loss"].to_numpy(dtype=float)
        mean = abs(float(np.nanmean(loss)))
        if trades(task):
            budget[name] = {"loss": config.budget / DAYS, "unit": "bp a day", "scale": 1e4}
        else:
            budget[name] = {"loss": config.budget * mean, "unit": "% of the loss", "scale": 100.0 / max(mean, 1e-12)}
    return {
        "changes": [{"field": f, "task": t, "reduce": config.reduce} for t, f in before],
        "keeps": [{"correlation": config.correlation, "spread": config.spread}],
        "control": config.control,
        "budget": budget,
    }
