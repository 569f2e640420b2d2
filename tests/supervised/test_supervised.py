"""Supervised: every row once an epoch, noise within the batch, and least squares when the network is a line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.core.errors import DataError
from pellucid.core.task import Task
from pellucid.nn.losses import log_loss
from pellucid.optim import build
from pellucid.supervised.learner import Supervised, SupervisedBatch
from pellucid.train.loop import LoopConfig, Trainer

TASK = Task("y", "regress", ("x", "z"), ("y",), "", "squared_error", options={"mean": 0.0, "sd": 1.0})
NETWORK = nn.Linear(1, 1)  # only its device is asked for


def _learner(n: int = 12, batch: int = 4, noise: float = 0.0, seed: int = 0) -> Supervised:
    blocks = {"x": torch.arange(n).float()[:, None], "z": torch.zeros(n, 2), "unread": torch.zeros(n, 1)}
    return Supervised(TASK, blocks, torch.arange(n).float(), batch=batch, seed=seed, noise=noise)


def _targets(learner: Supervised, batches: int) -> list[list[int]]:
    return [learner.next_batch(NETWORK).target.int().tolist() for _ in range(batches)]


def test_an_epoch_sees_every_row_once():
    found = _targets(_learner(), 9)
    epochs = [found[i] + found[i + 1] + found[i + 2] for i in (0, 3, 6)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
    assert len({tuple(epoch) for epoch in epochs}) == 3, "each epoch has an order of its own"
    assert epochs[0] != list(range(12))


def test_rows_that_fill_no_batch_have_their_turn_in_another_epoch():
    found = _targets(_learner(n=10), 40)
    for i in range(0, 40, 2):
        epoch = found[i] + found[i + 1]
        assert len(set(epoch)) == 8
    assert {row for batch in found for row in batch} == set(range(10))


def test_a_batch_beyond_the_rows_is_all_rows():
    assert sorted(_targets(_learner(n=5, batch=100), 1)[0]) == list(range(5))


def test_inputs_stay_with_their_targets_and_nothing_else_is_read():
    batch = _learner().next_batch(NETWORK)
    assert set(batch.blocks) == {"x", "z"}
    assert torch.equal(batch.blocks["x"][:, 0], batch.target)


def test_noise_is_part_of_the_batch():
    learner, clean = _learner(4000, 4000, noise=0.5), _learner(4000, 4000)
    batches = [learner.next_batch(NETWORK) for _ in range(2)]
    plain = [clean.next_batch(NETWORK) for _ in range(2)]
    noise = [b.blocks["x"] - p.blocks["x"] for b, p in zip(batches, plain, strict=True)]
    for drawn in noise:
        assert float(drawn.std()) == pytest.approx(0.5, rel=0.05)
        assert abs(float(drawn.mean())) < 0.04
    correlations = np.corrcoef(
        np.stack([n[:, 0] for n in noise] + [batches[0].blocks["z"][:, i].numpy() for i in range(2)])
    )
    assert np.abs(correlations - np.eye(4)).max() < 0.08, "every batch, field and column has its own"
    assert torch.equal(batches[0].target, plain[0].target)
    assert torch.equal(learner.blocks["x"][:, 0], torch.arange(4000).float()), "the rows themselves stay clean"
    again = _learner(4000, 4000, noise=0.5).next_batch(NETWORK)
    assert torch.equal(again.blocks["x"], batches[0].blocks["x"])


@pytest.mark.parametrize("done", [0, 1, 2, 3, 7])
def test_a_counter_is_all_the_state(done):
    learner = _learner(noise=0.1)
    for _ in range(done):
        learner.next_batch(NETWORK)
    state = learner.get_state()
    assert state == {"drawn": done}
    other = _learner(noise=0.1)
    other.set_state(state)
    a, b = learner.next_batch(NETWORK), other.next_batch(NETWORK)
    assert torch.equal(a.target, b.target)
    assert torch.equal(a.blocks["x"], b.blocks["x"])


def test_no_rows_are_an_error_with_a_mend():
    with pytest.raises(DataError, match="task 'y' has no training rows") as caught:
        _learner(n=0)
    assert len(str(caught.value).splitlines()) == 3


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, blocks, task):
        return {"out": self.layer(torch.cat([blocks["x"], blocks["z"]], 1))}


def test_a_line_is_least_squares():
    g = np.random.default_rng(0)
    x = g.normal(size=(200, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.3 + g.normal(size=200)
    blocks = {"x": torch.from_numpy(x[:, :1]).float(), "z": torch.from_numpy(x[:, 1:]).float()}
    network = Line()
    named = dict(network.named_parameters())
    learner = Supervised(TASK, blocks, torch.from_numpy(y).float(), batch=200, seed=0)
    Trainer(network, [learner], build("sgd", named, lr=0.2), named).run(LoopConfig(200, clip=None))
    best, *_ = np.linalg.lstsq(np.c_[x, np.ones(200)], y, rcond=None)
    found = [*network.layer.weight.detach()[0].tolist(), float(network.layer.bias.detach())]
    np.testing.assert_allclose(found, best, atol=1e-4)


def test_noise_is_a_ridge():
    """Noise of variance s^2 on standardised inputs adds s^2 n |w|^2 to the sum of squares (Bishop 1995)."""
    g = np.random.default_rng(0)
    x = g.normal(size=(400, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.1 * g.normal(size=400)
    x, y = x - x.mean(0), y - y.mean()
    blocks = {"x": torch.from_numpy(x[:, :1]).float(), "z": torch.from_numpy(x[:, 1:]).float()}
    network = Line()
    named = dict(network.named_parameters())
    learner = Supervised(TASK, blocks, torch.from_numpy(y).float(), batch=400, seed=0, noise=1.0)
    opt = build("sgd", named, lr=0.02)
    Trainer(network, [learner], opt, named).run(LoopConfig(1500, clip=None))
    ridge = np.linalg.solve(x.T @ x + 400 * np.eye(3), x.T @ y)
    found = network.layer.weight.detach()[0].numpy()
    np.testing.assert_allclose(found, ridge, atol=0.06)
    assert np.abs(found - np.linalg.lstsq(x, y, rcond=None)[0]).max() > 0.3


def _imbalanced(**options: object) -> Supervised:
    task = Task("y", "classify", ("x",), ("yes",), "logit", "log_loss", (), {"classes": ["no", "yes"], "target": "y"})
    y = torch.tensor([0] * 90 + [1] * 10)
    return Supervised(task, {"x": torch.zeros(100, 1)}, y, batch=100, seed=0, **options)  # type: ignore[arg-type]


class _Constant(torch.nn.Module):
    """One log-odds for all rows: the loss's optimum has a closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.z = torch.nn.Parameter(torch.zeros(()))

    def forward(self, blocks: dict[str, torch.Tensor], task: str) -> dict[str, torch.Tensor]:
        return {"out": self.z.expand(len(blocks["x"]), 1)}


def _optimum(learner: Supervised) -> float:
    network = _Constant()
    batch = learner.next_batch(network)
    optimiser = torch.optim.LBFGS([network.z], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = learner.loss(network, batch).value
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(torch.sigmoid(network.z).detach())


def test_balanced_classes_and_smoothed_targets_move_the_optimum_as_they_should() -> None:
    assert _optimum(_imbalanced()) == pytest.approx(0.1, abs=1e-4)
    assert _optimum(_imbalanced(balanced=True)) == pytest.approx(0.5, abs=1e-4)
    assert _optimum(_imbalanced(smoothing=0.2)) == pytest.approx(0.1 * 0.8 + 0.1, abs=1e-4)


def test_weights_of_balanced_classes_average_to_one() -> None:
    learner = _imbalanced(balanced=True)
    assert learner._weights is not None
    torch.testing.assert_close(learner._weights, torch.tensor([100 / 180, 100 / 20]))
    assert float(learner._weights[learner.target].mean()) == pytest.approx(1.0)


def test_smoothing_of_several_classes_is_torchs() -> None:
    z, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    wanted = torch.nn.functional.cross_entropy(z, y, reduction="none", label_smoothing=0.3)
    torch.testing.assert_close(log_loss(z, y, 0.3), wanted)
    two = torch.stack([torch.zeros(4), torch.tensor([0.3, -1.0, 2.0, 0.0])], 1)  # one log-odds is two logits
    torch.testing.assert_close(
        log_loss(two[:, 1:], torch.tensor([0, 1, 1, 0]), 0.3), log_loss(two, torch.tensor([0, 1, 1, 0]), 0.3)
    )


def test_rows_held_out_are_trained_on_in_the_end():
    generator = torch.Generator().manual_seed(0)
    blocks = {"a": torch.randn(10, 1, generator=generator)}
    task = Task("t", "regress", ("a",), ("p",), "u", "squared_error", (), {"mean": 0.0, "sd": 1.0, "target": "y"})
    held = SupervisedBatch({"a": torch.full((5, 1), 9.0)}, torch.full((5,), 9.0))

    def made() -> Supervised:
        return Supervised(task, blocks, torch.zeros(10), batch=5, seed=0, held=held)

    one = made()
    one.next_batch(NETWORK)
    one.take_all()
    assert one.held is None
    one.next_batch(NETWORK)
    other = made()
    other.set_state(one.get_state())
    seen = [(one.next_batch(NETWORK), other.next_batch(NETWORK)) for _ in range(2)]
    assert all(torch.equal(a.target, b.target) for a, b in seen), "it goes on from its state"
    epoch = made()
    epoch.take_all()
    targets = torch.cat([epoch.next_batch(NETWORK).target for _ in range(3)])
    assert sorted(targets.tolist()) == [0.0] * 10 + [9.0] * 5
