"""A batch in parts, so that only one part's activations are in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from pellucid.data.blocks import SideBySide
from pellucid.train.learner import Batch


def parts_of(batch: Batch, count: int) -> list[tuple[float, Batch]]:
    """(share of the rows, these rows) of about equal parts, in their order; fewer where there are fewer rows.

    Args:
        batch: nested tuples and mappings of tensors, each with one entry per row along its first dimension.
    """
    n = _rows(batch)
    edges = np.linspace(0, n, min(count, n) + 1).round().astype(int).tolist()
    return [((b - a) / n, _slice(batch, slice(a, b))) for a, b in pairwise(edges)]


def _rows(batch: Batch) -> int:
    if isinstance(batch, (Tensor, np.ndarray)):
        return len(batch)
    inner = list(batch.values()) if isinstance(batch, Mapping) else list(batch)
    return next(_rows(one) for one in inner if isinstance(one, (Tensor, np.ndarray, Mapping, tuple, list)) and len(one))


def _slice(batch: Batch, rows: slice) -> Any:
    if isinstance(batch, SideBySide):
        return batch.rows(rows)
    if isinstance(batch, (Tensor, np.ndarray)):
        return batch[rows]
    if isinstance(batch, Mapping):
        return {name: _slice(value, rows) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_slice(value, rows) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(_slice(value, rows) for value in batch)
    return batch
