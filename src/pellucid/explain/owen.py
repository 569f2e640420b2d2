"""Owen values of a hierarchy of players (Owen 1977; Winter 1989): Shapley values of an order that keeps parts together.

Each part of a binary hierarchy is split in two, and which half joins first is a coin of its own. So a player's value is
its mean gain over the coalitions that the halves beside its own parts make up: 2^depth of them, all asked when the
budget allows. Shap's `PartitionExplainer` estimates the same values.

With less, all parts of one depth share a coin: a row of coins is then one order, and of these rows some are drawn that
are balanced (columns of a Hadamard matrix and their mirror images), so that the coins of no two depths are confounded.
The error is the spread of the pairs of mirrored orders, and overstates that of a balanced set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from pellucid.core.random import stream
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.game import Game

Part = tuple[int, int, int]  # players from, split at, to
WHOLE = 1 << 21  # orders times players up to which all are looked at


@runtime_checkable
class Hierarchical(Protocol):
    """A program whose players are ordered and hang together."""

    @property
    def tree(self) -> list[Part]: ...


class Beside(NamedTuple):
    """What stands beside the parts of one player, from the whole down. Args: start, stop: the players of the other
    half. first: the coin for which it joins first."""

    start: int
    stop: int
    first: int


def halves(d: int) -> list[Part]:
    """The hierarchy of neighbours, where none is given: halves, quarters, and so on."""
    found, left = [], [(0, d)]
    while left:
        start, stop = left.pop()
        if stop - start > 1:
            found.append((start, (start + stop) // 2, stop))
            left += [((start + stop) // 2, stop), (start, (start + stop) // 2)]
    return found


def paths(d: int, tree: Sequence[Part]) -> list[list[Beside]]:
    """For every player the halves beside its parts, the largest first."""
    found: list[list[Beside]] = [[] for _ in range(d)]
    for start, middle, stop in sorted(tree, key=lambda part: part[0] - part[2]):
        for player in range(start, stop):
            other = Beside(middle, stop, 1) if player < middle else Beside(start, middle, 0)
            found[player].append(other)
    return found


def coins(depth: int, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of coins (rows, depth): all of them, or mirrored pairs of balanced rows, a row before its mirror image."""
    if rows >= 2**depth:
        every = (np.arange(2 ** (depth - 1))[:, None] >> np.arange(depth)) & 1
        return np.stack((every, 1 - every), axis=1).reshape(-1, depth)
    matrix = np.ones((1, 1), dtype=np.int64)
    while len(matrix) < max(rows // 2, depth):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    columns = generator.permutation(len(matrix))[:depth]
    chosen = (matrix[np.ix_(generator.permutation(len(matrix))[: rows // 2], columns)] > 0).astype(np.int64)
    chosen ^= generator.integers(0, 2, size=depth)
    return np.stack((chosen, 1 - chosen), axis=1).reshape(-1, depth)


def coalitions_before(path: Sequence[Beside], thrown: np.ndarray, d: int) -> np.ndarray:
    """Who joined before the player, for each row of coins, shape (rows, d)."""
    found = np.zeros((len(thrown), d), dtype=bool)
    for coin, other in zip(thrown.T, path, strict=False):
        found[:, other.start : other.stop] = (coin == other.first)[:, None]
    return found


class Design(NamedTuple):
    """Coalitions to ask, and what becomes of them.

    Args:
        masks: different ones, shape (m, d).
        without, joined: for player and order the coalition before and after it joins, shape (d, rows).
        whole: all orders are there: no sampling error.
    """

    masks: Tensor
    without: Tensor
    joined: Tensor
    whole: bool


def design(d: int, tree: Sequence[Part], rows: int, seed: int) -> Design:
    """The orders of about `rows` rows of coins."""
    beside = paths(d, tree)
    depth = max(map(len, beside))
    thrown = coins(depth, rows, stream(seed, "explain/owen", rows))
    before = np.stack([coalitions_before(path, thrown, d) for path in beside])  # (d, rows, d)
    after = before | np.eye(d, dtype=bool)[:, None]
    every = np.concatenate((before.reshape(-1, d), after.reshape(-1, d)))
    packed = np.packbits(every, axis=1)
    _, first, index = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    places = torch.from_numpy(index.reshape(2, d, len(thrown)))
    return Design(torch.from_numpy(every[first]), places[0], places[1], len(thrown) == 2**depth)


def chosen_design(d: int, tree: Sequence[Part], most: int, seed: int) -> Design:
    """The largest design, by doubling, that asks at most so many coalitions."""
    rows, found = 2, design(d, tree, 2, seed)
    while not found.whole and rows * d * d <= WHOLE:
        rows *= 2
        larger = design(d, tree, rows, seed)
        if len(larger.masks) > most:
            break
        found = larger
    return found


def owen_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Owen values of every row; of b background rows each coalition is asked on all.

    Args: as `Explainer`; the hierarchy is the program's own, else neighbours are halved.
    """
    base, prediction = game.ends.mean(0), game.outputs(game.x)
    values = torch.empty(game.n, game.d, game.k, dtype=torch.float64)
    error = torch.zeros_like(values)
    if game.d == 1:
        values[:, 0] = prediction - base
        return Estimate(values, error, base, prediction, "one player: no sampling error")
    tree = game.program.tree if isinstance(game.program, Hierarchical) else halves(game.d)
    asked = chosen_design(game.d, tree, evaluations // game.worth_rows, seed)
    sizes = asked.masks.sum(1)
    inner = (sizes > 0) & (sizes < game.d)
    for row in range(game.n):
        worth = torch.empty(len(sizes), game.k, dtype=torch.float64)
        worth[sizes == 0], worth[sizes == game.d] = base, prediction[row]
        worth[inner] = game.worth(asked.masks[inner], row)
        gains = worth[asked.joined] - worth[asked.without]  # (d, rows, k)
        values[row] = gains.mean(1)
        if not asked.whole:
            error[row] = _error(gains)
        if progress is not None:
            progress(row + 1, game.n)
    orders = asked.without.shape[1]
    how = "all orders; no sampling error" if asked.whole else f"{orders} balanced orders; error: of mirrored pairs"
    note = f"Owen values of a hierarchy of players, {int(inner.sum())} coalitions over {game.about_background()}, {how}"
    return Estimate(values, error, base, prediction, note)


def _error(gains: Tensor) -> Tensor:
    """Of the mean of mirrored pairs (d, rows, k); few pairs make it noisy, so all players' spread counts for half."""
    pairs = gains.reshape(len(gains), -1, 2, gains.shape[-1])
    own = pairs.mean(2).var(1) if pairs.shape[1] > 1 else (pairs[:, 0, 0] - pairs[:, 0, 1]).square() / 4
    return ((own + own.mean(0)) / (2 * pairs.shape[1])).sqrt()
