"""Pictures moved in training batches: what each move does, and that random numbers belong to the batch."""

from __future__ import annotations

import numpy as np
import torch

from pellucid.core.task import Task
from pellucid.nn.network import Network
from pellucid.supervised.augment import Augment
from pellucid.supervised.learner import Supervised

SHAPE = (12, 12, 1)


def moved(pixels: np.ndarray, seed: int = 0, **how: float) -> np.ndarray:  # type: ignore[type-arg]
    block = torch.from_numpy(pixels.reshape(len(pixels), -1).astype(np.float32))
    shape = (*pixels.shape[1:], 1)
    found = Augment({"p": shape}, **how)({"p": block}, np.random.default_rng(seed))["p"]  # type: ignore[arg-type]
    return found.numpy().reshape(pixels.shape)


def test_nothing_declared_moves_nothing() -> None:
    pixels = np.random.default_rng(0).random((5, 12, 12))
    assert Augment({"p": SHAPE}).idle
    assert Augment({}, shift=0.1).idle
    assert np.allclose(moved(pixels), pixels, atol=1e-6)


def test_flip_mirrors_half_of_them() -> None:
    pixels = np.random.default_rng(0).random((400, 6, 9))
    found = moved(pixels, flip=True)
    same = np.isclose(found, pixels, atol=1e-5).all((1, 2))
    mirrored = np.isclose(found, pixels[:, :, ::-1], atol=1e-5).all((1, 2))
    assert (same | mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_shift_moves_by_at_most_its_share() -> None:
    pixels = np.zeros((300, 20, 20))
    pixels[:, 9:11, 9:11] = 1.0
    found = moved(pixels, shift=0.2)
    at = np.stack([(found * axis).sum((1, 2)) / found.sum((1, 2)) for axis in np.mgrid[:20, :20]], axis=1) - 9.5
    assert np.abs(at).max() <= 4 + 1e-3
    assert np.abs(at).max() > 3.5
    assert np.allclose(found.sum((1, 2)), 4, atol=1e-3)


def test_crop_enlarges_and_never_looks_outside() -> None:
    pixels = np.tile(np.linspace(0, 1, 20), (200, 20, 1))
    found = moved(pixels, crop=0.5)
    spread = found[:, 0, -1] - found[:, 0, 0]
    assert spread.min() > 0.4
    assert spread.max() < 1.0
    assert found.min() >= 0
    assert found.max() <= 1
    # Cut out anywhere: both ends are reached.
    assert found[:, 0, 0].min() < 0.05 < 0.3 < found[:, 0, 0].max()


def test_rotation_is_one_in_pixels() -> None:
    """A round spot in a picture that is no square stays round, and where it is."""
    y, x = np.mgrid[:16, :32]
    pixels = np.tile(np.exp(-((y - 7.5) ** 2 + (x - 15.5) ** 2) / 16), (20, 1, 1))
    assert np.abs(moved(pixels, rotate=180.0) - pixels).max() < 0.05
    bar = np.tile((np.abs(y - 7.5) < 2).astype(float), (50, 1, 1))
    assert np.abs(moved(bar, rotate=90.0) - bar).mean() > 0.1


def test_other_fields_and_the_column_of_missing_pictures_stay() -> None:
    blocks = {"p": torch.rand(4, 145), "x": torch.rand(4, 2)}
    found = Augment({"p": SHAPE}, shift=0.3)(blocks, np.random.default_rng(0))
    assert torch.equal(found["x"], blocks["x"])
    assert torch.equal(found["p"][:, 144], blocks["p"][:, 144])
    assert not torch.allclose(found["p"], blocks["p"])


def learner(augment: Augment | None) -> Supervised:
    task = Task("t", "classify", ("p",), ("a", "b", "c"), "logit", "log_loss", (), {"classes": ["a", "b", "c"]})
    blocks = {"p": torch.rand(40, 144, generator=torch.Generator().manual_seed(0))}
    return Supervised(task, blocks, torch.arange(40) % 3, batch=8, seed=1, augment=augment)


def test_random_numbers_belong_to_the_batch() -> None:
    network = Network({"p": 144}, {"t": ("p",)}, {"t": {"out": 3}}, width=4)
    one, two, plain = (learner(a) for a in (Augment({"p": SHAPE}, shift=0.2), Augment({"p": SHAPE}, shift=0.2), None))
    batches = [one.next_batch(network) for _ in range(3)]
    two.next_batch(network)
    resumed = learner(Augment({"p": SHAPE}, shift=0.2))
    resumed.set_state(two.get_state())
    assert torch.equal(resumed.next_batch(network).blocks["p"], batches[1].blocks["p"])
    assert torch.equal(plain.next_batch(network).target, batches[0].target)
    losses = [one.loss(network, batches[0]).value.detach() for _ in range(2)]
    assert torch.equal(losses[0], losses[1])
    assert not torch.allclose(batches[0].blocks["p"], learner(None).next_batch(network).blocks["p"])
