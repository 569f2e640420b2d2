"""Answers as files of JSON, for those that have no store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pellucid.core.errors import DataError


def write_json(path: str | Path, raw: dict[str, Any]) -> Path:
    """Write a file anew: whole, or not at all."""
    file = Path(path)
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(raw), encoding="utf-8")
    return part.replace(file)


def read_json(path: str | Path, *, where: str) -> dict[str, Any]:
    """What `write_json` wrote; of something else nothing.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read: {error}", where=where, mend="give what save() wrote") from error
    return raw if isinstance(raw, dict) else {}
