"""Steps ahead: quantiles that cannot cross, the start as it was fitted, losses that skip what is unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pellucid.core.task import Task
from pellucid.data.encoding import RAW, Encoding, Scale
from pellucid.evidence.metrics import row_losses, with_scale
from pellucid.nn.ensemble import network_from
from pellucid.nn.horizons import Horizons, gaps_from
from pellucid.nn.losses import loss_of
from pellucid.nn.series import SeriesNetwork
from pellucid.supervised.starting import encoded

TASK = Task(
    "f",
    "horizons",
    ("y.level", "y.scale", "y", "y.mean"),
    tuple(f"h{h}_q{q}" for h in (1, 2) for q in (10, 30, 50, 90)),
    "units",
    "scaled_pinball",
    (),
    {"quantiles": [0.1, 0.3, 0.5, 0.9], "horizon": 2, "level": "y.level", "scale": "y.scale", "transform": "none"},
)


def test_quantiles_never_cross() -> None:
    z = Horizons().training(TASK, {"out": 5 * torch.randn(200, 8)}).reshape(200, 2, 4)
    assert (torch.diff(z, dim=2) >= 0).all()


def test_a_start_says_what_it_was_fitted_to_say() -> None:
    spread = torch.tensor([[[-2.0, -0.5, 0.0, 1.5], [-3.0, -1.0, 0.0, 0.001]]], dtype=torch.float64)
    maps = torch.randn(1, 2, 5, dtype=torch.float64)
    encoding = Encoding({"y": Scale("series", 3, 2.0, 4.0), "y.mean": Scale("numeric", 1, -1.0, 0.5)})
    weight, bias = encoded(TASK, maps, spread, encoding, ("y", "y.mean"))
    x = torch.randn(7, 4, dtype=torch.float64)
    blocks = torch.cat([(x[:, :3] - 2.0) / 4.0, (x[:, 3:] + 1.0) / 0.5], dim=1)
    z = Horizons().training(TASK, {"out": blocks @ weight[0].T + bias[0]}).reshape(7, 2, 4)
    centre = x @ maps[0, :, :-1].T + maps[0, :, -1]
    assert torch.allclose(z, centre[:, :, None] + spread[0], atol=1e-9)


def test_gaps_are_the_inverse_of_what_training_does() -> None:
    spread = torch.tensor([-1.0, -0.2, 0.0, 30.0], dtype=torch.float64)
    z = Horizons().training(TASK, {"out": gaps_from(spread, 2).repeat(1, 2)}).reshape(2, 4)
    assert torch.allclose(z, spread.expand(2, 4))


def test_units_are_those_of_the_series() -> None:
    blocks = {"y.level": torch.tensor([[100.0]]), "y.scale": torch.tensor([[5.0]])}
    encoding = Encoding({name: Scale(RAW, 1) for name in blocks})
    z = torch.arange(8.0)[None]
    assert torch.equal(Horizons().units(TASK, z, blocks, encoding), 100 + 5 * z)
    log = replace(TASK, options={**TASK.options, "transform": "log"})
    small = {"y.level": torch.tensor([[2.0]]), "y.scale": torch.tensor([[0.1]])}
    assert torch.allclose(Horizons().units(log, z, small, encoding), torch.exp(2 + 0.1 * z))
    wide = replace(TASK, options={**TASK.options, "widening": [[-1.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]})
    moved = Horizons().units(wide, z, blocks, encoding) - Horizons().units(TASK, z, blocks, encoding)
    assert moved.tolist() == [[-5.0, 0, 0, 10.0, 0, 0, 0, 0]]


def test_the_training_loss_is_the_metric_and_skips_unknown_steps() -> None:
    z, target = torch.randn(6, 8).double(), torch.randn(6, 2).double()
    target[2, 1] = float("nan")
    loss = loss_of(TASK)(z, target).numpy()
    metric = row_losses(TASK, with_scale(target.numpy(), np.ones(6)), z.numpy())
    assert np.allclose(loss, metric)
    assert np.isfinite(loss).all()
    scaled = row_losses(TASK, with_scale(3 * target.numpy(), np.full(6, 3.0)), 3 * z.numpy())
    assert np.allclose(scaled, metric)


def test_mase_is_the_scaled_error_of_the_median() -> None:
    task = replace(TASK, metric="mase")
    outputs = np.asarray([[0.0, 1, 2, 3, 0, 1, 5, 9]])
    assert row_losses(task, np.asarray([[4.0, 5.5, 2.0]]), outputs)[0] == (2 / 2 + 0.5 / 2) / 2
    assert row_losses(task, np.asarray([[4.0, np.nan, 2.0]]), outputs)[0] == 1.0


def test_a_network_begins_as_its_start_and_is_rebuilt() -> None:
    start = {"fields": ["y", "y.mean"], "group": "g", "entries": 3}
    network = SeriesNetwork(
        {"y": 6, "y.mean": 1, "g": 3},
        {"f": ["y", "y.mean", "g"]},
        {"f": {"out": 8}},
        width=16,
        encoders={"y": {"kind": "tcn"}},
        starts={"f": start},
    )
    network.start("f").weight.copy_(torch.randn(3, 8, 7))
    network.start("f").bias.copy_(torch.randn(3, 8))
    blocks = {"y": torch.randn(5, 6), "y.mean": torch.randn(5, 1), "g": torch.eye(3)[[0, 1, 2, 1, 0]]}
    raw = network(blocks, "f")["out"]
    x = torch.cat([blocks["y"], blocks["y.mean"]], dim=1)
    for i, code in enumerate([0, 1, 2, 1, 0]):
        by_hand = network.start("f").weight[code] @ x[i] + network.start("f").bias[code]
        assert torch.allclose(raw[i], by_hand, atol=1e-5)
    again = network_from(network.architecture)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(blocks, "f")["out"], raw)
