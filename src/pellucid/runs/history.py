"""The history of a program as JSON: read without torch, so that `pellucid log` is quick."""

from __future__ import annotations

from typing import Any

from pellucid.store.store import Store


def history(store: Store, name: str) -> list[dict[str, Any]]:
    """The append-only history, oldest first."""
    return [{"when": e.when, "who": e.who, "what": e.kind, "ref": e.about, "because": e.why} for e in store.log(name)]
