"""What every explainer returns, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

from pellucid.explain.game import Game

Progress = Callable[[int, int], None]  # rows done, rows in all


class Estimate(NamedTuple):
    """Shapley values of a game, float64, in the program's units.

    Args:
        values: shape (n, d, k).
        error: standard error of each value, shape (n, d, k); zero when the method is exact.
        base: mean output over the background, shape (k,).
        prediction: outputs of the rows, shape (n, k).
        note: one line for a person: what was done, and how the error was found.
    """

    values: Tensor
    error: Tensor
    base: Tensor
    prediction: Tensor
    note: str


class Explainer(Protocol):
    """A Shapley value estimator.

    Args:
        game: the rows, the background and the program.
        keys: identity of each row; a row's random numbers depend on its key and the seed, not on its company.
        evaluations: model evaluations wanted per row; a method may need more.
        seed: of the random numbers.
        progress: told (rows done, rows in all).
    """

    def __call__(
        self, game: Game, keys: Sequence[str], *, evaluations: int, seed: int, progress: Progress | None = None
    ) -> Estimate: ...
