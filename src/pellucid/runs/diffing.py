"""Diff two versions, or a version and a candidate, by what they kept."""

from __future__ import annotations

from typing import Any

from pellucid.review.diff import DiffConfig, diff
from pellucid.review.sides import Side, side
from pellucid.runs.acts import add_decisions
from pellucid.runs.artefact import load_spec
from pellucid.spec.model import Spec
from pellucid.spec.series import SeriesData
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
    candidate_side = side(store, second)
    config = DiffConfig(
        margin=spec.evidence.margin,
        block=_block(spec, candidate_side),
        seed=spec.seed,
        claim=second.claim if own else None,
    )
    found = add_decisions(store, first, second, diff(side(store, first), candidate_side, config))
    found["because"] = [second.because] if own and second.because else []
    if first.sha != second.sha:
        store.look(first.name, f"diff {first.ref} {second.ref}")
        if record and own and second.state == "proposed":
            store.record_diff(second.ref, store.blobs.put_json(found))
    return found


def _block(spec: Spec, candidate: Side) -> float:
    """Mean block of the paired bootstrap, rows: of series so many moments of all series, as in the evidence."""
    if not isinstance(spec.data, SeriesData):
        return float(spec.evidence.block)
    table = next(iter(candidate.outputs.values()))
    across = len(table) / max(1, table["time"].nunique())
    return max(1.0, round(max(spec.evidence.block, spec.data.horizon) * across))
