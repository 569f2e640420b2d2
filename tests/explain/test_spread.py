"""Standard errors of walks, against what they must be."""

from __future__ import annotations

import torch

from pellucid.explain.spread import _left


def test_what_a_regression_leaves_is_what_least_squares_leave():
    """Also where one direction says what another did, or nothing."""
    generator = torch.Generator().manual_seed(0)
    rows, b, d, k = 2, 40, 5, 3
    apart, distance = (torch.randn(rows, b, d, dtype=torch.float64, generator=generator) for _ in range(2))
    shared = 1e3 + torch.randn(b, k, dtype=torch.float64, generator=generator)
    noise = torch.randn(rows, b, d, k, dtype=torch.float64, generator=generator)
    distance[:, :, 0] = 3.0 * apart[:, :, 0] - 1.0  # says nothing new
    apart[:, :, 1] = 2.0  # says nothing
    shared[:, 2] = 5.0
    gains = 7.0 + noise + 4.0 * apart[..., None] + 0.3 * shared[None, :, None]
    found = _left(gains, (apart, distance), shared)
    for row in range(rows):
        for player in range(d):
            for output in range(k):
                known = torch.stack(
                    [torch.ones(b), apart[row, :, player], distance[row, :, player], shared[:, output]], 1
                )
                fit = torch.linalg.pinv(known, rtol=1e-9) @ gains[row, :, player, output]
                left = (gains[row, :, player, output] - known @ fit).square().sum() / (b - 4)
                assert abs(float(found[row, player, output] / left) - 1.0) < 1e-8
    exact = apart[..., None] - 0.5 * shared[None, :, None]
    assert float(_left(exact, (apart, distance), shared).max()) < 1e-12
