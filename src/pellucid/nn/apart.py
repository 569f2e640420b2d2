"""Numbers that stay in order, whatever a network says: the middle one moves freely, the others keep away from it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

LEAST = 1e-6  # gap


def apart(raw: Tensor, at_zero: Tensor) -> Tensor:
    """Increasing numbers, shape (n, k): the middle one and positive steps away from it.

    Args:
        raw: anything, shape (n, k).
        at_zero: what `raw` = 0 gives, increasing, shape (k,).
    """
    at = at_zero.to(raw)
    middle = raw.shape[1] // 2
    centre = at[middle] + raw[:, middle : middle + 1]
    if raw.shape[1] == 1:
        return centre
    gaps = at[1:] - at[:-1]
    offset = gaps + torch.log(-torch.expm1(-gaps))  # softplus of it is the gap
    up = torch.cumsum(softplus(raw[:, middle + 1 :] + offset[middle:]).clamp_min(LEAST), dim=1)
    down = torch.cumsum(softplus(raw[:, :middle] + offset[:middle]).clamp_min(LEAST).flip(1), dim=1).flip(1)
    return torch.cat([centre - down, centre, centre + up], dim=1)
