"""The registry of field encoders: JSON to encoder and back, beside every other way to say the same."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from pellucid.nn import encoders
from pellucid.nn.ensemble import EnsembleNetwork, network_from
from pellucid.nn.network import Network, safe

HEADS = {"a": {"out": 2}}


def test_images_are_a_shorthand() -> None:
    widths, inputs = {"eye": 64, "x": 2}, {"a": ("eye", "x")}
    old = Network(widths, inputs, HEADS, width=8, images={"eye": (8, 8, 1)}, seed=3)
    new = Network(widths, inputs, HEADS, width=8, encoders={"eye": {"kind": "image", "shape": [8, 8, 1]}}, seed=3)
    assert "encoders" not in old.architecture  # what was written before is written alike
    assert [n for n, _ in old.named_parameters()] == [n for n, _ in new.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))


def test_a_description_survives_json() -> None:
    network = Network(
        {"eye": 64}, {"a": ("eye",)}, HEADS, width=8, encoders={"eye": {"kind": "image", "shape": (8, 8, 1)}}
    )
    again = network_from(json.loads(json.dumps(network.architecture)))
    again.load_state_dict(network.state_dict())
    blocks = {"eye": torch.rand(3, 64)}
    assert torch.equal(network(blocks, "a")["out"], again(blocks, "a")["out"])


class Doubled(nn.Module):
    """An encoder with weights of its own."""

    def __init__(self, columns: int, out: int) -> None:
        super().__init__()
        self.inner = nn.Linear(columns, 3)
        self.project = nn.Linear(3, out, bias=False)

    def begin(self, seed: int) -> None:
        nn.init.constant_(self.inner.weight, float(seed % 7 + 1))
        nn.init.zeros_(self.inner.bias)

    def forward(self, block: Tensor) -> Tensor:
        out: Tensor = self.project(self.features(block))
        return out

    def features(self, block: Tensor) -> Tensor:
        out: Tensor = self.inner(block)
        return out

    def normalised(self, block: Tensor) -> Tensor:
        return block

    def observe(self, block: Tensor) -> None:
        return None


@pytest.mark.parametrize("kind", [Network, EnsembleNetwork])
def test_an_encoder_draws_its_own_first_weights_but_for_the_last_map(
    kind: type[Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(encoders.ALL, "doubled", lambda how, columns, out: Doubled(columns, out))
    networks = [
        kind({"x": 4, "y": 1}, {"a": ("x", "y")}, HEADS, width=8, encoders={"x": {"kind": "doubled"}}, seed=seed)
        for seed in (0, 0, 1)
    ]
    built = [n.encoders[safe("x")] for n in networks]
    first, same, other = (encoder for encoder in built if isinstance(encoder, Doubled))
    assert first.inner.weight.unique().numel() == 1  # constant: no orthogonal draw went over it
    assert torch.equal(first.project.weight, same.project.weight)
    assert not torch.equal(first.project.weight, other.project.weight)
    blocks = {"x": torch.rand(5, 4), "y": torch.rand(5, 1)}
    assert networks[0](blocks, "a")["out"].shape == (5, 2)
