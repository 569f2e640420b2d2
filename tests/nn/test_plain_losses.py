"""The losses by hand give autograd's numbers."""

import numpy as np
import pytest
import torch

from pellucid.core.task import Task
from pellucid.nn import losses
from pellucid.nn.plain_losses import by_hand, log_loss, squared


def drawn(n: int, k: int) -> torch.Tensor:
    z = 4.0 * torch.randn(n, k, generator=torch.Generator().manual_seed(k))
    z[0], z[1] = 60.0, -60.0  # where a careless exponential overflows
    return z.requires_grad_()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_log_loss(k: int, smoothing: float) -> None:
    z = drawn(40, k)
    target = torch.arange(40) % max(2, k)
    wanted = losses.log_loss(z, target, smoothing)
    (slope,) = torch.autograd.grad(wanted.sum(), z)
    got, by = log_loss(z.detach().numpy(), target.numpy(), smoothing)
    np.testing.assert_allclose(got, wanted.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by, slope, atol=1e-6)


def test_squared_error() -> None:
    z, target = drawn(30, 1), torch.linspace(-2, 2, 30)
    wanted = losses.squared(z, target)
    (slope,) = torch.autograd.grad(wanted.sum(), z)
    got, by = squared(z.detach().numpy(), target.numpy())
    np.testing.assert_allclose(got, wanted.detach(), rtol=1e-6)
    np.testing.assert_allclose(by, slope, rtol=1e-6)


def test_what_only_autograd_knows() -> None:
    task = Task("q", "forecast", ("x",), ("q05", "q95"), "log return", "pinball", options={"quantiles": [0.05, 0.95]})
    assert by_hand(task) is None
