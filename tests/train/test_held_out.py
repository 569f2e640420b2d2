"""Early stopping keeps the best weights and ends when they stay the best."""

import math

import torch
from torch import nn

from pellucid.train.held_out import Again, HeldOut
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


def twice(updates: int) -> tuple[HeldOut, nn.Linear, list[str]]:
    said: list[str] = []
    part, network = watched()
    part.again = Again(lambda: said.append("release"), lambda: said.append("restart"), 1.25, updates)
    return part, network, said


def test_training_begins_again_on_all_rows():
    part, network, said = twice(100)
    assert go(part, network) == 13 + 10  # eight updates were best, a quarter more rows make them ten
    assert said == ["release", "restart"]
    part.restore_best()
    assert network.weight.item() == 23.0, "the second training's last weights are kept"


def test_a_second_training_that_does_not_fit_is_left_out():
    part, network, said = twice(23)
    assert go(part, network) == 13
    assert not said
    part.restore_best()
    assert network.weight.item() == 7.0


def test_a_second_training_goes_on_from_its_state():
    first, network, _ = twice(100)
    go(first, network, updates=16)
    second, network, said = twice(100)
    second.set_state(restore(*flatten(first.get_state())))
    assert said == ["release"], "the weights are the checkpoint's"
    assert [second.place(update) for update in range(14, 24)] == [first.place(update) for update in range(14, 24)]
    assert second.place(14) == 0
    assert go(second, network, start=16) == 23


def placed(rise: int, updates: int = 100) -> list[int]:
    """Where on the schedule the updates of a whole training lie, as the loop asks: before each of them."""
    part, _, _ = twice(updates)
    assert part.again is not None
    part.again = part.again._replace(rise=rise)
    places = []
    for update in range(updates):
        places.append(part.place(update))
        part.after_step(update)
        if part.enough:
            return places
    return places


def test_the_rate_rises_again_and_falls_to_its_end():
    places = placed(rise=4)
    assert places[:14] == list(range(14)), "the first training is where its updates are"
    # Ten updates on a quarter more rows are eight of the first: the rise in as many passes, then the rest until 100.
    assert places[14:] == [0, 0, 1, 2, 3, 4, 23, 42, 61, 80][: len(places) - 14]
    assert len(places) == 24


def test_a_second_training_within_the_rise_is_the_first_one_again():
    assert placed(rise=50)[14:] == [int(v / 1.25) for v in range(10)]


def test_weights_that_were_best_at_first():
    network = nn.Linear(1, 1)
    losses = iter([1.0, 2.0, 2.0, 2.0])
    part = HeldOut(network, lambda: next(losses), every=2, patience=2)
    with torch.no_grad():
        network.weight.fill_(-1.0)
    part.begin()
    assert go(part, network) == 3
    part.restore_best()
    assert network.weight.item() == -1.0
