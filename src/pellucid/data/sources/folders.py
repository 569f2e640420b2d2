"""A folder of pictures or of texts as a table: one row a file, its class the subfolder in which it lies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.data.pictures import SUFFIXES
from pellucid.data.quarantine import BadRow, Quarantine
from pellucid.data.sources.located import locate
from pellucid.data.sources.opened import Chunk, Opened
from pellucid.data.sources.text import open_text
from pellucid.spec.model import FieldSpec

IMAGE, TEXT, LABEL = "image", "text", "label"  # columns
WRITTEN = frozenset({".txt", ".text", ".md"})  # suffixes of texts
DEEPEST = 32  # folders within folders: a link that leads back would have no end
SHOWN = 3


def open_folder(source: str) -> Opened:
    """The pictures below a folder, by path.

    Columns: `image`, the path from the folder on, and `label`, the first folder of that path ("" right in the folder).
    What is no picture by its suffix is counted in a note; hidden files and folders are not looked at.
    Without any picture, the texts below it (.txt, .md): `text`, what a file holds, and `label`.

    Raises:
        DataError: there is neither.
    """
    root = Path(source)
    files, others = [], Counter[str]()
    texts = []
    for path in _files(root, 0):
        if path.suffix.lower() in SUFFIXES:
            files.append(path.relative_to(root).as_posix())
        else:
            others[path.suffix.lower() or path.name] += 1
            texts += [path.relative_to(root).as_posix()] if path.suffix.lower() in WRITTEN else []
    if not files and texts:
        return _of_texts(root, texts, others)
    if not files:
        raise DataError(
            "there is no picture in this folder, and no text.",
            where=source,
            mend=f"give a folder with a subfolder of pictures ({', '.join(sorted(SUFFIXES))}) or of texts "
            f"({', '.join(sorted(WRITTEN))}) per class, or one file",
        )
    frame = pd.DataFrame({IMAGE: pd.Series(files, dtype="str"), LABEL: pd.Series(_labels(files), dtype="str")})
    chunk = Chunk(frame, np.arange(1, len(frame) + 1), source, 1.0)
    notes = []
    if others:
        named = ", ".join(f"{name} {count}" for name, count in others.most_common(SHOWN))
        notes.append(f"{sum(others.values())} files are no pictures by their names and were left out ({named})")
    return Opened(source, iter([chunk]), Quarantine("file"), notes, {IMAGE: FieldSpec(kind="image")})


def _labels(files: list[str]) -> list[str]:
    return [path.split("/", 1)[0] if "/" in path else "" for path in files]


def _of_texts(root: Path, files: list[str], others: Counter[str]) -> Opened:
    """One row a text; an empty one is set aside, as is one that cannot be read as text."""
    bad, notes, guessed = Quarantine("file"), list[str](), list[str]()
    kept, contents = [], []
    for i, name in enumerate(files, start=1):
        try:
            with open_text(locate(str(root / name))[0], None, guessed) as stream:
                content = stream.read().replace("\r\n", "\n").strip()
            reason = "the file is empty"
        except DataError as error:
            content, reason = "", error.what
        if content:
            kept.append(name)
            contents.append(content)
        else:
            bad.add(BadRow(name, i, reason, "", TEXT), "text")
    left = sum(count for suffix, count in others.items() if suffix not in WRITTEN)
    if guessed:
        notes.append(f"{len(guessed)} files are not UTF-8; the first: {guessed[0]}")
    if left:
        notes.append(f"{left} files are no texts by their names and were left out")
    frame = pd.DataFrame({TEXT: pd.Series(contents, dtype="str"), LABEL: pd.Series(_labels(kept), dtype="str")})
    chunk = Chunk(frame, np.asarray([files.index(name) + 1 for name in kept]), str(root), 1.0)
    return Opened(str(root), iter([chunk]), bad, notes, {TEXT: FieldSpec(kind="text")})


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
