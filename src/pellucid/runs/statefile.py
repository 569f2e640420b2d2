"""A nested state in one file: written atomically, verified when read, no pickle.

Layout: one line `pellucid-state 1 <sha256 of the rest>`, then safetensors bytes whose metadata hold the JSON tree.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from pellucid.core.errors import CorruptBlob, StoreError
from pellucid.store.files import write_atomic
from pellucid.train.state import flatten, restore

MAGIC = b"pellucid-state 1 "


def save(path: Path, state: Any) -> None:
    """Write a state; the old file stays intact until the new one is complete."""
    arrays, tree = flatten(state)
    body = save_tensors(arrays, metadata={"tree": json.dumps(tree)})
    write_atomic(path, MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def load(path: Path) -> Any:
    """Read and verify a state.

    Raises:
        StoreError: the file cannot be read.
        CorruptBlob: its bytes are not those that were saved.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the state file cannot be read: {error.strerror}.",
            where=str(path),
            mend="start the run again without --resume",
        ) from error
    head, _, body = data.partition(b"\n")
    if not head.startswith(MAGIC) or hashlib.sha256(body).hexdigest().encode() != head[len(MAGIC) :]:
        raise CorruptBlob(
            "the state file is damaged: its bytes are not those that were saved.",
            where=str(path),
            mend="delete the file; the run starts again from the stage before it",
        )
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    return restore(load_tensors(body), json.loads(header["__metadata__"]["tree"]))
