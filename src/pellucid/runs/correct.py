"""From shown actions to a candidate: the `correct-action` half of `pellucid revise`.

As with a forbidden field, a delta is trained on the frozen base, and a second one, which is not shown anything, is the
control. Gates: the shown actions are taken (change), the return on the same held-out seeds is not worse (keep).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.adapt import build as build_delta
from pellucid.adapt import fit_rank
from pellucid.core.errors import DeltaError, ReviewError
from pellucid.core.random import derive
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.data.shown import Shown, shown_from_feedback
from pellucid.feedback.correct_action import CorrectAction, CorrectActionConfig
from pellucid.nn.delta import Delta
from pellucid.nn.network import safe
from pellucid.nn.outputs import choices, likeliest
from pellucid.nn.program import NetworkProgram
from pellucid.runs.acts import FAR
from pellucid.runs.artefact import load_network, load_spec
from pellucid.runs.ground import Ground, Proposal, Revised, TrainDelta, find_ground, propose_delta, train_delta
from pellucid.runs.policies import action_dimension
from pellucid.runs.progress import Reporter
from pellucid.store.records import Entry, FeedbackRecord
from pellucid.store.store import Store

if TYPE_CHECKING:
    from pellucid.runs.revise import ReviseConfig

KIND = "correct-action"


def correct_actions(
    store: Store,
    entry: Entry,
    records: Sequence[FeedbackRecord],
    config: ReviseConfig,
    source: Any,
    author: str | None,
    because: str,
    reporter: Reporter,
) -> Revised:
    """Train a delta that takes the shown actions, and propose it. All records are of one task.

    Raises:
        ReviewError: the records are of several tasks.
    """
    names = sorted({str(r.payload["task"]) for r in records})
    if len(names) > 1:
        raise ReviewError(
            f"actions of several tasks were shown: {', '.join(names)}.",
            where=f"revise '{entry.ref}'",
            mend="supersede those of all tasks but one, then revise again",
        )
    spec, base = load_spec(store, entry), load_network(store, entry, what="revise")
    task, ground = base.task(names[0]), find_ground(store, entry, spec, base, source)
    shown = shown_of(records, base, task)
    before = agreement(base, task, shown)
    notes = [f"{task.name}: {before:.0%} of {len(shown)} shown actions are what {entry.ref} does"]
    if before == 1.0:
        return Revised(None, [*notes, f"nothing to correct: {entry.ref} takes every shown action"], {})
    corrected, delta = _train("correction", store, entry, ground, task, shown, config, True, reporter)
    control, _ = _train("control (nothing shown)", store, entry, ground, task, shown, config, False, reporter)
    actions = {
        "n": len(shown),
        "base": before,
        "candidate": agreement(corrected, task, shown),
        "control": agreement(control, task, shown),
    }
    measured = {"effects": {}, "actions": {task.name: actions}}
    claim = _claim(config, store, entry, task)
    proposal = Proposal(config.method, measured, claim, author, because)
    candidate = propose_delta(store, entry, corrected, delta, ground, list(records), proposal)
    count, total = delta.count(), base.parameter_count()
    notes.append(f"{task.name}: {actions['candidate']:.0%} are taken after the correction")
    return Revised(
        candidate, [*notes, f"{config.method}: {count:,} of {total:,} parameters, {count / total:.1%}"], measured
    )


def shown_of(records: Sequence[FeedbackRecord], program: NetworkProgram, task: Task) -> Shown:
    """Everything that the records show; of a state that was shown twice, each counts."""
    payloads = [one for record in records for one in record.payload["shown"]]
    return shown_from_feedback(payloads, program.schema.inputs, task)


def agreement(program: NetworkProgram, task: Task, shown: Shown) -> float:
    """Share of the shown states in which the program does what was shown: within 5 % of the range where continuous."""
    rows = Rows(np.full(len(shown), ""), dict(shown.fields))
    outputs = program(program.encode(rows), task.name)[:, : action_dimension(task)].double().cpu().numpy()
    if task.options["space"] != "box":
        same: npt.NDArray[Any] = likeliest(outputs, choices(task)) == shown.action
        return float((same if same.ndim == 1 else same.all(1)).mean())
    low, high = (np.asarray(task.options[end], dtype=np.float64) for end in ("low", "high"))
    span = np.where(np.isfinite(high - low), high - low, 2.0)
    away = np.abs(np.clip(outputs, low, high) - np.clip(shown.action, low, high)) / span
    return float((away <= FAR).all(1).mean())


def _train(
    stage: str,
    store: Store,
    entry: Entry,
    ground: Ground,
    task: Task,
    shown: Shown,
    config: ReviseConfig,
    show: bool,
    reporter: Reporter,
) -> tuple[NetworkProgram, Delta]:
    program = load_network(store, entry, what="revise")
    seed = derive(ground.prob.spec.seed, "correct-action")
    learner = CorrectAction(
        task,
        program.network,
        program.encode(Rows(np.full(len(shown), ""), dict(shown.fields))),
        torch.from_numpy(shown.action),
        program.encode(ground.train[task.name]),
        CorrectActionConfig(show=show),
        seed=seed,
    )
    delta = delta_of(program, task, config, seed)
    settings = TrainDelta(config.updates, config.lr, stage, entry.ref)
    return train_delta(program, delta, [learner], settings, reporter), delta


def delta_of(program: NetworkProgram, task: Task, config: ReviseConfig, seed: int) -> Delta:
    """On everything between the inputs and the actions; on less, nearer to the actions, where the share is small."""
    heads = tuple(
        name
        for name, module in program.network.named_modules()
        if name.startswith(f"heads.{safe(task.name)}.")
        and isinstance(module, torch.nn.Linear)
        and name.rpartition(".")[2] not in ("value", "log_std")
    )
    for targets in (("encoders", "trunk", *heads), ("trunk", *heads), heads):
        try:
            rank = fit_rank(program.network, targets, config.share, config.method)
        except DeltaError as error:
            smallest = error
            continue
        options: dict[str, Any] = {"rank": rank, "alpha": float(rank)}
        if config.method == "adalora":
            options = {"start_rank": rank, "budget": rank, "steps": config.updates}
        return build_delta(config.method, {**options, "targets": targets, "seed": seed})
    mend = "allow a larger share (revise --share), or fit a wider network (network.width)"
    raise DeltaError(smallest.what, where="share of the parameters", mend=mend)


def _claim(config: ReviseConfig, store: Store, entry: Entry, task: Task) -> dict[str, Any]:
    loss = store.blobs.get_table(entry.manifest["blobs"][f"outputs/{task.name}"])["loss"].to_numpy(dtype=float)
    mean = abs(float(np.nanmean(loss)))
    kept = {"loss": config.budget * mean, "unit": "% of the return", "scale": 100.0 / max(mean, 1e-12)}
    return {
        "actions": [{"task": task.name, "mend": config.reduce}],
        "control": config.control,
        "budget": {task.name: {**kept, "title": "return on the same seeds is not worse", "kind": "keep"}},
    }
