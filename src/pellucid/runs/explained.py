"""Explanations are kept by content: the same question about the same version is answered without asking the program.

A file per question under the store's `explained` folder. Its name is the SHA-256 of everything that the answer depends
on: the version, the rows, the background, the options, and Pellucid's own version. The folder may be deleted
at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from pellucid.core.rows import Rows
from pellucid.core.version import __version__
from pellucid.explain import Explanation
from pellucid.store.files import make_folder, write_atomic
from pellucid.store.store import Store


class Answer(Protocol):
    """What can be kept: its JSON says everything."""

    def to_json(self) -> dict[str, Any]: ...


T = TypeVar("T", bound=Answer)


def question(version: str, task: str, rows: Rows, background: str, options: dict[str, Any]) -> str:
    """The name of a question.

    Args:
        version: SHA-256 of the program's manifest.
        rows: what is explained, raw.
        background: SHA-256 of the kept reference rows.
        options: of `explain.attribute`, or of another question.
    """
    asked = json.dumps([__version__, version, task, background, options], sort_keys=True)
    return content(rows, asked)


def content(rows: Rows, asked: str = "") -> str:
    """SHA-256 of rows, raw, and of what is asked about them."""
    digest = hashlib.sha256(asked.encode())
    for name in ("", *sorted(rows.fields)):
        values = np.asarray(rows.fields[name] if name else rows.keys)
        whole = values.dtype.kind in "biuf"
        digest.update(f"\n{name} {values.dtype if whole else 'text'} {values.shape}\n".encode())
        digest.update(values.tobytes() if whole else "\x1f".join(map(repr, values.ravel().tolist())).encode())
    return digest.hexdigest()


def kept_or(store: Store, name: str, compute: Callable[[], Explanation]) -> Explanation:
    """The kept answer of that name, else the computed one, which is kept if it is whole."""

    def whole(found: Explanation) -> bool:
        return not any(warning.startswith("interrupted") for warning in found.warnings)

    return kept_as(store, name, Explanation.from_json, compute, whole)


def kept_as(
    store: Store,
    name: str,
    read: Callable[[dict[str, Any]], T],
    compute: Callable[[], T],
    whole: Callable[[T], bool] = lambda _: True,
) -> T:
    """The same for any answer that `read` reads from JSON. One that cannot be read is computed again."""
    path = store.root / "explained" / f"{name}.json"
    if path.is_file():
        try:
            return read(json.loads(path.read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            pass
    found = compute()
    if whole(found):
        make_folder(path.parent)
        write_atomic(path, json.dumps(found.to_json()).encode())
    return found
