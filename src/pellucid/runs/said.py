"""What a person said, in a line: read without torch, so that `pellucid feedback list` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHOSEN = (
    "settings were chosen by rows that are among those judged here, which flatters them a little; the search's own "
    "comparison is free of that"
)


def about(kind: str, payload: Mapping[str, Any]) -> str:
    """`ignore volume`, `correct-action of policy in 50 states`."""
    if kind == "ignore":
        return f"ignore {payload['field']}"
    return f"{kind} of {payload['task']} in {len(payload['shown']):,} states"
