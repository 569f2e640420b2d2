"""Network: any names, weights from the seed alone, a normaliser that counts right, tasks read what they declare."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pellucid.nn.delta import parameters_sha
from pellucid.nn.field import FieldEncoder
from pellucid.nn.network import TORCHS_OWN, Network, safe

ODD = ["", "values", "type", "a.b", "a_b", "a__b", "a_d", "a.d", "_", ".", "items", "train", "forward", "_e", "apply_e"]
TORCHS = [name for own in dir(nn.ModuleDict()) for name in {own, own.lstrip("_"), own.strip("_"), own + "_e"}]
NAMES = st.text(alphabet=st.sampled_from("ab_.de0 é"), max_size=6) | st.sampled_from(ODD + TORCHS)


@given(names=st.lists(NAMES, min_size=1, max_size=12, unique=True))
def test_any_names_are_accepted_and_stay_apart(names):
    keys = [safe(name) for name in names]
    assert len(set(keys)) == len(names)
    modules = nn.ModuleDict({key: nn.Identity() for key in keys})
    assert list(modules) == keys
    for key in keys:
        assert modules.get_submodule(key) is modules[key]


def test_every_attribute_of_torch_is_a_possible_name():
    """A column may be called `version`. A new torch with a new private attribute turns this red."""
    modules = nn.ModuleDict({safe(name): nn.Identity() for name in {*TORCHS, *ODD}})
    assert len(modules) == len({*TORCHS, *ODD})
    assert {name for name in TORCHS if hasattr(nn.ModuleDict(), "_" + name) and "_" not in name} == set(TORCHS_OWN)


@settings(max_examples=20, deadline=None)
@given(names=st.lists(NAMES, min_size=2, max_size=5, unique=True))
def test_a_network_over_odd_names_learns_and_reloads(names):
    *fields, task = names
    widths = {name: i + 1 for i, name in enumerate(fields)}

    def make(seed):
        return Network(widths, {task: fields}, {task: {"out": 2}}, width=4, seed=seed)

    network = make(0)
    blocks = {name: torch.randn(3, width) for name, width in widths.items()}
    network(blocks, task)["out"].sum().backward()
    other = make(1)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(blocks, task)["out"], network(blocks, task)["out"])


def _network(seed: int = 0, **options) -> Network:
    return Network(
        {"return": 5, "level": 1, "position": 1},
        {"forecast": ("return", "level"), "trade": ("return", "level", "position")},
        {"forecast": {"out": 3}, "trade": {"policy": 3, "value": 1}},
        **{"width": 32, "depth": 3, "seed": seed, **options},
    )


def _blocks(n: int = 8) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return {
        "return": torch.randn(n, 5, generator=g),
        "level": torch.randn(n, 1, generator=g),
        "position": torch.ones(n, 1),
    }


def test_weights_come_from_the_seed_alone():
    torch.manual_seed(1)
    one = parameters_sha(_network())
    torch.manual_seed(2)
    torch.rand(5)
    assert parameters_sha(_network()) == one
    assert parameters_sha(_network(seed=1)) != one
    weights = [p for name, p in _network().named_parameters() if name.endswith("weight")]
    for i, a in enumerate(weights):  # no two layers share their numbers
        for b in weights[i + 1 :]:
            assert a.shape != b.shape or not torch.equal(a, b)


def test_initial_weights_are_orthogonal():
    network = _network()
    layer = network.trunk[1].weight.detach()
    torch.testing.assert_close(layer @ layer.T, 2.0 * torch.eye(32), atol=1e-5, rtol=0)
    for name, head in network.heads[safe("trade")].items():
        gain = 1.0 if name == "value" else 0.01
        w = head.weight.detach()
        torch.testing.assert_close(w @ w.T, gain**2 * torch.eye(len(w)), atol=1e-5, rtol=0)
    w = network.encoders[safe("return")].project.weight.detach()  # 32 x 5: orthogonal columns, shared by 3 encoders
    torch.testing.assert_close(w.T @ w, 2.0 / 3.0 * torch.eye(5), atol=1e-5, rtol=0)
    assert all(bool((p == 0).all()) for name, p in network.named_parameters() if name.endswith("bias"))


def test_a_forecast_does_not_read_the_position():
    network, blocks = _network(), _blocks()
    moved = {**blocks, "position": -blocks["position"]}
    assert torch.equal(network(blocks, "forecast")["out"], network(moved, "forecast")["out"])
    without = {name: block for name, block in blocks.items() if name != "position"}
    assert torch.equal(network(blocks, "forecast")["out"], network(without, "forecast")["out"])
    assert not torch.equal(network(blocks, "trade")["value"], network(moved, "trade")["value"])
    loss = network(blocks, "forecast")["out"].sum()
    grads = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    unused = {name for (name, _), g in zip(network.named_parameters(), grads, strict=True) if g is None}
    assert {name.rpartition(".")[0] for name in unused} == {
        "encoders._position.project",
        "heads._trade.policy",
        "heads._trade.value",
    }


def test_the_first_layer_is_one_linear_map_of_all_fields():
    """By hand: bias + sum of projections, then the trunk, then the head."""
    network, blocks = _network(activation="tanh", depth=2), _blocks()
    with torch.no_grad():
        network.bias.normal_()
        h = network.bias.clone()
        for field in ("return", "level"):
            h = h + blocks[field] @ network.encoders[safe(field)].project.weight.T
        h = torch.tanh(torch.tanh(h) @ network.trunk[1].weight.T + network.trunk[1].bias)
        head = network.heads[safe("forecast")]["out"]
        expected = h @ head.weight.T + head.bias
        torch.testing.assert_close(network(blocks, "forecast")["out"], expected)


def test_shared_is_encoders_and_trunk():
    network = _network()
    heads = {id(p) for p in network.heads.parameters()}
    shared = {id(p) for p in network.shared()}
    assert not shared & heads
    assert shared | heads == {id(p) for p in network.parameters()}
    assert len(network.shared()) == len(shared)


def test_the_architecture_rebuilds_it():
    network = _network(normalise=("return",))
    again = Network(**network.architecture)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(_blocks(), "trade")["value"], network(_blocks(), "trade")["value"])


# The running normaliser


@pytest.mark.parametrize("sizes", [[1, 1, 1], [100], [1, 50, 3, 200, 7], [0, 5, 0, 5]])
def test_running_statistics_equal_numpys(sizes):
    g = np.random.default_rng(0)
    encoder = FieldEncoder(3, 4, normalise=True)
    batches = [g.normal([5.0, -3.0, 0.0], [2.0, 0.1, 1.0], size=(n, 3)).astype(np.float32) for n in sizes]
    for batch in batches:
        encoder.observe(torch.from_numpy(batch))
    every = np.concatenate(batches).astype(np.float64)
    np.testing.assert_allclose(encoder.mean.numpy(), every.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder.var.numpy(), every.var(0), rtol=2e-3, atol=1e-6)
    assert float(encoder.count) == len(every)


def test_running_statistics_survive_a_long_run():
    """Ten thousand small batches far from zero: the naive E[x^2] - E[x]^2 in float32 would be gone."""
    g = np.random.default_rng(1)
    encoder = FieldEncoder(1, 2, normalise=True)
    total: list[np.ndarray] = []
    for _ in range(2000):
        batch = g.normal(1000.0, 0.5, size=(8, 1)).astype(np.float32)
        encoder.observe(torch.from_numpy(batch))
        total.append(batch)
    every = np.concatenate(total).astype(np.float64)
    assert float(encoder.mean) == pytest.approx(every.mean(), rel=1e-5)
    assert float(encoder.var) == pytest.approx(every.var(), rel=0.05)


def test_normalising_centres_scales_and_clips():
    encoder = FieldEncoder(1, 2, normalise=True)
    x = torch.tensor([[1.0], [3.0], [5.0]])
    encoder.observe(x)
    wanted = (x - 3.0) / math.sqrt(8.0 / 3.0)
    torch.testing.assert_close(encoder(x), encoder.project(wanted), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder(torch.tensor([[1e9]])), encoder.project(torch.tensor([[10.0]])))


def test_the_normaliser_is_a_buffer_and_moves_only_when_told():
    network = _network(normalise=("return",))
    before = {name: b.clone() for name, b in network.named_buffers()}
    assert set(before) == {f"encoders._return.{name}" for name in ("mean", "var", "count")}
    network(_blocks(), "trade")
    assert all(torch.equal(b, before[name]) for name, b in network.named_buffers())
    network.observe(_blocks())
    assert float(network.encoders[safe("return")].count) == 8.0
    assert not list(network.encoders[safe("level")].buffers())
