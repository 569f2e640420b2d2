"""Two policies in the same states: which decisions differ. Their returns are paired by seed in `review.diff`.

The states are those that either policy was seen in when it was fitted, so neither side's world is left out. This is
the one part of a diff that asks the programs themselves: the states of one were unknown when the other was kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.review.diff import EXAMPLES, correlation
from pellucid.runs.artefact import load_program, load_rows
from pellucid.runs.outputs import decisions
from pellucid.runs.policies import action_dimension, on_rows
from pellucid.store.records import Entry
from pellucid.store.store import Store

FAR = 0.05  # of a continuous action's range: a smaller move is the same decision
Json = dict[str, Any]


def add_decisions(store: Store, base: Entry, candidate: Entry, found: Json) -> Json:
    """The diff with decisions of policies compared state by state instead of by the lengths of episodes.

    Two policies that decide alike in all these states, and earn the same in every episode, are no difference.
    """
    if not any(task["metric"] == "negative_reward" for task in found["tasks"]):
        return found
    programs = [load_program(store, entry) for entry in (base, candidate)]
    for entry in found["tasks"]:
        name = entry["task"]
        tasks = [program.tasks[name] for program in programs]
        if any(on_rows(task) for task in tasks) or tasks[0].outputs != tasks[1].outputs:
            continue
        pool = [load_rows(store, side.manifest["blobs"][f"background/{name}"]) for side in (base, candidate)]
        states = _joined([rows for rows in pool if all(f in rows.fields for task in tasks for f in task.inputs)])
        if states is None:
            continue
        entry["episodes"] = _episodes(store, base, candidate, name)
        entry["flips"], entry["outputs"] = compare_actions(programs, tasks, states)
    same = bool(found["tasks"]) and not found["gates"] and all(_alike(entry) for entry in found["tasks"])
    return {**found, "empty": True, "verdict": "equivalent"} if same else found


def compare_actions(programs: list[Any], tasks: list[Task], states: Rows) -> tuple[Json, list[Json]]:
    """(flips, outputs that moved) of two policies in the same states."""
    answers = [_answers(program, task, states) for program, task in zip(programs, tasks, strict=True)]
    before, after = (words for words, _ in answers)
    (_, a), (_, b) = answers
    actions = action_dimension(tasks[0])
    if tasks[0].options["space"] == "box":
        low, high = (np.asarray(tasks[0].options[end], dtype=np.float64) for end in ("low", "high"))
        span = np.where(np.isfinite(high - low), high - low, 2.0)
        a, b = np.clip(a, [*low, -np.inf], [*high, np.inf]), np.clip(b, [*low, -np.inf], [*high, np.inf])
        size = (np.abs(b - a)[:, :actions] / span).max(1)
        changed = size > FAR
    else:
        changed, size = before != after, np.abs(b - a)[:, :actions].max(1)
    order = [i for i in np.lexsort((states.keys, -size)) if changed[i]][:EXAMPLES]
    flips = {
        "n": len(states),
        "changed": int(changed.sum()),
        "share": float(changed.mean()),
        "to_better": None,  # what a single decision is worth, only an episode tells
        "to_worse": None,
        "mcnemar_p": None,
        "examples": [
            {"key": str(states.keys[i]), "from": str(before[i]), "to": str(after[i]), "y": None} for i in order
        ],
    }
    if tasks[0].unit != tasks[1].unit:
        return flips, []
    moved = [
        {
            "name": name,
            "correlation": correlation(a[:, j], b[:, j]),
            "mean_abs_change": float(np.abs(b[:, j] - a[:, j]).mean()),
        }
        for j, name in enumerate(tasks[0].outputs)
    ]
    return flips, moved


def _answers(program: Program, task: Task, states: Rows) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    outputs = program(program.encode(states), task.name).double().cpu().numpy()
    words = decisions(task, outputs, states)
    if task.options["space"] == "box":
        words = np.asarray([", ".join(f"{x:.3g}" for x in row) for row in outputs[:, : action_dimension(task)]])
    return words, outputs


def _joined(pool: list[Rows]) -> Rows | None:
    """All rows of the pool, none twice: the same state of the same episode may have been met by both."""
    if not pool:
        return None
    keys = np.concatenate([np.char.add(rows.keys, f"/{'ab'[i]}") for i, rows in enumerate(pool)])
    names = [name for name in pool[0].fields if all(name in rows.fields for rows in pool)]
    fields = {name: np.concatenate([np.asarray(rows.fields[name]) for rows in pool]) for name in names}
    wide = np.concatenate([fields[name].reshape(len(keys), -1).astype(str) for name in names], axis=1)
    _, first = np.unique(wide, axis=0, return_index=True)
    keep = np.sort(first)
    return Rows(np.asarray([key[:-2] for key in keys[keep]], dtype=np.str_), {n: v[keep] for n, v in fields.items()})


def _episodes(store: Store, base: Entry, candidate: Entry, name: str) -> Json:
    """Of the episodes on the same seeds: in how many the candidate earns more, less, the same."""
    tables = [store.blobs.get_table(entry.manifest["blobs"][f"outputs/{name}"]) for entry in (base, candidate)]
    joined = tables[0].merge(tables[1], on="key", suffixes=("_a", "_b"))
    gain = (joined["loss_a"] - joined["loss_b"]).to_numpy(dtype=float)
    return {"n": len(gain), "more": int((gain > 0).sum()), "less": int((gain < 0).sum())}


def _alike(entry: Json) -> bool:
    episodes = entry.get("episodes")
    same = episodes is not None and not episodes["more"] and not episodes["less"] and not entry["flips"]["changed"]
    return bool(same and all(moved["mean_abs_change"] == 0.0 for moved in entry["outputs"]))
