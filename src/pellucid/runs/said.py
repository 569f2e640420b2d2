"""What a person said, in a line: read without torch, so that `pellucid feedback list` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def about(kind: str, payload: Mapping[str, Any]) -> str:
    """`ignore volume`, `correct-action of policy in 50 states`."""
    if kind == "ignore":
        return f"ignore {payload['field']}"
    return f"{kind} of {payload['task']} in {len(payload['shown']):,} states"
