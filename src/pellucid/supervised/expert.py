"""How much an ensemble's additive expert may say: as much as the rows held out do not speak against.

Of a few hundred rows, the mean of two models of different kinds is better than either, and the held-out rows are too
few to tell them apart; of many, they tell. So the largest share is taken whose held-out loss is at most one standard
error of the paired difference above that of the members alone (the one-standard-error rule: Breiman et al. 1984), and
1 / n: as if one more row had been held out and cost the members one nat (of a number: its variance) more. For where all
of a few rows are answered rightly, their spread knows nothing of the row that is answered wrongly and with confidence.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.nn.ensemble import EnsembleNetwork
from pellucid.nn.outputs import trained_space
from pellucid.supervised.learner import CHUNK, Supervised

SHARES = (0.5, 0.25)


class Expert:
    """Sets `expert_share` of a network; see `train.held_out.HeldOut.settle`.

    Args:
        network, learner: of one task; `learner.held` are the rows that choose.
    """

    def __init__(self, network: EnsembleNetwork, learner: Supervised) -> None:
        self.network, self.learner = network, learner

    @torch.no_grad()
    def __call__(self) -> None:
        alone = self._losses(0.0)
        for share in SHARES:
            more = self._losses(share) - alone
            if float(more.mean()) <= float(more.std()) / len(more) ** 0.5 + 1.0 / len(more):
                return
        self.network.expert_share.fill_(0.0)

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
