"""A fit without a store until somebody asks for its versions: in memory, in a temporary folder, in one that lasts."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from pellucid.nn.program import NetworkProgram
from pellucid.runs.artefact import described, frozen_encoders, rebuilt
from pellucid.runs.plain import Plain, exact, keep_plain, parts_of
from pellucid.spec.loader import spec_from
from pellucid.store.files import make_folder
from pellucid.store.store import Store


class Shelved:
    """A fit and where its versions are.

    Args:
        plain: what was learned.
        store: where its versions are, once they are.
        ref: the version that answers.
    """

    def __init__(self, plain: Plain, store: Store | None = None, ref: str | None = None) -> None:
        self.plain, self.ref = plain, ref
        self.exact = exact(plain.program)
        self._store = store

    def store(self) -> Store:
        """Where the versions are; a folder that lasts as long as anybody holds it, unless it was saved or loaded."""
        if self._store is None:
            self._store = _temporary({})
            self.ref = keep_plain(self.plain, self._store)
        return self._store

    def moved(self, root: Path) -> None:
        """Write the store to a folder, where it lies from now on."""
        shutil.copytree(self.store().root, root, dirs_exist_ok=True)
        self._store = Store(root, create=False)

    def use(self, program: NetworkProgram, ref: str) -> None:
        """Answer by another version of the store."""
        self.plain.program, self.ref, self.exact = program, ref, exact(program)

    def state(self) -> dict[str, Any]:
        """Texts, bytes and arrays: enough to answer, explain and revise elsewhere. With a store, that store's files."""
        plain, program = self.plain, self.plain.program
        found: dict[str, Any] = {
            "spec": plain.spec.canonical(),
            "program": json.dumps(described(program)),
            "weights": save_tensors(_contiguous(dict(program.network.state_dict()))),
            "deltas": [save_tensors(_contiguous(dict(delta.parameters()))) for delta in program.deltas],
            "classes": list(plain.classes),
            "notes": list(plain.notes),
        }
        frozen = {e.sha256: e.weights.tensors() for e in frozen_encoders(program.network) if e.weights is not None}
        if frozen:
            found["encoders"] = {sha: save_tensors(_contiguous(tensors)) for sha, tensors in frozen.items()}
        if self._store is None:
            return {**found, "parts": parts_of(plain)}
        root = self._store.root
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        return {**found, "ref": self.ref, "store": {str(f.relative_to(root)): f.read_bytes() for f in files}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Shelved:
        """The inverse of `state`."""
        deltas = [load_tensors(bytes(delta)) for delta in state["deltas"]]
        program = rebuilt(
            json.loads(state["program"]),
            load_tensors(bytes(state["weights"])),
            deltas,
            lambda sha: load_tensors(bytes(state["encoders"][sha])),
        )
        spec = spec_from(json.loads(state["spec"]), where="pickle")
        classes, notes = tuple(state["classes"]), tuple(state["notes"])
        store = _temporary(state["store"]) if "store" in state else None
        return cls(Plain(spec, program, classes, notes, parts=state.get("parts")), store, state.get("ref"))


def _temporary(files: dict[str, bytes]) -> Store:
    """A store in a folder that is removed when the last who holds it lets go."""
    folder = tempfile.mkdtemp(prefix="pellucid-")
    root = Path(folder) / "store"
    for name, content in files.items():
        make_folder((root / name).parent)
        (root / name).write_bytes(content)
    store = Store(root, create=not files)
    weakref.finalize(store, shutil.rmtree, folder, ignore_errors=True)
    return store


def _contiguous(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
