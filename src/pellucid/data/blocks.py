"""Blocks that lie side by side in one array: taking rows of all fields is one slice instead of one per field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class SideBySide(Mapping[str, Tensor]):
    """Blocks (n, width) by field, each a view of some columns of `array` (n, D), made when it is asked for.

    Args:
        array: float32.
        spans: field -> its columns, in order and without gaps.
    """

    __slots__ = ("array", "spans")

    def __init__(self, array: npt.NDArray[np.float32], spans: dict[str, slice]) -> None:
        self.array, self.spans = array, spans

    def __getitem__(self, field: str) -> Tensor:
        return torch.from_numpy(self.array[:, self.spans[field]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    @classmethod
    def empty(cls, n: int, widths: Mapping[str, int]) -> SideBySide:
        """Room for n rows."""
        spans, start = {}, 0
        for name, width in widths.items():
            spans[name] = slice(start, start + width)
            start += width
        return cls(np.empty((n, start), dtype=np.float32), spans)

    def write(self, start: int, blocks: Mapping[str, Tensor]) -> None:
        """Copy blocks into the rows from `start` on."""
        if isinstance(blocks, SideBySide) and blocks.spans == self.spans:
            self.array[start : start + len(blocks.array)] = blocks.array
            return
        for name, span in self.spans.items():
            block = blocks[name]
            self.array[start : start + len(block), span] = block.numpy()

    def rows(self, index: Any) -> SideBySide:
        """Some rows: a view for a slice, a copy for positions or a mask."""
        return SideBySide(self.array[index], self.spans)


def taken(blocks: Mapping[str, Tensor], index: Any) -> Mapping[str, Tensor]:
    """Some rows of every block: one slice where they lie side by side."""
    if isinstance(blocks, SideBySide):
        return blocks.rows(index.numpy() if isinstance(index, Tensor) else index)
    return {name: block[index] for name, block in blocks.items()}


def beside(blocks: Mapping[str, Tensor], names: Sequence[str]) -> Mapping[str, Tensor]:
    """These blocks side by side; as they are where that is not possible (they are no float32 on a CPU)."""
    if isinstance(blocks, SideBySide) and list(blocks) == list(names):
        return blocks
    some = {name: blocks[name] for name in names}
    if not some or any(b.dtype != torch.float32 or b.ndim != 2 or b.device.type != "cpu" for b in some.values()):
        return some
    joined = SideBySide.empty(len(next(iter(some.values()))), {name: block.shape[1] for name, block in some.items()})
    joined.write(0, some)
    return joined


def beneath(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The rows of both, the second's after the first's; nothing is copied where they lie so already."""
    if not (isinstance(first, SideBySide) and isinstance(second, SideBySide) and first.spans == second.spans):
        return {name: torch.cat([block, second[name]]) for name, block in first.items()}
    whole = first.array.base
    if whole is not None and whole is second.array.base and len(whole) == len(first.array) + len(second.array):
        starts = [part.__array_interface__["data"][0] for part in (whole, first.array, second.array)]
        if starts == [starts[0], starts[0], starts[0] + first.array.nbytes]:
            return SideBySide(whole, first.spans)
    return SideBySide(np.concatenate([first.array, second.array]), first.spans)
