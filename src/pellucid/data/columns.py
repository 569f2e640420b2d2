"""Blocks as the columns of one matrix, for those who cannot read texts: baselines, checks, label errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

BAG = 256  # columns of a text


def side_by_side(blocks: Iterable[Tensor]) -> npt.NDArray[Any]:
    """Blocks (n, .) side by side; a text as the shares of its tokens."""
    return np.concatenate([block.numpy() if block.is_floating_point() else bagged(block) for block in blocks], axis=1)


def bagged(block: Tensor) -> npt.NDArray[np.float32]:
    """Shares of the tokens of each text, shape (n, BAG): the most frequent ones have a column of their own."""
    tokens = block.numpy()
    rows, columns = np.nonzero(tokens)
    places = rows * BAG + tokens[rows, columns] % BAG
    counts = np.bincount(places, minlength=len(tokens) * BAG).reshape(len(tokens), BAG)
    shares: npt.NDArray[np.float32] = (counts / np.maximum(counts.sum(1, keepdims=True), 1)).astype(np.float32)
    return shares
