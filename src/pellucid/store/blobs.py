"""Blobs by SHA-256: `blobs/ab/<sha>`, written once, verified whenever they are read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.core.errors import CorruptBlob, StoreError
from pellucid.store.canonical import NanRule, decode_json, encode_json
from pellucid.store.files import TEMPORARY, make_folder, sync_folder, translated, write_atomic

if TYPE_CHECKING:
    import pandas as pd
    import torch

_SHA = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """Bytes, JSON, tensors and tables, each named by the SHA-256 of its bytes.

    Args:
        folder: where they lie; made at the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha: str) -> Path:
        """The file of a blob, whether it exists or not."""
        if not isinstance(sha, str) or _SHA.fullmatch(sha) is None:
            raise StoreError(
                f"{sha!r} is not the name of a blob.", where=str(self.folder), mend="64 hexadecimal digits (SHA-256)"
            )
        return self.folder / sha[:2] / sha

    def __contains__(self, sha: str) -> bool:
        path = self.path(sha)
        with translated("look for", path):
            return path.is_file()

    def __iter__(self) -> Iterator[str]:
        with translated("list", self.folder):
            yield from sorted(path.name for path in self.folder.glob("??/*") if _SHA.fullmatch(path.name))

    def leftovers(self) -> list[Path]:
        """Temporary files of writers that were killed (or are writing now); no reader ever sees them."""
        with translated("list", self.folder):
            return sorted(self.folder.glob(f"??/{TEMPORARY}*"))

    def put_bytes(self, data: bytes) -> str:
        """Store bytes; returns their SHA-256. A damaged file of that name is replaced."""
        sha = hashlib.sha256(data).hexdigest()
        path = self.path(sha)
        if not self._holds(path, data):
            make_folder(self.folder)
            write_atomic(path, data)
        else:
            with translated("write", path):
                sync_folder(path.parent)  # another writer may have renamed it an instant ago
        return sha

    def get_bytes(self, sha: str) -> bytes:
        """The bytes of a blob.

        Raises:
            CorruptBlob: the file is missing, shortened or changed.
            StoreError: the disk does not let it be read.
        """
        path = self.path(sha)
        with translated("read", path):
            try:
                data = path.read_bytes()
            except FileNotFoundError as error:
                raise self._corrupt(sha, "is missing") from error
        if hashlib.sha256(data).hexdigest() != sha:
            raise self._corrupt(sha, f"is damaged: its {len(data)} bytes are not the bytes that were saved")
        return data

    def put_json(self, obj: Any, *, nan: NanRule = "refuse") -> str:
        """Store a JSON value in canonical form; see `canonical.encode_json`."""
        return self.put_bytes(encode_json(obj, nan=nan))

    def get_json(self, sha: str) -> Any:
        """The value of a JSON blob."""
        data = self.get_bytes(sha)
        try:
            return decode_json(data)
        except ValueError as error:
            raise self._other_kind(sha, "JSON", error) from error

    def put_tensors(self, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> str:
        """Store tensors or numpy arrays as safetensors, with texts beside them."""
        from pellucid.store.formats import encode_tensors

        return self.put_bytes(encode_tensors(tensors, metadata or {}))

    def get_tensors(self, sha: str) -> dict[str, torch.Tensor]:
        """Name -> tensor on the CPU, sorted by name."""
        from pellucid.store.formats import decode_tensors

        data = self.get_bytes(sha)
        try:
            return decode_tensors(data)
        except ValueError as error:
            raise self._other_kind(sha, "tensors", error) from error

    def get_metadata(self, sha: str) -> dict[str, str]:
        """The texts that were stored beside tensors."""
        from pellucid.store.formats import decode_metadata

        data = self.get_bytes(sha)
        try:
            return decode_metadata(data)
        except (ValueError, AttributeError) as error:
            raise self._other_kind(sha, "tensors", error) from error

    def put_table(self, frame: pd.DataFrame) -> str:
        """Store a table as Parquet; equal tables give equal bytes under one version of pyarrow."""
        from pellucid.store.formats import encode_table

        return self.put_bytes(encode_table(frame))

    def get_table(self, sha: str) -> pd.DataFrame:
        """The table of a Parquet blob."""
        from pellucid.store.formats import decode_table

        data = self.get_bytes(sha)
        try:
            return decode_table(data)
        except ValueError as error:
            raise self._other_kind(sha, "a table", error) from error

    def references(self, obj: Any) -> list[str]:
        """The blobs that a JSON value names, directly or through JSON blobs that it names, sorted."""
        found: set[str] = set()
        waiting = [text for text in _texts(obj) if _SHA.fullmatch(text)]
        while waiting:
            sha = waiting.pop()
            if sha in found or sha not in self:  # hashes of data and specs look the same but name no blob
                continue
            found.add(sha)
            waiting += [text for text in _texts(self._json_or_none(sha)) if _SHA.fullmatch(text)]
        return sorted(found)

    def _json_or_none(self, sha: str) -> Any:
        path = self.path(sha)
        with translated("read", path), path.open("rb") as file:
            if file.read(1) not in (b"{", b"["):
                return None
        data = self.get_bytes(sha)
        try:
            return decode_json(data)
        except ValueError:
            return None

    def _holds(self, path: Path, data: bytes) -> bool:
        with translated("read", path):
            return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data

    def _corrupt(self, sha: str, what: str) -> CorruptBlob:
        return CorruptBlob(
            f"blob {sha[:12]} {what}.",
            where=str(self.path(sha)),
            mend="restore this file from a copy of the store; versions that do not use it still load",
        )

    def _other_kind(self, sha: str, kind: str, error: Exception) -> StoreError:
        return StoreError(
            f"blob {sha[:12]} does not hold {kind}: {error}.",
            where=str(self.path(sha)),
            mend="read it as the kind that it was saved as",
        )


def _texts(obj: Any) -> Iterator[str]:
    if isinstance(obj, str):
        yield obj
    elif isinstance(obj, dict):
        for value in obj.values():
            yield from _texts(value)
    elif isinstance(obj, (list, tuple)):
        for value in obj:
            yield from _texts(value)
