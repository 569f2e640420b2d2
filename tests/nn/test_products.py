"""Products and layers equal those of float64, on either side of the size from which oneDNN computes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn import products
from pellucid.nn.critic import SoftCritic
from pellucid.nn.network import Network
from pellucid.nn.plain import plain_view
from pellucid.nn.plain_critic import PlainCritic

SIZES = [
    (3, 5, 2),
    (64, 256, 1),
    (1, 256, 256),
    (64, 256, 256),
    (256, 6, 256),
    (320, 160, 200),
    (300, 130, 200),
    (1024, 64, 64),
]
ACTIVATIONS = {"relu": lambda h: np.maximum(h, 0.0), "tanh": np.tanh, "none": lambda h: h}


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("n", "i", "o"), SIZES)
def test_a_layer_is_its_formula(n: int, i: int, o: int, activation: str) -> None:
    x, weight, bias = arrays((n, i), (o, i), (o,))
    before = x.copy()
    want = ACTIVATIONS[activation](x.astype(np.float64) @ weight.T.astype(np.float64) + bias)
    found = products.layer(x, weight, bias, activation)
    assert found.dtype == np.float32
    assert found.flags.writeable
    np.testing.assert_allclose(found, want, atol=3e-6 * np.sqrt(i) * 4)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(products.layer(x, weight, bias, activation), found)  # the same bits again


def test_a_layer_reads_views() -> None:
    """Parts of larger arrays, every other element, transposed; oneDNN itself would take a bias as it lies."""
    x, weight, bias = (a[..., 3:-3] for a in arrays((192, 262), (512, 262), (4096 + 6,)))
    every = [(x, weight, bias[:512]), (x[::2], weight[::2], bias[:512:2]), (x, weight, bias[::8])]
    every += [
        (x.copy(), weight.copy(), bias[::8]),
        (x[:, ::2], weight[:, ::2], bias[:512]),
        (weight.T[:224, :200], weight[:, :200], bias[:512]),
    ]
    for a, w, b in every:
        want = a.astype(np.float64) @ w.T.astype(np.float64) + b
        np.testing.assert_allclose(products.layer(a, w, b, "none"), want, atol=2e-4)


@pytest.mark.parametrize(("n", "o"), [(1024, 10), (1024, 2), (1000, 10), (64, 10), (2048, 11)])
def test_a_narrow_layer_is_its_formula(n: int, o: int) -> None:
    """On either side of the sizes from which oneDNN computes it; a bias that lies apart is read right."""
    x, weight, bias = arrays((n, 128), (o, 128), (3 * o,))
    want = x.astype(np.float64) @ weight.T.astype(np.float64) + bias[::3]
    np.testing.assert_allclose(products.narrow(x, weight, bias[::3]), want, atol=1e-4)


@pytest.mark.parametrize("views", ["none", "transposed", "parts", "strides"])
@pytest.mark.parametrize(("n", "k", "m"), [*SIZES, (256, 1, 256)])
def test_a_product_is_its_formula(n: int, k: int, m: int, views: str) -> None:
    if views == "transposed":
        a, b = (x.T for x in arrays((k, n), (m, k)))
    elif views == "parts":
        a, b = (x[2:, 3:-1] for x in arrays((n + 2, k + 4), (k + 2, m + 4)))
    elif views == "strides":
        a, b = (x[::2, ::3] for x in arrays((2 * n, 3 * k), (2 * k, 3 * m)))
    else:
        a, b = arrays((n, k), (k, m))
    want = a.astype(np.float64) @ b.astype(np.float64)
    tolerance = 3e-6 * np.sqrt(k) * 4
    np.testing.assert_allclose(products.product(a, b), want, atol=tolerance)
    out = np.full((2, n, m), np.nan, dtype=np.float32)
    products.product(a, b, out=out[1])
    np.testing.assert_allclose(out[1], want, atol=tolerance)
    assert np.isnan(out[0]).all()


def test_without_onednn_numpy_computes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = arrays((256, 256), (256, 256), (256,))
    with_it = products.layer(x, weight, bias, "relu"), products.product(x, weight)
    assert products._LINEAR is not None, "torch's builds for Linux have oneDNN"
    monkeypatch.setattr(products, "_LINEAR", None)
    for fast, plain in zip(
        with_it, (products.layer(x, weight, bias, "relu"), products.product(x, weight)), strict=True
    ):
        np.testing.assert_allclose(fast, plain, atol=2e-4)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_wide_network_by_hand_equals_autograd(activation: str) -> None:
    """Wide enough for oneDNN."""
    network = Network({"x": 6, "y": 2}, {"t": ("x", "y")}, {"t": {"q": 3}}, width=256, activation=activation, seed=1)
    view = plain_view(network, "t")
    assert view is not None
    blocks = {"x": torch.randn(128, 6), "y": torch.randn(128, 2)}
    raw, (by_q,) = network(blocks, "t"), arrays((128, 3))
    np.testing.assert_allclose(view.forward(blocks)["q"], raw["q"].detach().numpy(), atol=1e-6)
    wanted = torch.autograd.grad((raw["q"] * torch.from_numpy(by_q)).sum(), view.parameters)
    for ours, theirs in zip(view.backward({"q": by_q}), wanted, strict=True):
        scale = float(theirs.abs().max())
        np.testing.assert_allclose(ours / scale, theirs.numpy() / scale, atol=2e-6)


def test_wide_critics_by_hand_equal_autograd() -> None:
    twins = SoftCritic(5, 2, 256, 2, torch.nn.ReLU(), seed=1)
    state, action = torch.randn(256, 5), torch.rand(256, 2).requires_grad_()
    plain, q = PlainCritic(twins), twins(state, action)
    mine = plain.forward(torch.cat([state, action], 1).detach().numpy())
    np.testing.assert_allclose(mine, q.detach().numpy(), atol=1e-6)
    (by_q,) = arrays((2, 256))
    wanted = torch.autograd.grad((q * torch.from_numpy(by_q)).sum(), plain.parameters, retain_graph=True)
    for ours, theirs in zip(plain.backward(by_q), wanted, strict=True):
        scale = float(theirs.abs().max())
        np.testing.assert_allclose(ours / scale, theirs.numpy() / scale, atol=2e-6)
    (slope,) = torch.autograd.grad(q.min(0).values.sum(), action)
    np.testing.assert_allclose(plain.slope_of_least(mine, 2), slope.numpy(), atol=1e-6)
