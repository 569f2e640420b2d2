"""Early stopping keeps the best weights and ends when they stay the best."""

import math

import torch
from torch import nn

from pellucid.train.held_out import HeldOut
from pellucid.train.state import flatten, restore

LOSSES = [5.0, 3.0, 4.0, 2.0, 2.5, 2.5, 2.5, 1.0]  # the sixth look after the best is never reached with patience 3


def watched(patience: int = 3) -> tuple[HeldOut, nn.Linear]:
    network = nn.Linear(1, 1)
    shown = iter(LOSSES)
    return HeldOut(network, lambda: next(shown), every=2, patience=patience), network


def go(part: HeldOut, network: nn.Linear, start: int = 0, updates: int = 100) -> int:
    for update in range(start, updates):
        with torch.no_grad():
            network.weight.fill_(float(update))
        part.after_step(update)
        if part.enough:
            return update
    return updates


def test_the_best_weights_come_back():
    part, network = watched()
    assert go(part, network) == 13  # looks at updates 1, 3, ..., the best at 7, three more without a better one
    part.restore_best()
    assert network.weight.item() == 7.0
    assert [loss for _, loss in part.curve] == LOSSES[:7]
    assert part.best == 2.0


def test_patience_decides():
    part, network = watched(patience=5)
    go(part, network, updates=16)
    part.restore_best()
    assert network.weight.item() == 15.0  # the last loss is the best


def test_it_goes_on_from_its_state():
    whole, one = watched()
    go(whole, one)
    first, network = watched()
    go(first, network, updates=9)
    second, network = watched()
    for _ in range(4):
        second.loss()
    second.set_state(restore(*flatten(first.get_state())))
    assert go(second, network, start=9) == 13
    assert second.curve == whole.curve
    second.restore_best()
    assert network.weight.item() == 7.0


def test_before_the_first_look_nothing_is_known():
    part, network = watched()
    part.after_step(0)
    assert not part.enough
    before = network.weight.clone()
    part.restore_best()
    assert torch.equal(network.weight, before)
    assert part.get_state()["best"] is None
    assert math.isinf(part.best)
