"""Diff two versions, or a version and a candidate, by what they kept."""

from __future__ import annotations

from typing import Any

from pellucid.review.diff import DiffConfig, diff
from pellucid.review.sides import side
from pellucid.runs.acts import add_decisions
from pellucid.runs.artefact import load_spec
from pellucid.store.store import Store


def diff_versions(store: Store, base: str, candidate: str, *, record: bool = True) -> dict[str, Any]:
    """The behaviour diff of two stored versions; reads what they kept, and runs no model but policies
    in the states that were kept.

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
    found = add_decisions(store, first, second, diff(side(store, first), side(store, second), config))
    found["because"] = [second.because] if own and second.because else []
    if first.sha != second.sha:
        store.look(first.name, f"diff {first.ref} {second.ref}")
        if record and own and second.state == "proposed":
            store.record_diff(second.ref, store.blobs.put_json(found))
    return found
