"""The lowest point by L-BFGS: a closed form, torch's own numbers, and nothing loaded for them."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import Tensor

from pellucid.optim.lbfgs import lowest


def rosenbrock(x: Tensor) -> Tensor:
    return (1.0 - x[0]) ** 2 + 100.0 * (x[1] - x[0] ** 2) ** 2


def test_a_quadratic_has_a_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    b = torch.randn(20, generator=generator, dtype=torch.float64)
    start = torch.zeros(5, dtype=torch.float64)
    found = lowest(lambda x: (a @ x - b).square().sum(), start, steps=100, gradient=1e-10)
    torch.testing.assert_close(found, torch.linalg.lstsq(a, b).solution, rtol=1e-4, atol=1e-5)
    assert not found.requires_grad
    assert torch.equal(start, torch.zeros_like(start)), "the start is left as it is"


def test_it_is_torchs_to_the_bit() -> None:
    x = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.LBFGS([x], max_iter=15, tolerance_grad=1e-6, history_size=5, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        theirs.zero_grad()
        value = rosenbrock(x)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    theirs.step(closure)  # type: ignore[no-untyped-call]
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    assert torch.equal(lowest(rosenbrock, start, steps=15, gradient=1e-6, history=5), x.detach())
    assert float(rosenbrock(x.detach())) > 1e-9, "it is still on its way: every step was the same"


def test_it_loads_no_compiler() -> None:
    code = (
        "import sys, torch; from pellucid.optim.lbfgs import lowest; "
        "lowest(lambda x: (x - 3.0).square().sum(), torch.zeros(2), steps=5); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
