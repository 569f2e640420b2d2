"""Files wherever they lie: a path, a glob, a URL that fsspec knows, or bytes that were fetched."""

from __future__ import annotations

import glob as globs
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from pellucid.core.errors import DataError, MissingExtra, require
from pellucid.data.unreadable import missing_file
from pellucid.spec.model import SKLEARN_TABLES

COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}


@dataclass(frozen=True)
class Located:
    """One file.

    Args:
        name: what to call it: its path or URL.
        opener: gives its bytes as they are stored.
        size: stored bytes, 0 when unknown.
        kind: a suffix that says the format when the name does not (".json" of an API).
    """

    name: str
    opener: Callable[[], BinaryIO]
    size: int = 0
    kind: str = ""

    @property
    def suffix(self) -> str:
        """Of the format, in small letters: ".csv" of "a.CSV.gz"."""
        if self.kind:
            return self.kind
        path = Path(self.name)
        return (Path(path.stem) if path.suffix.lower() in COMPRESSED else path).suffix.lower()

    def open(self) -> BinaryIO:
        """Its bytes, decompressed: told by the first bytes, not by the name."""
        raw = self.opener()
        head = raw.read(4)
        raw.seek(0)
        codec = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
        if codec is None:
            return raw
        try:
            unpacked = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)
        except (pa.ArrowException, OSError) as error:  # pragma: no cover - a build of pyarrow without the codec
            raise DataError(f"{codec} cannot be decompressed: {error}.", where=self.name, mend="unpack it") from None
        return cast(BinaryIO, io.BufferedReader(_Readable(unpacked), 1 << 16))

    def head(self, count: int = 8) -> bytes:
        with self.open() as file:
            return file.read(count)


class _Readable(io.RawIOBase):
    """Arrow's stream as Python's, which TextIOWrapper needs."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def locate(source: str) -> list[Located]:
    """The files of a path, glob or URL, by name.

    Raises:
        DataError: there is none, with the nearest name.
        MissingExtra: the file system of a URL is not installed.
    """
    if "://" in source:
        return _remote(source)
    path = Path(source)
    try:
        if path.is_file():
            return [_local(path)]
        found = sorted(p for p in map(Path, globs.glob(source, recursive=True)) if p.is_file())
    except (OSError, ValueError) as error:  # a name that is too long, a NUL
        raise DataError(f"this is no path: {error}.", where=source[:80], mend="give the path of a file") from None
    if any(sign in source for sign in "*?[") and not path.exists():
        if not found:
            raise DataError("no file matches this pattern.", where=source, mend="give a pattern that matches files")
        return [_local(p) for p in found]
    raise missing_file(path, "table", SKLEARN_TABLES)


def _local(path: Path) -> Located:
    return Located(str(path), lambda: path.open("rb"), path.stat().st_size)


def _remote(url: str) -> list[Located]:
    require("fsspec", extra="remote", purpose=f"reading {url.partition('://')[0]}:// URLs")
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        paths = sorted(system.glob(path)) if any(sign in path for sign in "*?[") else [path]
        missing = not paths or not system.isfile(paths[0])
    except ImportError as error:
        said = str(error).rstrip(".")
        raise MissingExtra(f"{said}.", where=url, mend="install the package that it names beside this extra") from None
    except (ValueError, OSError) as error:
        raise DataError(f"this URL cannot be opened: {error}.", where=url, mend="check its beginning") from None
    if missing:
        raise DataError("there is no such file.", where=url, mend="give the URL of a file, or a pattern")
    scheme = url.partition("://")[0]
    return [
        Located(f"{scheme}://{p.lstrip('/') if scheme != 'file' else p}", _opener(system, p), int(system.size(p) or 0))
        for p in paths
    ]


def _opener(system: Any, path: str) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, system.open(path, "rb"))
