"""Diff two versions, a version and a candidate, or two live programs (ours or wrapped)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.review.diff import DiffConfig, diff
from pellucid.review.sides import Side, side
from pellucid.runs.artefact import load_spec
from pellucid.runs.outputs import outputs_table
from pellucid.store.store import Store


def diff_versions(store: Store, base: str, candidate: str, *, record: bool = True) -> dict[str, Any]:
    """The behaviour diff of two stored versions; reads what they kept, runs no model.

    The look at the review set is counted. When the candidate is undecided and the base is its parent, its claim is
    checked and the diff is recorded as the one under review.
    """
    first, second = store.resolve(base), store.resolve(candidate)
    own = second.parent is not None and store.resolve(second.parent).sha == first.sha
    spec = load_spec(store, second)
    config = DiffConfig(
        margin=spec.evidence.margin,
        block=float(spec.evidence.block),
        seed=spec.seed,
        claim=second.claim if own else None,
    )
    found = diff(side(store, first), side(store, second), config)
    found["because"] = [second.because] if own and second.because else []
    if first.sha != second.sha:
        store.look(first.name, f"diff {first.ref} {second.ref}")
        if record and own and second.state == "proposed":
            store.record_diff(second.ref, store.blobs.put_json(found))
    return found


def live_side(ref: str, program: Program, rows: Rows) -> Side:
    """A side made by running a program on rows now; identified by its outputs."""
    outputs = {name: outputs_table(program, task, rows) for name, task in program.tasks.items()}
    return Side(ref, fingerprint(outputs), dict(program.tasks), outputs)


def fingerprint(outputs: Mapping[str, pd.DataFrame]) -> str:
    """SHA-256 of all outputs: how a foreign model is identified."""
    digest = hashlib.sha256()
    for name in sorted(outputs):
        table = outputs[name]
        digest.update(name.encode() + "\n".join(table["key"].astype(str)).encode())
        for column in sorted(str(c) for c in table if str(c).startswith("out:")):
            digest.update(np.ascontiguousarray(table[column].to_numpy(dtype=np.float64)).tobytes())
    return digest.hexdigest()


def diff_programs(
    a: Program, b: Program, rows: Rows, *, names: tuple[str, str] = ("a", "b"), config: DiffConfig | None = None
) -> dict[str, Any]:
    """The behaviour diff of two live programs on the same rows."""
    found = diff(live_side(names[0], a, rows), live_side(names[1], b, rows), config or DiffConfig())
    return {**found, "because": []}


def without_time(config: DiffConfig, rows: Rows) -> DiffConfig:
    """Rows without an order in time are resampled one by one."""
    return config if rows.times is not None else replace(config, block=1.0)
