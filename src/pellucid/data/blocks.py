"""Blocks that lie side by side in one array: taking rows of all fields is one slice instead of one per field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
