"""The conditional value function: players outside a coalition take the values of background rows that resemble the row.

`v(S) = mean of f(x_S, b_rest) over the c background rows nearest to x in the players of S`: an empirical conditional
expectation (Aas, Jullum & Loland 2021, 3.3), which stays near real rows when fields depend on each other. A field that
the program never reads can get a value here, through the fields that it goes with: that is what the function says,
and why it is never the default. Distances are Euclidean over players, each the mean square over its columns,
in units of the background's deviation.
"""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from pellucid.core.errors import DataError


class Neighbours:
    """Finds the background rows nearest to a row in the players of a coalition.

    Args:
        x, background: encoded rows, shapes (n, columns) and (b, columns).
        owner: the player of each column.
        d: players.
    """

    def __init__(self, x: Tensor, background: Tensor, owner: Tensor, d: int) -> None:
        b = len(background)
        if b < 2:
            raise DataError(
                "the conditional value function needs at least 2 background rows.",
                where="explain(value='conditional')",
                mend="give more rows, or leave value='interventional'",
            )
        self.count = min(b, max(5, round(b**0.5)))
        sd = background.double().std(0)
        self.scale = torch.where(sd > 0, sd, torch.ones_like(sd))
        self.x, self.background, self.owner, self.d = x, background, owner, d
        self.columns = torch.zeros(d, dtype=torch.float64).index_add_(0, owner, torch.ones(len(owner)).double())

    def of(self, x: Tensor) -> Neighbours:
        """The same for other rows."""
        other = copy(self)
        other.x = x
        return other

    def __call__(self, masks: Tensor, row: int) -> Tensor:
        """Background rows of each coalition, shape (m, count); of rows equally near, the first."""
        apart = ((self.x[row].double() - self.background.double()) / self.scale).square()
        apart = torch.nan_to_num(apart, nan=1.0)  # a missing value is as far as a typical one
        by_player = torch.zeros(len(apart), self.d, dtype=torch.float64).index_add_(1, self.owner, apart)
        distance = masks.double() @ (by_player / self.columns).T
        return distance.argsort(dim=1, stable=True)[:, : self.count]
