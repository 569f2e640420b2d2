"""What may be wrong with an explanation before it is computed: said beside it, never silently mended."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.explain.game import Game

STRONG = 0.8  # correlation from which on two players are said to be dependent
ENOUGH = 20  # background rows below which a correlation says nothing
REPEATED = 16  # background rows that are asked twice
ROUNDING = 1e-4  # of the outputs' size: what calls of other sizes may differ by
MOST_PLAYERS = 300  # pairs beyond these are not looked at


def constant_background(game: Game) -> str | None:
    """Says so when all background rows are the same."""
    if game.b < 2 or not bool((game.background == game.background[0]).all()):
        return None
    return f"all {game.b} background rows are the same: values explain the difference from that one row"


def dependence(game: Game) -> str | None:
    """Names the players that go together most, by the largest correlation between their columns in the background."""
    if game.neighbours is not None or game.b < ENOUGH or game.d < 2 or game.d > MOST_PLAYERS:
        return None
    columns = game.background.double()
    columns = columns - columns.mean(0)
    norm = columns.square().sum(0).sqrt()
    columns = columns / torch.where(norm > 1e-12, norm, torch.full_like(norm, torch.inf))
    size = (columns.T @ columns).abs().nan_to_num(0.0)
    pairs = torch.zeros(game.d, game.d, dtype=torch.float64)
    owner = game.owner
    pairs.view(-1).scatter_reduce_(0, (owner[:, None] * game.d + owner).flatten(), size.flatten(), "amax")
    pairs = pairs.triu(1)
    strong = int((pairs >= STRONG).sum())
    if not strong:
        return None
    first, second = divmod(int(pairs.argmax()), game.d)
    names = f"'{game.players[first].name}' and '{game.players[second].name}' (|r| = {float(pairs.max()):.2f})"
    others = f" and {strong - 1} other {'pair' if strong == 2 else 'pairs'}" if strong > 1 else ""
    return (
        f"{names}{others} are strongly dependent in the background: mixed rows may be unlike any real one; "
        "value='conditional' or players that are groups avoid that"
    )


def noise(game: Game) -> Tensor:
    """Standard deviation of the program's own randomness by output, shape (k,): zero when it repeats itself."""
    some = min(REPEATED, game.b)
    again = game.outputs(game.background[:some])
    apart = (again - game.ends[:some]).abs()
    if bool((apart <= ROUNDING * game.ends.abs().amax(0).clamp(min=1e-12)).all()):
        return torch.zeros(game.k, dtype=torch.float64)
    return (apart.square().mean(0) / 2.0).sqrt()


def widened(error: Tensor, sd: Tensor, game: Game) -> Tensor:
    """Errors with the program's own randomness: of the one call for the prediction, which every player shares, and
    of the coalitions where a method has no error of its own to show it.
    """
    own = (error == 0.0).double() / game.b
    return torch.sqrt(error.square() + sd.square() * (1.0 / game.d**2 + own))
