"""Checks that every supervised fit makes of itself, and what to look at when one fails.

    start       before training the loss is not above that of an answer without any information
    one batch   a copy learns thirty rows by heart
    inputs      after training the rows' loss is lower than that of the best answer that looks at no input
                (of a series: at nothing but its last value and its scale)

After Karpathy, "A recipe for training neural networks" (2019). Nothing here touches the program itself.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.assemble import Assembly
from pellucid.core.task import TABLE_KINDS
from pellucid.nn.losses import loss_of
from pellucid.nn.outputs import ALL as OUTPUTS
from pellucid.nn.outputs import trained_space
from pellucid.nn.program import NetworkProgram
from pellucid.optim import build
from pellucid.optim.lbfgs import lowest
from pellucid.supervised.learner import Supervised

KINDS = (*TABLE_KINDS, "horizons")  # tasks whose loss without information is known
ROWS, STEPS, LR, LOOK = 30, 200, 1e-2, 20  # of the batch that is learned by heart
START = 0.25  # relative excess allowed at the start; a network that begins as a fitted additive model lies below
HEART, DENSER = 0.1, 5.0  # of the loss without information that may be left; so much higher must a density become
ENOUGH = 2000  # rows on which the last check looks


MISREAD = {
    "classify": "a target that was misread",
    "multilabel": "labels that were misread (tasks.NAME.separator)",
    "ordinal": "an order that was misread (tasks.NAME.order)",
    "regress": "a target that was misread",
    "quantiles": "a target that was misread",
    "distribution": "a target of a few values only (classify, ordinal)",
    "horizons": "values that were misread",
}
AIM = {
    "classify": "the target",
    "multilabel": "any label",
    "ordinal": "the target",
    "regress": "the target",
    "quantiles": "the target or its spread",
    "distribution": "the target or its spread, or a family with too light tails (student)",
    "horizons": "how a series goes on from its last value (a random walk)",
}


@dataclass(frozen=True)
class Check:
    """One check of one task: what was seen, what it should be, and where to look if it is not."""

    task: str
    check: str
    seen: float
    expected: float
    passed: bool
    look_at: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def check_start(assembly: Assembly) -> list[Check]:
    """The first two checks, on a new assembly, which stays as it is."""
    found = []
    for learner in _known(assembly):
        network, target, name = assembly.program.network, learner.target, learner.task.name
        first = _loss(learner, network, slice(0, ENOUGH))
        blind = _blind(learner, target)
        passed = first <= blind + START * abs(blind)
        look = "the initial weights, or inputs of huge size (pellucid check data)"
        found.append(Check(name, "start", first, blind, passed, look))
        enough = blind - math.log(DENSER) if learner.task.form == "distribution" else HEART * blind
        after = _by_heart(learner, network, enough)
        look = f"rows with equal inputs and different targets, {MISREAD[learner.task.form]}, or too narrow a network"
        found.append(Check(name, "one batch", after, enough, after <= enough, look))
    return found


def check_end(assembly: Assembly, program: NetworkProgram) -> list[Check]:
    """The last check: of a trained program, on the rows that a new assembly would train on."""
    found = []
    for learner in _known(assembly):
        seen = _loss(learner, program.network, slice(0, ENOUGH))
        blind = _constant(learner, learner.target[:ENOUGH])
        look = "the learning rate and the number of updates (train), or inputs that say nothing of "
        look += AIM[learner.task.form]
        found.append(Check(learner.task.name, "inputs", seen, blind, seen < blind, look))
    return found


def sentences(checks: Sequence[Check]) -> list[str]:
    """For the evidence: one line a failure, or one for all that went well."""
    failed = [c for c in checks if not c.passed]
    lines = [
        f"sanity check '{c.check}' of '{c.task}' failed: the loss is {c.seen:.3g}, "
        f"{'about' if c.check == 'start' else 'at most'} {c.expected:.3g} was expected; look at {c.look_at}"
        for c in failed
    ]
    if checks and not failed:
        lines.append("sanity checks passed: loss at the start, one batch by heart, better than without inputs")
    return lines


def _known(assembly: Assembly) -> list[Supervised]:
    return [x for x in assembly.learners if isinstance(x, Supervised) and x.task.kind in KINDS]


@torch.no_grad()
def _loss(learner: Supervised, network: nn.Module, rows: slice) -> float:
    z = trained_space(learner.task, network, {name: block[rows] for name, block in learner.blocks.items()})
    return float(loss_of(learner.task)(z, learner.target[rows]).mean())


def _by_heart(learner: Supervised, network: nn.Module, enough: float) -> float:
    """Loss of a few rows after a copy was trained on nothing else; it ends early well below `enough`."""
    pupil, rows = copy.deepcopy(network), slice(0, ROWS)
    optimiser = build("adam", dict(pupil.named_parameters()), lr=LR)
    blocks, target = {name: block[rows] for name, block in learner.blocks.items()}, learner.target[rows]
    best = math.inf
    for step in range(STEPS):
        pupil.zero_grad()
        loss = loss_of(learner.task)(trained_space(learner.task, pupil, blocks), target).mean()
        if step % LOOK == 0:  # a density that becomes ever higher may break down in the end
            best = min(best, float(loss.detach()))
            if best <= enough - 0.5 * abs(enough):
                break
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return min(best, _loss(learner, pupil, rows))


@torch.no_grad()
def _blind(learner: Supervised, target: Tensor) -> float:
    """The loss of a network that says nothing: all its raw outputs are zero."""
    ((head, k),) = OUTPUTS[learner.task.form].head_widths(learner.task).items()
    z = learner.training({head: torch.zeros(1, k, dtype=torch.float64)}).expand(len(target), -1)
    return float(loss_of(learner.task)(z, target).double().mean())


def _constant(learner: Supervised, target: Tensor) -> float:
    """The lowest loss of an answer that is the same for every row."""
    form = learner.task.form
    if form == "regress":
        return float(target.double().var(unbiased=False))
    if form == "multilabel":
        return _entropy(torch.stack([target.double().mean(0), 1.0 - target.double().mean(0)])) / target.shape[1]
    if form in ("classify", "ordinal"):
        return _entropy(torch.bincount(target.long()).double() / len(target))
    if form == "horizons":  # the same steps away from the last value
        levels = torch.tensor(learner.task.options["quantiles"], dtype=torch.float64)
        z = torch.nanquantile(target.double(), levels, dim=0).T.reshape(1, -1)
        return float(loss_of(learner.task)(z.expand(len(target), -1), target.double()).mean())
    ((head, k),) = OUTPUTS[form].head_widths(learner.task).items()

    def mean(raw: Tensor) -> Tensor:
        z = learner.training({head: raw}).expand(len(target), -1)
        return loss_of(learner.task)(z, target.double()).mean()

    return float(mean(lowest(mean, torch.zeros(1, k, dtype=torch.float64), steps=200)))


def _entropy(share: Tensor) -> float:
    share = share[share > 0]
    return float(-(share * share.log()).sum())
