"""A folder of pictures as a table: one row a file, its class the subfolder in which it lies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.data.pictures import SUFFIXES
from pellucid.data.quarantine import Quarantine
from pellucid.data.sources.opened import Chunk, Opened
from pellucid.spec.model import FieldSpec

IMAGE, LABEL = "image", "label"  # columns
DEEPEST = 32  # folders within folders: a link that leads back would have no end
SHOWN = 3


def open_folder(source: str) -> Opened:
    """The pictures below a folder, by path.

    Columns: `image`, the path from the folder on, and `label`, the first folder of that path ("" right in the folder).
    What is no picture by its suffix is counted in a note; hidden files and folders are not looked at.

    Raises:
        DataError: there is no picture.
    """
    root = Path(source)
    files, others = [], Counter[str]()
    for path in _files(root, 0):
        if path.suffix.lower() in SUFFIXES:
            files.append(path.relative_to(root).as_posix())
        else:
            others[path.suffix.lower() or path.name] += 1
    if not files:
        raise DataError(
            "there is no picture in this folder.",
            where=source,
            mend=f"give a folder with a subfolder of pictures per class ({', '.join(sorted(SUFFIXES))}), or one file",
        )
    labels = [path.split("/", 1)[0] if "/" in path else "" for path in files]
    frame = pd.DataFrame({IMAGE: pd.Series(files, dtype="str"), LABEL: pd.Series(labels, dtype="str")})
    chunk = Chunk(frame, np.arange(1, len(frame) + 1), source, 1.0)
    notes = []
    if others:
        named = ", ".join(f"{name} {count}" for name, count in others.most_common(SHOWN))
        notes.append(f"{sum(others.values())} files are no pictures by their names and were left out ({named})")
    return Opened(source, iter([chunk]), Quarantine("file"), notes, {IMAGE: FieldSpec(kind="image")})


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """Files in the order of their paths, whatever order the file system has."""
    if depth > DEEPEST:
        raise DataError(
            f"folders lie more than {DEEPEST} deep.", where=str(folder), mend="is there a link that leads back?"
        )
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"the folder cannot be read: {error.strerror}.", where=str(folder), mend="allow reading it"
        ) from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path), depth + 1)
        else:
            yield Path(entry.path)
