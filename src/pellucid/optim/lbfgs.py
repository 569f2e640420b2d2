"""The lowest point of a smooth function by torch's L-BFGS (Liu & Nocedal 1989), without what torch puts around it.

Like its other optimisers, `torch.optim.LBFGS` loads torch's compiler when it is made (see `optim.adam`). The numbers
are torch's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer


class _LBFGS(torch.optim.LBFGS):
    add_param_group = Optimizer.add_param_group.__wrapped__  # type: ignore[attr-defined]  # what loads the compiler


def lowest(
    function: Callable[[Tensor], Tensor], start: Tensor, *, steps: int, gradient: float = 1e-7, history: int = 100
) -> Tensor:
    """Where a function is lowest near `start`; detached.

    Args:
        function: x, of the shape of `start` -> a number, differentiable.
        start: left as it is.
        steps: at most, each with a line search by the strong Wolfe conditions.
        gradient: where its largest entry is smaller, it is over.
        history: steps that the curvature is known from.
    """
    x = start.detach().clone().requires_grad_(True)
    optimiser = _LBFGS(
        [x], max_iter=steps, tolerance_grad=gradient, history_size=history, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        x.grad = None  # `zero_grad` would load it, too
        value = function(x)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return x.detach()
