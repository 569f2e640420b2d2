"""Accepting a candidate: only with a diff that was reviewed, and not past a failed gate by accident."""

from __future__ import annotations

from typing import Any

from pellucid.core.errors import GateFailed
from pellucid.report.words import diff_verdict
from pellucid.runs.diffing import diff_versions
from pellucid.store.store import Store


def accept(
    store: Store, candidate: str, *, because: str = "", reviewer: str | None = None, override: bool = False
) -> tuple[str, str]:
    """Make a candidate the next version. Returns (reference, what the reviewed diff said).

    A candidate that was never diffed is diffed now. An undecided verdict is a person's to decide, with a reason; a
    failed gate needs `override`, and the history says so.

    Args:
        because: why; may be left out when the verdict is better or equivalent.
    Raises:
        GateFailed: a gate failed and `override` is not set.
        ReviewError: a reason is missing, or it was decided already.
        StaleRevision: the head moved since the candidate was proposed.
    """
    entry = store.resolve(candidate)
    if entry.parent is None:
        return store.accept(candidate, reviewer=reviewer, because=because or "a first version"), "a first version"
    head = store.head(entry.name)
    stale = head is None or head.ref != entry.parent
    if entry.diff is None and entry.state == "proposed" and not stale:  # else `store.accept` refuses: no look is spent
        diff_versions(store, entry.parent, candidate)
        entry = store.resolve(candidate)
    unread: dict[str, Any] = {"verdict": "undecided", "gates": []}
    found: dict[str, Any] = unread if entry.diff is None else store.blobs.get_json(entry.diff)
    failed = [gate["name"] for gate in found["gates"] if gate["passed"] is False]
    if (failed or found["verdict"] == "worse") and not override:
        what = f"failed: {'; '.join(failed)}" if failed else "the candidate is worse"
        raise GateFailed(
            f"'{candidate}' does not pass its review: {what}.",
            where=f"diff {entry.parent} {candidate}",
            mend=f"pellucid reject {candidate} --because ..., or accept with --override-gates and a reason",
        )
    verdict, said = str(found["verdict"]), diff_verdict(found)[1]
    reason = because or (f"reviewed: {said}" if verdict in ("better", "equivalent") else "")
    if reason and (failed or verdict == "worse"):
        reason = f"{reason} (overridden: {'; '.join(failed) or 'worse'})"
    return store.accept(candidate, reviewer=reviewer, because=reason, diff=entry.diff), said
