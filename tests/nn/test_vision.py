"""Eyes for image fields: sizes, rows alone, missing pictures, seeds, gradients; learning what convolutions can."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pellucid.nn.attention import Layer
from pellucid.nn.convnet import ConvNet
from pellucid.nn.ensemble import network_from
from pellucid.nn.network import Network
from pellucid.nn.vision import EYES, PLACES, VisionEncoder
from pellucid.nn.vit import ViT

SAID: dict[str, dict[str, Any]] = {
    "convnet": {"width": 8, "depth": 1},
    "vit": {"width": 16, "depth": 2, "heads": 2, "patch": 0},
}


def encoder(kind: str, shape: tuple[int, int, int], *, missing: bool = False, out: int = 5) -> VisionEncoder:
    values = shape[0] * shape[1] * shape[2]
    made = VisionEncoder({"kind": kind, "shape": shape, **SAID[kind]}, values + missing, out)
    made.begin(0)
    return made


def test_every_eye_is_described_here() -> None:
    assert set(EYES) == set(SAID)


@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("shape", [(4, 4, 1), (8, 8, 1), (9, 13, 3), (32, 32, 3), (70, 65, 1), (224, 224, 3)])
def test_any_size_is_seen_and_every_weight_is_used(kind: str, shape: tuple[int, int, int]) -> None:
    made = encoder(kind, shape, missing=True)
    with torch.no_grad():  # residual branches begin at nought: a weight behind one has no gradient there
        for parameter in made.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    block = torch.rand(2, made.values + 1, generator=torch.Generator().manual_seed(0))
    out = made(block)
    assert out.shape == (2, 5)
    out.square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in made.parameters())


@pytest.mark.parametrize("kind", SAID)
def test_an_answer_is_one_of_its_row_alone(kind: str) -> None:
    made = encoder(kind, (8, 8, 3))
    block = torch.rand(50, made.values)
    with torch.no_grad():
        alone = torch.cat([made(row) for row in block.split(1)])
        assert torch.allclose(made(block), alone, atol=1e-6)
    assert torch.allclose(made(block), alone, atol=1e-6)  # with gradients: all rows at once


def test_many_rows_are_looked_at_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder("convnet", (64, 64, 1))
    met: list[int] = []
    eye = made.eye.forward
    monkeypatch.setattr(made.eye, "forward", lambda pixels: (met.append(len(pixels)), eye(pixels))[1])
    with torch.no_grad():
        made(torch.rand(300, made.values))
    assert met == [PLACES // 64**2] * 2 + [300 - 2 * (PLACES // 64**2)]


def test_a_missing_picture_has_a_column_of_its_own() -> None:
    made = encoder("vit", (8, 8, 1), missing=True)
    block = torch.zeros(2, 65)
    block[1, 64] = 1.0
    black, missing = made(block)
    assert torch.allclose(missing - black, made.project.weight[:, -1], atol=1e-6)


@pytest.mark.parametrize("kind", SAID)
def test_the_seed_is_the_first_weights(kind: str) -> None:
    torch.manual_seed(0)
    one = encoder(kind, (8, 8, 1)).eye.state_dict()
    torch.manual_seed(1)
    made = encoder(kind, (8, 8, 1))
    two = made.eye.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    made.begin(1)
    assert any(not torch.equal(one[name], found) for name, found in made.eye.state_dict().items())


def test_residual_blocks_begin_as_the_way_past_them() -> None:
    made = ConvNet((8, 8, 1), width=8, depth=2)
    made.begin(0)
    x = torch.rand(3, 8, 8, 8)
    assert torch.equal(made.blocks[0](x), x)


def test_attention_is_that_of_torch() -> None:
    layer = Layer(12, 3, 2.0)
    theirs = torch.nn.TransformerEncoderLayer(
        12, 3, 24, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": layer.qkv.weight,
            "self_attn.in_proj_bias": layer.qkv.bias,
            "self_attn.out_proj.weight": layer.join.weight,
            "self_attn.out_proj.bias": layer.join.bias,
            "linear1.weight": layer.widen.weight,
            "linear1.bias": layer.widen.bias,
            "linear2.weight": layer.narrow.weight,
            "linear2.bias": layer.narrow.bias,
            "norm1.weight": layer.norm_attend.weight,
            "norm1.bias": layer.norm_attend.bias,
            "norm2.weight": layer.norm_forward.weight,
            "norm2.bias": layer.norm_forward.bias,
        }
    )
    tokens = torch.randn(4, 7, 12)
    assert torch.allclose(layer(tokens), theirs(tokens), atol=1e-5)


def test_places_tell_patches_apart() -> None:
    """Without them a transformer's mean would not see where a patch lies."""
    made = ViT((8, 8, 1), width=16, depth=2, heads=2)
    made.begin(0)
    picture = torch.zeros(1, 1, 8, 8)
    picture[..., :2, :2] = 4.0
    moved = torch.roll(picture, (4, 4), (2, 3))
    assert not torch.allclose(made(picture), made(moved), atol=1e-3)
    with torch.no_grad():
        made.place.zero_()
    assert torch.allclose(made(picture), made(moved), atol=1e-5)


def test_a_network_with_eyes_is_rebuilt_from_its_architecture() -> None:
    said = {"photo": {"kind": "convnet", "shape": [8, 8, 1], **SAID["convnet"]}}
    network = Network({"photo": 64, "x": 1}, {"t": ("photo", "x")}, {"t": {"out": 2}}, width=8, encoders=said, seed=3)
    again = network_from(network.architecture)
    again.load_state_dict(network.state_dict())
    blocks = {"photo": torch.rand(4, 64), "x": torch.rand(4, 1)}
    assert torch.equal(network(blocks, "t")["out"], again(blocks, "t")["out"])


@pytest.mark.parametrize("kind", SAID)
def test_an_eye_learns_a_shape_wherever_it_lies(kind: str) -> None:
    """Horizontal against vertical bars at random places: no linear map of the pixels can tell them."""
    generator = np.random.default_rng(0)
    pixels = np.zeros((600, 8, 8), dtype=np.float32)
    label = generator.integers(0, 2, 600)
    for i, vertical in enumerate(label):
        a, b = generator.integers(0, 8), generator.integers(0, 5)
        pixels[i][(slice(b, b + 4), a) if vertical else (a, slice(b, b + 4))] = 1.0
    block, target = torch.from_numpy(pixels.reshape(600, 64)), torch.from_numpy(label)
    made = encoder(kind, (8, 8, 1), out=2)
    optimiser = torch.optim.Adam(made.parameters(), lr=1e-2)
    for step in range(120):
        rows = slice(100 * (step % 4), 100 * (step % 4) + 100)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(made(block[rows]), target[rows]).backward()
        optimiser.step()
    hits = float((made(block[400:]).argmax(1) == target[400:]).float().mean())
    assert hits > 0.95
