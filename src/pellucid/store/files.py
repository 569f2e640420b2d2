"""Atomic files: a reader sees the old bytes or the new ones, never a mixture.

Written under a temporary name in the same folder, fsynced, renamed, and the folder fsynced, so that the
new name survives a power cut as well. Used for blobs and for checkpoints.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from pellucid.core.errors import PellucidError, StoreError

TEMPORARY = ".tmp-"

_MENDS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "free some space and repeat; everything saved before is intact"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and repeat; everything saved before is intact"),
    errno.EROFS: ("the disk is read-only", "mount it writable, or put the store on another disk"),
    errno.EACCES: ("permission denied", "give this user read and write access to the folder"),
    errno.EPERM: ("permission denied", "give this user read and write access to the folder"),
    errno.EIO: ("the disk reported an input/output error", "check the disk; copy the store to another one"),
    errno.ENOENT: ("no such file or folder", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another folder"),
    errno.EEXIST: ("something else of that name is in the way", "choose another name, or move it away"),
    errno.EISDIR: ("a folder lies where a file belongs", "move that folder away"),
}


def os_problem(error: OSError, action: str, path: Path) -> StoreError:
    """The three-line error for an operating-system error."""
    reason, mend = _MENDS.get(error.errno or 0, (error.strerror or str(error), "see the reason above"))
    return StoreError(f"cannot {action} '{path.name}': {reason}.", where=str(path), mend=mend)


@contextlib.contextmanager
def translated(action: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into a `StoreError` that names the file."""
    try:
        yield
    except PellucidError:
        raise
    except OSError as error:
        raise os_problem(error, action, path) from error


def make_folder(path: Path) -> None:
    """Create a folder and its parents, durably."""
    with translated("create the folder", path):
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames inside a folder durable (a no-op where folders cannot be opened)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """A name in the same folder that no other writer uses."""
    return path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}")


def write_atomic(path: Path | str, data: bytes | bytearray | memoryview) -> None:
    """Replace the file at `path` by `data`, whole or not at all.

    Args:
        path: the file; its folder is made when missing.
        data: the new content.
    Raises:
        StoreError: the disk is full, read-only, unreadable or failing; the old content is still there.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = temporary_name(path)
    with translated("write", path):
        try:
            _write_synced(temporary, memoryview(data))
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def _write_synced(path: Path, data: memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        rest = data.cast("B") if data.nbytes else data
        while rest.nbytes:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
