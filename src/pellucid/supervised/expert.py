"""How much an ensemble's additive expert may say: as much as the rows held out, and one row more, like best.

Of a few hundred rows, the mean of two models of different kinds is better than either. The rows held out of so few are
often all answered rightly, and then every share of the expert looks like a loss: they know nothing of the row that the
members will answer wrongly and with confidence. So one such row is added to them (a row of a prior, like the one that
Laplace's rule adds): the members give its truth a probability of 1/1000, the expert gives it all, and a share s of the
expert costs -log max(s, 1/1000). Of many rows held out, the one does not matter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.nn.ensemble import EnsembleNetwork
from pellucid.nn.outputs import trained_space
from pellucid.supervised.learner import CHUNK, Supervised

SHARES = (0.5, 0.25, 0.125, 0.0625, 0.0)
LEAST = 1e-3  # probability that the members give the truth of the added row


class Expert:
    """Sets `expert_share` of a network; see `train.held_out.HeldOut.settle`.

    Args:
        network, learner: of one task; `learner.held` are the rows that choose.
    """

    def __init__(self, network: EnsembleNetwork, learner: Supervised) -> None:
        self.network, self.learner = network, learner

    @torch.no_grad()
    def __call__(self) -> None:
        cost = {share: float(self._losses(share).sum()) - math.log(max(share, LEAST)) for share in SHARES}
        self.network.expert_share.fill_(min(SHARES, key=lambda share: cost[share]))

    def _losses(self, share: float) -> Tensor:
        """Of the rows held out, (n,), float64."""
        learner, held = self.learner, self.learner.held
        assert held is not None
        self.network.expert_share.fill_(share)
        parts = []
        for start in range(0, len(held.target), CHUNK):
            part = slice(start, start + CHUNK)
            blocks = {name: block[part] for name, block in held.blocks.items()}
            parts.append(learner.judge_losses(trained_space(learner.task, self.network, blocks), held.target[part]))
        return torch.cat(parts).double()
