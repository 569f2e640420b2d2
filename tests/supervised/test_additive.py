"""The additive model as which an ensemble begins: against closed forms and scikit-learn."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from pellucid.core.task import Task
from pellucid.nn.ensemble import EnsembleNetwork
from pellucid.nn.losses import log_loss
from pellucid.supervised.additive import Additive, penalised
from pellucid.supervised.learner import Supervised, SupervisedBatch

REGRESS = Task("t", "regress", ("a",), ("p",), "u", "squared_error", (), {"mean": 0.0, "sd": 1.0, "target": "y"})


def data(n: int = 200, p: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(n, p, generator=generator, dtype=torch.float64)
    return x, x @ torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)[:p] + torch.randn(n, generator=generator) + 3.0


def test_squared_error_gives_ridge():
    x, y = data()
    found = penalised(x, lambda z: 0.5 * (z[:, 0] - y).square().sum(), 1, 10.0)
    centred = x - x.mean(0)
    wanted = torch.linalg.solve(centred.T @ centred + 10.0 * torch.eye(3), centred.T @ (y - y.mean()))
    torch.testing.assert_close(found[:3, 0], wanted, rtol=1e-4, atol=1e-5)


def test_log_loss_gives_logistic_regression():
    x, y = data()
    code = (y > 3.0).long() + (y > 5.0).long()
    found = penalised(x, lambda z: log_loss(z, code).sum(), 3, 1.0)
    other = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(x.numpy(), code.numpy())
    np.testing.assert_allclose(found[:3].T, other.coef_, atol=1e-3)


def begun(y: torch.Tensor, x: torch.Tensor) -> tuple[Additive, EnsembleNetwork, SupervisedBatch]:
    network = EnsembleNetwork({"a": x.shape[1]}, {"t": ("a",)}, {"t": {"out": 1}}, width=8, members=4, pieces=8,
                              numbers=("a",), seed=1)  # fmt: skip
    network.cut({"a": x.float()})
    held = SupervisedBatch({"a": x[150:].float()}, y[150:].float())
    learner = Supervised(REGRESS, {"a": x[:150].float()}, y[:150].float(), batch=32, seed=0, held=held)
    start = Additive(network, learner)
    start()
    return start, network, held


def test_the_held_out_rows_choose():
    x, y = data()
    start, network, held = begun(y - 3.0, x)
    assert start.chosen is not None
    assert not start.chosen[0], "the truth is linear"
    error = network(held.blocks, "t")["out"][:, 0] - held.target
    assert error.square().mean() < 1.6  # the noise's variance is 1, the target's 6


def test_pieces_enter_where_numbers_bend():
    x, _ = data()
    y = 3.0 * x[:, 0].abs() + 0.1 * x[:, 1]
    start, network, held = begun(y, x)
    assert start.chosen is not None
    assert start.chosen[0]
    error = network(held.blocks, "t")["out"][:, 0] - held.target
    assert error.square().mean() < 0.2 * held.target.var()
