"""Checks that every supervised fit makes of itself, and what to look at when one fails.

    start       before training the loss is not above that of an answer without any information
    one batch   a copy learns thirty rows by heart
    inputs      after training the rows' loss is lower than that of the best answer that looks at no input

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
from pellucid.nn.losses import loss_of
from pellucid.nn.outputs import trained_space
from pellucid.nn.program import NetworkProgram
from pellucid.supervised.learner import Supervised

KINDS = ("classify", "regress")  # tasks whose loss without information is known
ROWS, STEPS, LR = 30, 200, 1e-2  # of the batch that is learned by heart
START = 0.25  # relative excess allowed at the start; a network that begins as a fitted additive model lies below
HEART = 0.1  # of the loss without information that may be left of the batch
ENOUGH = 2000  # rows on which the last check looks


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
        blind = math.log(len(learner.task.options["classes"])) if learner.task.kind == "classify" else _variance(target)
        passed = first <= (1.0 + START) * blind
        look = "the initial weights, or inputs of huge size (pellucid check data)"
        found.append(Check(name, "start", first, blind, passed, look))
        after = _by_heart(learner, network, HEART * blind)
        look = "rows with equal inputs and different targets, a target that was misread, or too narrow a network"
        found.append(Check(name, "one batch", after, HEART * blind, after <= HEART * blind, look))
    return found


def check_end(assembly: Assembly, program: NetworkProgram) -> list[Check]:
    """The last check: of a trained program, on the rows that a new assembly would train on."""
    found = []
    for learner in _known(assembly):
        seen = _loss(learner, program.network, slice(0, ENOUGH))
        blind = _constant(learner, learner.target[:ENOUGH])
        look = "the learning rate and the number of updates (train), or inputs that say nothing of the target"
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
    optimiser = torch.optim.Adam(pupil.parameters(), lr=LR)
    blocks, target = {name: block[rows] for name, block in learner.blocks.items()}, learner.target[rows]
    for step in range(STEPS):
        optimiser.zero_grad()
        loss = loss_of(learner.task)(trained_space(learner.task, pupil, blocks), target).mean()
        if step % 20 == 0 and float(loss.detach()) <= 0.5 * enough:
            break
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return _loss(learner, pupil, rows)


def _variance(target: Tensor) -> float:
    return float(target.double().var(unbiased=False)) + float(target.double().mean()) ** 2


def _constant(learner: Supervised, target: Tensor) -> float:
    """The lowest loss of an answer that is the same for every row."""
    if learner.task.kind == "regress":
        return float(target.double().var(unbiased=False))
    share = torch.bincount(target.long()).double() / len(target)
    share = share[share > 0]
    return float(-(share * share.log()).sum())
