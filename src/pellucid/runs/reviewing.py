"""Accepting a candidate: only with a diff that was reviewed, and not past a failed gate by accident."""

from __future__ import annotations

from typing import Any

from pellucid.core.errors import ReviewError
from pellucid.runs.diffing import diff_versions
from pellucid.store.store import Store


def accept(
    store: Store, candidate: str, *, because: str, reviewer: str | None = None, override: bool = False
) -> tuple[str, str]:
    """Make a candidate the next version. Returns (reference, verdict of the reviewed diff).

    A candidate that was never diffed is diffed now. An undecided verdict is a person's to decide; a failed gate
    needs `override`, and the history says so.

    Raises:
        ReviewError: a gate failed and `override` is not set.
        StaleRevision: the head moved since the candidate was proposed.
    """
    entry = store.resolve(candidate)
    if entry.parent is None:
        return store.accept(candidate, reviewer=reviewer, because=because), "a first version"
    if entry.diff is None:
        diff_versions(store, entry.parent, candidate)
        entry = store.resolve(candidate)
    unread: dict[str, Any] = {"verdict": "undecided", "gates": []}
    found: dict[str, Any] = unread if entry.diff is None else store.blobs.get_json(entry.diff)
    failed = [gate["name"] for gate in found["gates"] if gate["passed"] is False]
    if (failed or found["verdict"] == "worse") and not override:
        what = f"failed: {'; '.join(failed)}" if failed else "the candidate is worse"
        raise ReviewError(
            f"'{candidate}' does not pass its review: {what}.",
            where=f"diff {entry.parent} {candidate}",
            mend=f"pellucid reject {candidate} --because ..., or accept with --override-gates and a reason",
        )
    reason = f"{because} (gates overridden: {'; '.join(failed) or 'worse'})" if override and failed else because
    return store.accept(candidate, reviewer=reviewer, because=reason, diff=entry.diff), str(found["verdict"])
