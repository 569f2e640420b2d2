"""Shown actions as feedback: read and checked when they are given, so that a later `revise` cannot fail on them."""

from __future__ import annotations

from typing import Any

from pellucid.core.errors import DataError, SchemaError, nearest
from pellucid.core.schema import Schema
from pellucid.core.task import Task
from pellucid.data.shown import Source, correction, read_shown
from pellucid.store.records import Entry
from pellucid.store.store import Store

MOST = 100_000  # states of one record; more are demonstrations: `algorithm: bc`


def shown_payload(store: Store, entry: Entry, source: Source, task: str | None = None) -> dict[str, Any]:
    """The payload of feedback of kind `correct-action`.

    Args:
        source: a CSV, TSV or Parquet file, a data frame or columns: one per observed value, and `action`.
        task: a control task of the version; may be left out when there is one.
    Raises:
        SchemaError: no such task, or several and none named.
        DataError: columns or actions that do not exist, empty cells, no row.
    """
    described = store.blobs.get_json(entry.manifest["blobs"]["program"])
    policies = {t["name"]: Task.from_json(t) for t in described["tasks"] if t["kind"] == "control"}
    name = task or (next(iter(policies)) if len(policies) == 1 else None)
    if name is None or name not in policies:
        raise SchemaError(
            f"'{entry.ref}' has {'no' if not policies else 'the'} policies {', '.join(policies)}".rstrip() + ".",
            where=f"task '{name}'" if name else "task",
            mend=nearest(str(name), policies) or "name one of them: --task NAME",
        )
    shown = read_shown(source, Schema.from_json(described["schema"]).inputs, policies[name])
    if not 0 < len(shown) <= MOST:
        raise DataError(
            f"{len(shown):,} states are shown.",
            where=str(source)[:80],
            mend=f"give 1 to {MOST:,}; of more, learn anew from demonstrations (algorithm: bc)",
        )
    states = [{f: values[i] for f, values in shown.fields.items()} for i in range(len(shown))]
    return {"task": name, "shown": [correction(s, shown.action[i]) for i, s in enumerate(states)]}
