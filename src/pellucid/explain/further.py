"""Further ways to be as wanted, where one search gave too few: what was found is forbidden, one change at a time.

A way that is not an earlier one with more added lacks at least one of its changes: so it lies in one of the spaces in
which one of these is forbidden. Of each of those the cheapest answer is forbidden in turn, until there are
enough or no space is left: a hitting-set tree (Reiter 1987; for the k best in order of cost Lawler 1972).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pellucid.explain.columns import Array
from pellucid.explain.search import cost
from pellucid.explain.space import Space

Search = Callable[[Space], Array]  # rows as wanted that a space holds, (m, c)
Forbidden = frozenset[tuple[int, int]]  # (unit, how it may not change)

SPACES = 24  # that are searched at most


def further(space: Space, x: Array, search: Search, n: int) -> Array:
    """Rows as wanted near x by n ways where there are as many to be found, else by as many as there are, (m, c).

    Args:
        search: gives what it finds in a space; a space in which a change is forbidden has the same units.
    """
    found = search(space)
    waiting: list[tuple[float, int, Forbidden]] = []
    seen: set[Forbidden] = {frozenset()}
    _divide(space, x, found, frozenset(), waiting, seen)
    for _ in range(SPACES):
        if not waiting or len(np.unique(space.ways(found, x), axis=0)) >= n:
            break
        _, _, forbidden = heapq.heappop(waiting)
        narrower = space
        for unit, way in forbidden:
            narrower = narrower.without(unit, way)
        more = search(narrower)
        _divide(space, x, more, forbidden, waiting, seen)
        found = np.concatenate([found, more])
    return found


def _divide(
    space: Space,
    x: Array,
    found: Array,
    forbidden: Forbidden,
    waiting: list[tuple[float, int, Forbidden]],
    seen: set[Forbidden],
) -> None:
    """Put the spaces in which one change of the cheapest answer is forbidden as well on the heap, cheapest first."""
    if not len(found):
        return
    price = cost(space, found, x)
    best = found[int(price.argmin())][None]
    ways: npt.NDArray[np.int64] = space.ways(best, x)[0]
    parts = space.costs(best, x)[0]
    for unit in sorted(np.flatnonzero(ways), key=lambda u: -parts[u]):
        now = forbidden | {(int(unit), int(ways[unit]))}
        if now not in seen:
            seen.add(now)
            heapq.heappush(waiting, (float(price.min()), len(seen), now))
