"""The second training, on all rows: it begins as the first did, rates and all, and can be resumed anywhere in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from pellucid.assemble import Assembly, assemble, problem
from pellucid.spec.loader import spec_from
from pellucid.train.held_out import HeldOut
from pellucid.train.loop import Hooks
from pellucid.train.state import flatten, restore


def assembly(target: str, updates: int = 600) -> Assembly:
    """An ensemble on 400 rows: a line with noise, or a product."""
    g = np.random.default_rng(7)
    x = g.standard_normal((400, 6))
    y = x @ [1.0, -1.0, 0.5, 0.5, 0.0, 0.0] if target == "line" else 2.0 * x[:, 0] * x[:, 1]
    frame = pd.DataFrame(x, columns=list("abcdef")).assign(y=y + g.standard_normal(400))
    raw = {
        "name": "again",
        "data": {"kind": "table", "source": "dataframe", "target": "y"},
        "tasks": {"y": {"kind": "regress"}},
        "network": {"kind": "ensemble", "width": 32, "members": 4, "pieces": 4},
        "train": {
            "updates": updates,
            "lr": 4e-3,
            "schedule": "cosine",
            "warmup": 0.2,
            "batch": 80,
            "early_stop": {"held_out": 0.2, "patience": 8},
        },
    }
    return assemble(problem(spec_from(raw, where="test"), frame), np.arange(400), seed=3)


def watching(made: Assembly) -> HeldOut:
    return next(part for part in made.trainer.parts if isinstance(part, HeldOut))


def run(made: Assembly, stop_after: int | None = None) -> list[float]:
    """The learning rate of every update."""
    rates: list[float] = []

    def progress(update: int, metrics: object) -> bool:
        rates.append(made.trainer.optimiser.param_groups[0]["lr"])
        return update != stop_after

    made.trainer.run(made.config, Hooks(made.schedule, None, progress))
    return rates


def test_rates_rise_again_and_fall_to_nothing():
    made = assembly("product")
    rates = run(made)
    since = watching(made).since
    assert since > 0
    assert len(rates) - since > 120 * 1.25, "longer than its rise"
    assert rates[since] == rates[0] < 1e-4
    assert max(rates[since:]) > 3.5e-3
    assert rates[-1] < 2e-4, "its end is known"
    assert rates[since - 1] > 1e-3, "that of the first was not"


def test_a_line_stays_a_line_and_a_product_is_learned():
    moved = {}
    for target in ("line", "product"):
        made = assembly(target)
        run(made)
        blocks, target_of = made.learners[0].blocks, made.learners[0].target
        part = watching(made)
        assert part.again is not None
        network = made.finish().network
        with torch.no_grad():
            trained = network(blocks, "y")["out"][:, 0].clone()
            part.again.restart()  # the start, on all rows
            start = network(blocks, "y")["out"][:, 0]
        moved[target] = float((trained - start).square().mean() / target_of.var())
    assert moved["line"] < 0.0003  # .0001; at the full rate from the first update on .001
    assert moved["product"] > 0.3


def test_it_goes_on_from_its_midst():
    whole = assembly("product")
    run(whole)
    middle = watching(whole).since + 60
    first = assembly("product")
    run(first, stop_after=middle)
    second = assembly("product")
    second.trainer.set_state(restore(*flatten(first.trainer.get_state())))
    run(second)
    assert second.trainer.update == whole.trainer.update
    wanted, found = whole.finish().network.state_dict(), second.finish().network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
