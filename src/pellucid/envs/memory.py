"""The arrays that worker processes and their parent share: one mapped file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from pellucid.envs.names import Reader
from pellucid.envs.singles import leaf_type

Array = npt.NDArray[Any]
Path = tuple[Any, ...]
ALIGN = 64  # bytes, a line of the processor's cache


@dataclass(frozen=True)
class Memory:
    """Of n environments and w workers.

    Args:
        obs: leaf's path -> (n, ...): what the next action is chosen from.
        final: the same; in rows that ended, the episode's last observation.
        actions: (n, ...).
        reward: (n,) float64.
        terminated, truncated: (n,) bool.
        beat: (w, 2) int64: calls that each worker has begun, and which of its environments it called.
    """

    obs: dict[Path, Array]
    final: dict[Path, Array]
    actions: Array
    reward: Array
    terminated: Array
    truncated: Array
    beat: Array

    @classmethod
    def open(cls, path: str, leaves: Sequence[Reader], action: spaces.Space[Any], n: int, workers: int) -> Memory:
        """The same arrays in another process."""
        return cls.of(path, leaves, *_layout(leaves, action, n, workers))

    @classmethod
    def of(cls, path: str, leaves: Sequence[Reader], parts: list[Any], size: int) -> Memory:
        """The arrays of a file, laid out as `_layout` says."""
        raw = np.memmap(path, dtype=np.uint8, mode="r+", shape=(size,))
        arrays = [np.frombuffer(raw, dtype, int(np.prod(shape)), at).reshape(shape) for shape, dtype, at in parts]
        k = len(leaves)
        names = [leaf.path for leaf in leaves]
        obs, final = dict(zip(names, arrays[:k], strict=True)), dict(zip(names, arrays[k : 2 * k], strict=True))
        return cls(obs, final, *arrays[2 * k :])


def create(leaves: Sequence[Reader], action: spaces.Space[Any], n: int, workers: int) -> tuple[str, Memory]:
    """(path of a new file, the arrays in it): in memory where there is room, else in the folder of temporary files."""
    parts, size = _layout(leaves, action, n, workers)
    folders = ["/dev/shm", None] if os.access("/dev/shm", os.W_OK) else [None]
    for folder in folders:
        handle, path = tempfile.mkstemp(prefix="pellucid-", dir=folder)
        try:
            os.truncate(path, size)
            if hasattr(os, "posix_fallocate"):  # a full disk is found out now, not by a signal at the first write
                os.posix_fallocate(handle, 0, size)
            return path, Memory.of(path, leaves, parts, size)
        except OSError:
            os.unlink(path)
            if folder == folders[-1]:
                raise
        finally:
            os.close(handle)
    raise AssertionError("the last folder returns or raises")


def _layout(leaves: Sequence[Reader], action: spaces.Space[Any], n: int, workers: int) -> tuple[list[Any], int]:
    """[(shape, type, offset), ...] and the bytes in all."""
    kinds = [leaf_type(leaf.space) for leaf in leaves]
    rows = [*kinds, *kinds, leaf_type(action), ((), np.dtype(np.float64)), ((), np.dtype(bool)), ((), np.dtype(bool))]
    wanted = [((n, *shape), dtype) for shape, dtype in rows] + [((workers, 2), np.dtype(np.int64))]
    parts, size = [], 0
    for shape, dtype in wanted:
        parts.append((shape, dtype, size))
        size += -(-int(np.prod(shape)) * dtype.itemsize // ALIGN) * ALIGN
    return parts, size
