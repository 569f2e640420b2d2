"""A side of a diff: what is known of a version without running it.

Every version keeps its outputs on the frozen review set, so two versions can be compared years later, row by row,
without their code. A side made from live programs (`pellucid.diff(a, b, rows)`) has the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pellucid.core.task import Task
from pellucid.store.records import Entry
from pellucid.store.store import Store


@dataclass(frozen=True)
class Side:
    """One side of a diff.

    Args:
        ref: how a person names it.
        sha: identity; equal hashes mean an empty diff.
        tasks: task name -> task.
        outputs: task name -> outputs table on the review rows (see `runs.outputs`).
        touched: keys whose labels its training saw; such rows are not clean evidence.
        attribution: task -> {"players", "outputs", "values": [run][n][d][k], "keys"}: two runs, two seeds.
        parameters: {"touched", "total", "share", "bytes"} of what was trained for this version.
        measured: what the gates of a claim are checked against (see `review.gates`).
        provenance: seed, data, spec, package versions: JSON.
    """

    ref: str
    sha: str
    tasks: Mapping[str, Task]
    outputs: Mapping[str, pd.DataFrame]
    touched: frozenset[str] = frozenset()
    attribution: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def touched_keys(store: Store, entry: Entry) -> frozenset[str]:
    """Keys of the rows whose labels a version's training saw."""
    blobs: dict[str, str] = entry.manifest["blobs"]
    return frozenset(store.blobs.get_table(blobs["touched"])["key"]) if "touched" in blobs else frozenset()


def side(store: Store, entry: Entry) -> Side:
    """The side of a stored version or candidate."""
    blobs: dict[str, str] = entry.manifest["blobs"]
    tasks = {t["name"]: Task.from_json(t) for t in store.blobs.get_json(blobs["program"])["tasks"]}
    outputs = {name: store.blobs.get_table(blobs[f"outputs/{name}"]) for name in tasks if f"outputs/{name}" in blobs}
    return Side(
        entry.ref,
        entry.sha,
        tasks,
        outputs,
        touched_keys(store, entry),
        store.blobs.get_json(blobs["attribution"]) if "attribution" in blobs else {},
        entry.manifest.get("parameters", {}),
        store.blobs.get_json(blobs["measured"]) if "measured" in blobs else {},
        entry.manifest.get("provenance", {}),
    )
