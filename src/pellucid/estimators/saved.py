"""What an estimator writes beside its store: its arguments and what scikit-learn wants to know of a fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.core.errors import CorruptBlob, StoreError
from pellucid.store.canonical import encode_json
from pellucid.store.files import make_folder, write_atomic

FILE = "estimator.json"
FORMAT = 1


def plain(value: Any) -> Any:
    """A number of numpy as one of Python, a sequence as a list: what JSON and a spec hold."""
    if isinstance(value, np.generic):
        return value.item()
    return [plain(one) for one in value] if isinstance(value, (tuple, list, np.ndarray)) else value


def new_folder(path: str | Path) -> Path:
    """An empty folder, made where there is none.

    Raises:
        StoreError: it is not empty.
    """
    root = Path(path)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise StoreError(f"'{root}' is not empty.", where="save", mend="give a new folder")
    make_folder(root)
    return root


def write_described(root: Path, described: dict[str, Any]) -> None:
    """Write what `described_in` reads."""
    write_atomic(root / FILE, encode_json({"format": FORMAT, **described}))


def described_in(root: Path, name: str) -> dict[str, Any]:
    """What an estimator of this name wrote to a folder.

    Raises:
        StoreError: there is none, or it is another estimator's.
        CorruptBlob: it is damaged.
    """
    file = root / FILE
    if not file.is_file():
        raise StoreError(f"no estimator is saved in '{root}'.", where=f"{name}.load", mend="give a folder of save()")
    try:
        found = dict(json.loads(file.read_bytes()))
    except (ValueError, TypeError) as error:
        raise CorruptBlob(f"the file is damaged: {error}.", where=str(file), mend="save the estimator again") from None
    if found.get("estimator") != name or found.get("format") != FORMAT:
        raise StoreError(
            f"'{root}' holds a {found.get('estimator')} of format {found.get('format')}.",
            where=f"{name}.load",
            mend=f"load it as {found.get('estimator')}, with the version of Pellucid that wrote it",
        )
    return found
