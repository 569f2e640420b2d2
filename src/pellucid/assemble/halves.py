"""Which rows of a task are trained on and which are held out of that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pellucid.assemble.targets import training_target
from pellucid.core.random import stream
from pellucid.core.rows import Index, Rows
from pellucid.core.task import Task
from pellucid.spec.model import Spec


class Divided(NamedTuple):
    """A task's targets in the training space, (n,) or (n, k), and the positions of rows; `held` may be empty."""

    target: Tensor
    trained: Tensor
    held: Tensor

    @property
    def order(self) -> Index:
        """All positions, those held out last."""
        return torch.cat([self.trained, self.held]).numpy()

    def places(self, *, alone: bool) -> tuple[slice | Tensor, slice | Tensor]:
        """Where the rows to train on and those to hold out lie among the encoded rows.

        Args:
            alone: the rows were encoded in this task's `order`.
        """
        cut = len(self.trained)
        return (slice(0, cut), slice(cut, None)) if alone else (self.trained, self.held)


def divide(spec: Spec, task: Task, rows: Rows, seed: int) -> Divided:
    """Rows with a target; of these, as `train.early_stop.held_out` says, some are held out.

    The latest rows where there are times, else random ones of every class.
    """
    target, keep = training_target(task, rows)
    index, share = torch.from_numpy(np.flatnonzero(keep)), spec.train.early_stop.held_out
    n = len(index)
    if share is None:
        return Divided(target, index, index[:0])
    size = min(max(1, round(share * n)), max(n - 1, 0))  # a row at least to train on
    if rows.times is not None:
        return Divided(target, index[: n - size], index[n - size :])
    order = stream(seed, f"held_out/{task.name}").permutation(n)
    if task.kind in ("classify", "ordinal"):  # every class in turn, so that each gives its share
        code = target[index].numpy()[order]
        place = np.empty(n)
        for c in np.unique(code):
            mine = np.flatnonzero(code == c)
            place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
        order = order[np.argsort(place, kind="stable")]
    return Divided(target, index[torch.from_numpy(order[size:])], index[torch.from_numpy(order[:size])])
