"""One token per field: what a row's answer depends on, first weights, storage, what it can learn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.nn import tokens
from pellucid.nn.ensemble import network_from
from pellucid.nn.plain import plain_view
from pellucid.nn.tokens import TokensNetwork

WIDTHS = {"x": 1, "word": 4, "photo": 16, "z": 2}
INPUTS = {"one": ("x", "word", "photo"), "two": ("z", "x")}
HEADS = {"one": {"out": 3}, "two": {"out": 1}}
EYE = {"photo": {"kind": "convnet", "shape": [4, 4, 1], "width": 8, "depth": 1}}


def made(inputs: dict[str, tuple[str, ...]] | None = None, **changes: Any) -> TokensNetwork:
    settings: dict[str, Any] = {"width": 16, "depth": 2, "attention": 4, "pieces": 4, "numbers": ["x", "z"]}
    return TokensNetwork(WIDTHS, inputs or INPUTS, HEADS, **{**settings, "encoders": EYE, **changes})


def rows(n: int = 6, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(n, 1, generator=g),
        "word": torch.eye(4)[torch.randint(0, 4, (n,), generator=g)],
        "photo": torch.rand(n, 16, generator=g),
        "z": torch.randn(n, 2, generator=g),
    }


def test_it_is_rebuilt_from_its_architecture() -> None:
    network = made(seed=3)
    network.cut(rows(50))
    again = network_from(json.loads(json.dumps(network.architecture, sort_keys=True)))  # as a store writes it
    again.load_state_dict(network.state_dict())
    assert isinstance(again, TokensNetwork)
    for task in INPUTS:
        assert torch.equal(network(rows(), task)["out"], again(rows(), task)["out"])


def test_the_seed_is_the_first_weights() -> None:
    torch.manual_seed(0)
    one = made(seed=1).state_dict()
    torch.manual_seed(1)
    two, other = made(seed=1).state_dict(), made(seed=2).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["marks"], other["marks"])


def test_every_weight_is_used_and_shared_are_all_but_heads() -> None:
    network = made()
    network.cut(rows(50))
    with torch.no_grad():  # residual blocks begin with a branch at nought
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    loss = sum(network(rows(40), task)["out"].square().sum() for task in INPUTS)
    assert isinstance(loss, Tensor)
    loss.backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not float(p.grad.abs().max()) > 0] == []
    shared = {id(p) for p in network.shared()}
    assert {n for n, p in network.named_parameters() if id(p) not in shared} == {
        n for n, _ in network.named_parameters() if n.startswith("heads.")
    }


def test_a_task_reads_its_own_fields_in_any_order() -> None:
    network = made()
    given = rows()
    answer = network(given, "one")["out"]
    assert torch.equal(network({**given, "z": given["z"] + 1}, "one")["out"], answer)
    for field in INPUTS["one"]:
        assert not torch.allclose(network({**given, field: given[field].flip(0)}, "one")["out"], answer, atol=1e-6)
    other = made({"one": ("photo", "x", "word"), "two": ("z", "x")})
    other.load_state_dict(network.state_dict())
    assert torch.allclose(other(given, "one")["out"], answer, atol=1e-6)


def test_marks_tell_fields_apart() -> None:
    """Two numbers read by the same weights: without marks, exchanging them would change nothing."""
    network = TokensNetwork({"a": 1, "b": 1}, {"t": ("a", "b")}, {"t": {"out": 1}}, width=16, pieces=0, seed=0)
    with torch.no_grad():
        network.encoder("b").project.weight.copy_(network.encoder("a").project.weight)
    a, b = torch.randn(5, 1), torch.randn(5, 1)
    one, two = network({"a": a, "b": b}, "t")["out"], network({"a": b, "b": a}, "t")["out"]
    assert not torch.allclose(one, two, atol=1e-6)
    with torch.no_grad():
        network.marks.zero_()
    assert torch.allclose(network({"a": a, "b": b}, "t")["out"], network({"a": b, "b": a}, "t")["out"], atol=1e-6)


def test_an_answer_is_one_of_its_row_alone_in_pieces_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made()
    given = rows(50)
    whole = network(given, "one")["out"].detach()
    monkeypatch.setattr(tokens, "VALUES", 4 * 16 * 7)  # seven rows at a time
    with torch.no_grad():
        assert torch.allclose(network(given, "one")["out"], whole, atol=1e-6)
        alone = [network({k: v[i : i + 1] for k, v in given.items()}, "one")["out"] for i in range(50)]
    assert torch.allclose(torch.cat(alone), whole, atol=1e-6)


def test_it_is_no_plain_network() -> None:
    assert plain_view(made(), "one") is None


def test_it_learns_what_no_sum_of_fields_can() -> None:
    """The sign of a number, turned round by a word: every field alone says nothing."""
    g = np.random.default_rng(0)
    x, word = g.normal(size=800).astype(np.float32), g.integers(0, 2, 800)
    y = np.abs(x) * np.where((x > 0) == (word == 1), 1.0, -1.0).astype(np.float32)
    blocks = {"x": torch.from_numpy(x)[:, None], "word": torch.eye(2)[torch.from_numpy(word)]}
    target = torch.from_numpy(y.astype(np.float32))[:, None]
    network = TokensNetwork(
        {"x": 1, "word": 2}, {"t": ("x", "word")}, {"t": {"out": 1}}, width=16, depth=1, pieces=8, numbers=["x"]
    )
    network.cut(blocks)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(150):
        part = slice(100 * (step % 6), 100 * (step % 6) + 100)
        optimiser.zero_grad()
        (network({k: v[part] for k, v in blocks.items()}, "t")["out"] - target[part]).square().mean().backward()
        optimiser.step()
    with torch.no_grad():
        left = (network({k: v[600:] for k, v in blocks.items()}, "t")["out"] - target[600:]).square().mean()
    assert float(left) < 0.05 * float(target[600:].var())
