"""An ensemble begins as the additive model that the held-out rows like best; its hidden layers learn what is left.

Additive models of a table have few parameters and one optimum: penalised by |W|² (Hoerl & Kennard 1970), they are
fitted by L-BFGS in a second. Where nothing more is to be learned, the ensemble need not learn even that by small steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pellucid.core.task import TABLE_KINDS
from pellucid.nn.ensemble import EnsembleNetwork
from pellucid.optim.lbfgs import lowest
from pellucid.supervised.learner import Supervised

# Of the penalty: strength / 2 |W|², beside the sum of the rows' losses. With the pieces there are more columns.
STRENGTHS = {False: (100.0, 30.0, 10.0, 3.0, 1.0, 0.3), True: (100.0, 10.0, 1.0)}
KINDS = TABLE_KINDS
PLAIN = (False, 1.0)  # no pieces, and the penalty of scikit-learn's logistic regression
STEPS = 60
MOST = 5_000  # rows that it is fitted on: more do not change an additive model's few parameters much


def penalised(
    x: Tensor, loss: Callable[[Tensor], Tensor], k: int, strength: float, start: Tensor | None = None
) -> Tensor:
    """W and c, shape (p + 1, k), that minimise loss(x W + c) + strength / 2 |W|².

    Args:
        x: (n, p).
        loss: outputs (n, k) -> sum over the rows.
        k: outputs.
        strength: of the penalty.
        start: where to begin, shape (p + 1, k).
    """
    n, p = x.shape

    def mean(w: Tensor) -> Tensor:
        return (loss(torch.addmm(w[p:], x, w[:p])) + 0.5 * strength * w[:p].square().sum()) / n

    first = torch.zeros(p + 1, k, dtype=x.dtype) if start is None else start
    return lowest(mean, first, steps=STEPS, gradient=1e-6, history=20)


class Additive:
    """Begins a network as an additive model; chooses the penalty, and whether pieces enter, once.

    Args:
        network, learner: of one task; `learner.held` are the rows that choose.
    """

    def __init__(self, network: EnsembleNetwork, learner: Supervised) -> None:
        self.network, self.learner = network, learner
        self.chosen: tuple[bool, float] | None = None  # pieces, strength

    def __call__(self) -> None:
        learner, task = self.learner, self.learner.task
        (head,) = self.network.architecture["heads"][task.name]
        x, pieces = self._seen(learner.blocks)
        target = learner.target[:: _stride(len(learner.target))]
        k = self.network.architecture["heads"][task.name][head]

        def fit(with_pieces: bool, strength: float, start: Tensor | None) -> Tensor:
            used = x if with_pieces else x[:, ~pieces]
            # A sum over labels, each with a penalty as if it were alone; half a square is a log-likelihood.
            scale = k if task.kind == "multilabel" else 0.5 if task.form == "regress" else 1.0
            return penalised(
                used,
                lambda z: scale * learner.row_losses(learner.training({head: z}), target).sum(),
                k,
                strength,
                start,
            )

        best: Tensor | None = None
        if self.chosen is None and learner.held is not None:
            shown, _ = self._seen(learner.held.blocks)
            judge = learner.held.target[:: _stride(len(learner.held.target))]
            tried: dict[tuple[bool, float], tuple[Tensor, Tensor]] = {}  # what is fitted, losses of the rows held out
            for with_pieces in (False, True) if bool(pieces.any()) else (False,):
                start = None
                for strength in STRENGTHS[with_pieces]:
                    start = fit(with_pieces, strength, start)
                    z = (shown if with_pieces else shown[:, ~pieces]) @ start[:-1] + start[-1]
                    tried[with_pieces, strength] = start, learner.judge_losses(learner.training({head: z}), judge)
            self.chosen = _preferred({name: losses for name, (_, losses) in tried.items()})
            best = tried[self.chosen][0]
        if best is None:
            self.chosen = self.chosen or PLAIN
            best = fit(*self.chosen, None)
        assert self.chosen is not None
        weight = torch.zeros(len(pieces) + 1, k, dtype=best.dtype)
        weight[torch.cat([~pieces | self.chosen[0], torch.tensor([True])])] = best
        self.network.begin_additive(task.name, head, weight[:-1].T, weight[-1])

    @torch.no_grad()
    def _seen(self, blocks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        device = self.network.bias.device
        some = {name: block[:: _stride(len(block))].to(device) for name, block in blocks.items()}
        x, pieces = self.network.seen(some, self.learner.task.name)
        return x.double().cpu(), pieces


def _preferred(losses: Mapping[tuple[bool, float], Tensor]) -> tuple[bool, float]:
    """The plain one unless another is better by more than a standard error of the difference and a loss of 1 in all."""
    best = min(losses, key=lambda name: float(losses[name].mean()))
    more = (losses[PLAIN] - losses[best]).double()
    allowed = float(more.std()) / len(more) ** 0.5 + 1.0 / len(more) if len(more) > 1 else 1.0
    return PLAIN if float(more.mean()) <= allowed else best


def _stride(rows: int) -> int:
    return -(-rows // MOST) or 1
