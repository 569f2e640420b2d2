"""Ignore a field: what a person's "this must not matter" becomes.

Counterfactual resampling plus an anchor. Every row of a batch is seen twice, each time with the forbidden field's whole
block replaced by that of a random other row. The two outputs must agree (`honour`: their variance is the effect of
do(field)), and their mean is pulled to what the base says *on average* over such replacements (`anchor`). That average
is the closest function to the base that ignores the field, so everything else is kept.

Without the term for agreement a low-rank delta settles where the remaining effect is as cheap as the remaining bias:
measured on prices, 30 to 41 % of the effect stayed although the delta could have removed all (`bench/ignore.py`).

Penalising the gradient or the attribution instead was measured to collapse a fitted model while the explanation
looks mended (Heo et al. 2023, arXiv 2303.06419, argue the same): so the effect of do(field) is what is optimised, and
what the gates measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.nn.losses import loss_of
from pellucid.nn.network import Network
from pellucid.nn.outputs import trained_space
from pellucid.train.learner import Loss, State

Blocks = dict[str, Tensor]


@dataclass(frozen=True)
class IgnoreConfig:
    """Settings of the correction.

    Args:
        resample: False gives the control: the same delta and budget without the feedback.
        draws: replacements averaged for the anchor of a row.
        honour: weight of the agreement between two replacements against the anchor.
        anchor: weight of both against the task's own loss on the resampled rows.
        batch: rows per update, each seen twice.
    """

    resample: bool = True
    draws: int = 32
    honour: float = 32.0
    anchor: float = 20.0
    batch: int = 128


class IgnoreBatch(NamedTuple):
    first: Blocks  # n rows with the forbidden fields resampled
    second: Blocks  # the same n rows, resampled again
    anchor: Tensor  # (n, k) in the training space
    target: Tensor | None  # (n,)


class Ignore:
    """The Learner of "ignore this field", one per task that reads it.

    Args:
        task: whose outputs are corrected.
        network: the base, *before* the delta is attached: the anchor is computed here.
        blocks: training rows (for a policy: states it visits), each (n, columns).
        target: in the training space, (n,), or None (a policy keeps to the anchor alone).
        forbidden: the fields to ignore; those that the task does not read are none of its business.
    """

    rowwise = True

    def __init__(
        self,
        task: Task,
        network: Network,
        blocks: Blocks,
        target: Tensor | None,
        forbidden: tuple[str, ...],
        config: IgnoreConfig,
        *,
        seed: int,
    ) -> None:
        self.task, self.config, self.seed = task, config, seed
        self.blocks, self.target = {name: blocks[name] for name in task.inputs}, target
        self.forbidden = tuple(name for name in forbidden if name in self.blocks) if config.resample else ()
        self._n = len(next(iter(self.blocks.values())))
        self._drawn = 0
        self._anchor = self._anchors(network)
        # Every output weighs alike, whatever its spread; a constant output is anchored in its own units.
        sd = self._anchor.std(0, unbiased=False)
        self._scale = torch.where(sd > 1e-6, sd, torch.ones_like(sd))
        self._loss = None if target is None else loss_of(task)

    @torch.no_grad()
    def _anchors(self, network: Network) -> Tensor:
        """E over v of base(x with the fields := v), shape (n, k); the base's own output for the control."""
        if not self.forbidden:
            return trained_space(self.task, network, self.blocks)
        total: Tensor | None = None
        for draw in range(self.config.draws):
            z = trained_space(self.task, network, self._resampled(self.blocks, "anchor", draw))
            total = z if total is None else total + z
        assert total is not None
        return total / self.config.draws

    def _resampled(self, blocks: Blocks, name: str, counter: int) -> Blocks:
        """The fields' blocks of every row replaced by those of random training rows, all columns of a field together.

        Each field has its own: of two fields that move together, a program may use the difference.
        """
        n = len(next(iter(blocks.values())))
        drawn = {}
        for field in self.forbidden:
            donors = stream(self.seed, f"ignore/{self.task.name}/{name}/{field}", counter).integers(self._n, size=n)
            drawn[field] = self.blocks[field][torch.from_numpy(donors)]
        return {**blocks, **drawn}

    def next_batch(self, network: nn.Module) -> IgnoreBatch:
        draw = stream(self.seed, f"ignore/{self.task.name}/rows", self._drawn)
        index = torch.from_numpy(draw.integers(self._n, size=min(self.config.batch, self._n)).astype(np.int64))
        twice = torch.cat([index, index])
        blocks = self._resampled({k: v[twice] for k, v in self.blocks.items()}, "batch", self._drawn)
        first, second = ({k: v.chunk(2)[half] for k, v in blocks.items()} for half in (0, 1))
        self._drawn += 1
        return IgnoreBatch(first, second, self._anchor[index], None if self.target is None else self.target[index])

    def loss(self, network: nn.Module, batch: IgnoreBatch) -> Loss:
        blocks = {k: torch.cat([v, batch.second[k]]) for k, v in batch.first.items()}
        z = trained_space(self.task, network, blocks)
        first, second = z.chunk(2)
        anchor = (((first + second) / 2 - batch.anchor) / self._scale).square().mean()
        effect = ((first - second) / self._scale).square().mean() / 2
        kept = anchor + self.config.honour * effect
        metrics = {"anchor": anchor.detach(), "effect": effect.detach()}
        if self._loss is None or batch.target is None:
            return Loss(kept, metrics)
        fit = self._loss(z, torch.cat([batch.target, batch.target])).mean()
        # The weights add to one, so the anchor's weight is a balance, not a learning rate.
        share = self.config.anchor / (1.0 + self.config.anchor)
        return Loss(share * kept + (1.0 - share) * fit, {**metrics, "fit": fit.detach()})

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        return None

    def get_state(self) -> State:
        return {"drawn": self._drawn}

    def set_state(self, state: State) -> None:
        self._drawn = int(state["drawn"])
