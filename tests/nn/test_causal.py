"""Causal encoders: what is said at a step depends on that step and earlier ones only."""

from __future__ import annotations

import pytest
import torch

from pellucid.nn.causal import ALL, KERNEL, SeriesEncoder, dilations


def encoder(kind: str, length: int = 20) -> SeriesEncoder:
    made = ALL[kind](length, 16)
    made.begin(3)
    return made.double()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("step", [0, 3, 11, 18])
def test_later_steps_change_nothing(kind: str, step: int) -> None:
    made, x = encoder(kind), torch.randn(4, 20, dtype=torch.float64)
    other = x.clone()
    other[:, step + 1 :] = torch.randn(4, 19 - step, dtype=torch.float64)
    a, b = made.steps(x), made.steps(other)
    assert torch.equal(a[:, :, : step + 1], b[:, :, : step + 1])
    assert not torch.allclose(a[:, :, step + 1 :], b[:, :, step + 1 :])


@pytest.mark.parametrize("kind", ALL)
def test_gradients_flow_from_the_past_alone_and_from_all_of_it(kind: str) -> None:
    made = encoder(kind)
    x = torch.randn(1, 20, dtype=torch.float64, requires_grad=True)
    made.steps(x)[0, :, 12].square().sum().backward()
    assert x.grad is not None
    assert (x.grad[0, 13:] == 0).all()
    block = torch.randn(1, 20, dtype=torch.float64, requires_grad=True)
    made(block).square().sum().backward()
    assert block.grad is not None
    assert (block.grad != 0).all()


@pytest.mark.parametrize("length", [1, 2, 5, 24, 100, 500])
def test_the_convolutions_see_the_window(length: int) -> None:
    reach = 1 + sum(2 * (KERNEL - 1) * d for d in dilations(length))
    assert reach >= length


@pytest.mark.parametrize("kind", ALL)
def test_the_newest_value_comes_first_in_a_block(kind: str) -> None:
    made, block = encoder(kind), torch.randn(2, 20, dtype=torch.float64)
    assert torch.equal(made.features(block), made.steps(block.flip(1))[:, :, -1])


@pytest.mark.parametrize("kind", ALL)
def test_the_same_seed_begins_alike(kind: str) -> None:
    one, other = encoder(kind), encoder(kind)
    kept = one.state_dict()
    assert all(torch.equal(kept[n], t) for n, t in other.state_dict().items() if not n.startswith("project"))
