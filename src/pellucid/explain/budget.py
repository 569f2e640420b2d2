"""What an explanation will cost, and how many evaluations a number of seconds or a standard error needs.

Both are found from a pilot on a few rows with the least budget. Seconds depend on the machine, so the number of
evaluations that was chosen is recorded: it repeats the explanation anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from pellucid.core.errors import DataError
from pellucid.explain.estimate import Explainer
from pellucid.explain.exact import MOST_PLAYERS
from pellucid.explain.game import Game
from pellucid.explain.permutation import passes_for, walks_of

PILOTS = 4  # rows of a pilot
MARGIN = 1.2  # a pilot's errors have errors themselves
MOST = 100_000_000  # evaluations per row that an error may ask for


class Plan(NamedTuple):
    """What an explanation will cost.

    Args:
        method: the explainer.
        players, rows: of the game.
        evaluations: model rows in all, at most: players that equal the background's are not walked.
        seconds: about how long, from a timed call.
    """

    method: str
    players: int
    rows: int
    evaluations: int
    seconds: float

    def __str__(self) -> str:
        wait = f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.0f} min"
        if self.seconds >= 7200:
            wait = f"{self.seconds / 3600:.1f} h"
        sizes = f"{self.players:,} players, {self.rows:,} rows: {self.evaluations:,} evaluations"
        return f"{self.method}, {sizes}, about {wait}"


def cost(method: str, game: Game, evaluations: int) -> int:
    """Model rows that a method evaluates for one row, at most."""
    if method == "exact":
        return int((2 ** min(game.d, MOST_PLAYERS)) * game.worth_rows)
    if method == "permutation":
        return walks_of(passes_for(evaluations, game.b, game.d), game.b) * 2 * max(1, game.d - 1)
    if method == "regression":
        return max(evaluations, 8 * game.d * game.worth_rows)
    return evaluations


def planned(method: str, game: Game, evaluations: int) -> Plan:
    """Times one call on mixed rows."""
    some = max(1, min(game.chunk, game.b * game.n))
    masks = torch.arange(game.d) < torch.arange(some)[:, None] % (game.d + 1)
    which, of = torch.arange(some) % game.b, torch.arange(some) % max(1, game.n)
    best = float("inf")
    for _ in range(2 if game.n else 0):  # the first call may compile
        begin = time.perf_counter()
        game(masks, which, of)
        best = min(best, time.perf_counter() - begin)
    total = cost(method, game, evaluations) * game.n
    return Plan(method, game.d, game.n, total, total * best / some if game.n else 0.0)


def for_seconds(explainer: Explainer, game: Game, keys: Sequence[str], seconds: float, seed: int) -> int:
    """Evaluations per row that about fill the time, the pilot's own deducted."""
    if not seconds > 0.0:
        raise DataError(f"seconds={seconds:g} is no time.", where="explain(seconds=...)", mend="give more than zero")
    part, names = _pilot(game, keys)
    begin = time.perf_counter()
    explainer(part, names, evaluations=2, seed=seed)
    spent = time.perf_counter() - begin
    game.evaluations += part.evaluations
    left = max(0.0, seconds - spent) / max(1, game.n)
    return max(2, int(part.evaluations * left / max(spent, 1e-9)))


def for_error(explainer: Explainer, game: Game, keys: Sequence[str], error: float, seed: int) -> int:
    """Evaluations per row with which standard errors are about at most `error`, in the outputs' unit."""
    if not error > 0.0:
        raise DataError(f"error={error:g} can never be met.", where="explain(error=...)", mend="give more than zero")
    part, names = _pilot(game, keys)
    found = explainer(part, names, evaluations=2, seed=seed)
    game.evaluations += part.evaluations
    worst = float(found.error.max()) if part.n else 0.0
    if worst <= error:
        return 2
    return int(min(MOST, part.evaluations / part.n * (MARGIN * worst / error) ** 2))


def _pilot(game: Game, keys: Sequence[str]) -> tuple[Game, list[str]]:
    """A few rows, evenly spread."""
    index = np.unique(np.linspace(0, game.n - 1, min(PILOTS, game.n)).astype(int)) if game.n else np.zeros(0, dtype=int)
    return game.part(torch.from_numpy(index)), [keys[i] for i in index]
