"""Sources of tables: files by path, glob or URL, folders of pictures, databases, HTTP APIs, tables in memory.

Every source gives the same thing, `Opened`: chunks of cells as they stand there, the place of every row, and a
quarantine. What the cells mean is decided later, by column.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pellucid.data.sources.files import open_files
from pellucid.data.sources.folders import open_folder
from pellucid.data.sources.http import open_http
from pellucid.data.sources.memory import in_memory, open_memory
from pellucid.data.sources.opened import Chunk, Opened
from pellucid.data.sources.sql import open_sql
from pellucid.spec.model import ReadSpec, source_kind

__all__ = ["ALL", "Chunk", "Opened", "open_source"]

ALL: dict[str, Callable[[Any, ReadSpec, str | None], Opened]] = {
    "file": lambda source, read, query: open_files(str(source), read),
    "folder": lambda source, read, query: open_folder(str(source)),
    "url": lambda source, read, query: open_files(str(source), read),
    "http": lambda source, read, query: open_http(str(source), read),
    "sql": lambda source, read, query: open_sql(str(source), query),
    "memory": lambda source, read, query: open_memory(source),
}


def open_source(source: Any, read: ReadSpec | None = None, query: str | None = None) -> Opened:
    """Open a table wherever it lies.

    Args:
        source: a path or glob, a folder of pictures, a URL (fsspec, http, SQLAlchemy), or a table in memory.
        read: how files are read; by default everything is found out.
        query: a table's name or a SELECT, for a database.
    Raises:
        DataError: there is no such source.
        MissingExtra: what reads it is not installed.
    """
    kind: str = "memory" if in_memory(source) else source_kind(str(source))
    if kind == "file" and Path(source).is_dir():
        kind = "folder"
    return ALL[kind](source, read or ReadSpec(), query)
