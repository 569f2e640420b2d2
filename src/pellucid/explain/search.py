"""The search for counterfactuals: by single changes and sets of them, and from real rows of the wanted kind back.

Two ways, because either alone fails where the other does well: a beam over changed units, fewest first, finds the
sparse ones; the nearest real rows that already are as wanted, made more and more like the row, are found where no
single change helps. What either finds is drawn towards the row until it would fail (in the spirit of growing spheres,
Laugel et al. 2018, and of the nearest unlike neighbour, Keane & Smyth 2020).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pellucid.explain.columns import Array
from pellucid.explain.space import Space

Margin = Callable[[Array], Array]  # rows (m, c) -> how far within the wish, (m,)
Mask = npt.NDArray[np.bool_]

BEAM = 8
DEPTH = 8  # changes at which the beam gives up
COARSE = 6  # values of a unit from the second change on
TOP_UNITS = 40  # that the beam goes on with
KEPT = 24  # candidates that are drawn towards the row
DONORS = 8
GRID = 8  # steps of a line search, twice
ROUNDS = 12
SPARSE = 1.0  # cost of one more change, beside that of its size
GUESSES = 4096
MERGED = 12  # changes up to which pairs of them are tried


def find(space: Space, x: Array, margin: Margin, donors: Array, n: int, generator: np.random.Generator) -> Array:
    """Rows as wanted, near x, shape (m, c); none where there are none to be found.

    Args:
        x: the row, shape (c,).
        margin: reached from 0 on.
        donors: real rows that are as wanted, nearest first.
        n: answers that are needed.
    """
    most = space.limits.most_changes or len(space.units)
    found = [beam(space, x, margin, most, n)]
    real = space.project(donors[:DONORS], x)
    found.append(_fewer(space, reverted(space, x, margin, real[margin(real) >= 0]), x, most))
    together = np.concatenate(found)
    if not len(together):
        guesses = _guesses(space, x, generator, most)
        reached = margin(guesses)
        together = guesses[reached >= 0]
        if not len(together):
            best = guesses[np.argsort(-reached, kind="stable")[:BEAM]]
            together = _fewer(space, climbed(space, x, margin, best), x, most)
    near = drawn(space, x, margin, _shortlist(space, x, together))
    return drawn(space, x, margin, merged(space, x, margin, near))


def cost(space: Space, rows: Array, x: Array) -> Array:
    """What an answer costs: its distance and its number of changes, shape (m,)."""
    parts = space.costs(rows, x)
    return np.asarray(parts.sum(1) + SPARSE * (parts > 0).sum(1), dtype=np.float64)


def beam(space: Space, x: Array, margin: Margin, most: int, n: int = 1) -> Array:
    """Rows as wanted by one change, two changes, ...: until one more than was enough, and enough ways."""
    choices = space.choices(x)
    frontier, found = x[None], np.empty((0, len(x)))
    usable = np.arange(len(space.units))
    first = 0
    for depth in range(1, min(most, DEPTH) + 1):
        if depth == 2:
            choices = [
                values[np.linspace(0, len(values) - 1, min(len(values), COARSE)).astype(int)] for values in choices
            ]
        grown = _grown(space, x, frontier, choices, usable)
        if not len(grown):
            break
        reached = margin(grown)
        found = np.concatenate([found, grown[reached >= 0]])
        if first and depth > first and len(np.unique(space.ways(found, x), axis=0)) >= 2 * n:
            break
        first = first or (depth if len(found) else 0)
        short, lacking = grown[reached < 0], reached[reached < 0]
        if not len(short):
            break
        if depth == 1 and len(usable) > TOP_UNITS:
            usable = _best_units(space, x, short, lacking)
        frontier = _frontier(space, x, short, lacking)
    return found


def _grown(space: Space, x: Array, frontier: Array, choices: list[Array], usable: npt.NDArray[np.int64]) -> Array:
    """Every row of the frontier with one more unit changed."""
    found = []
    for row in frontier:
        for i in usable:
            unit, values = space.units[i], choices[i]
            if len(values) and not (row[unit.columns] != x[unit.columns]).any():
                changed = np.repeat(row[None], len(values), axis=0)
                changed[:, unit.columns] = values
                found.append(changed)
    return np.concatenate(found) if found else np.empty((0, len(x)))


def _frontier(space: Space, x: Array, rows: Array, reached: Array) -> Array:
    """The nearest to the goal, and those that gained most for their cost, each set of units once."""
    gain = (reached - reached.min()) / cost(space, rows, x)
    chosen: list[int] = []
    seen: set[bytes] = set()
    sets = space.costs(rows, x) > 0
    for order in (np.argsort(-reached, kind="stable"), np.argsort(-gain, kind="stable")):
        taken = 0
        for i in order:
            key = sets[i].tobytes()
            if key not in seen:
                seen.add(key)
                chosen.append(int(i))
                taken += 1
            if taken == BEAM // 2:
                break
    return rows[chosen]


def _best_units(space: Space, x: Array, rows: Array, reached: Array) -> npt.NDArray[np.int64]:
    changed = (space.costs(rows, x) > 0).argmax(1)
    best = np.full(len(space.units), -np.inf)
    np.maximum.at(best, changed, reached)
    return np.sort(np.argsort(-best, kind="stable")[:TOP_UNITS])


def climbed(space: Space, x: Array, margin: Margin, rows: Array) -> Array:
    """Those of the rows that are as wanted after changes of one unit at a time to the value nearest to the goal."""
    choices, found = space.choices(x), []
    for row in rows:
        now, before = float(margin(row[None])[0]), -np.inf
        while before < now < 0:
            before = now
            for i, unit in enumerate(space.units):
                tried = np.repeat(row[None], len(choices[i]) + 1, axis=0)
                tried[1:, unit.columns] = choices[i]
                reached = margin(tried)
                row, now = tried[reached.argmax()], float(reached.max())
        if now >= 0:
            found.append(row)
    return np.stack(found) if found else rows[:0]


def reverted(space: Space, x: Array, margin: Margin, rows: Array) -> Array:
    """Rows with as many units set back to x as go, the costliest first that leaves them as wanted."""
    rows = rows.copy()
    active = np.arange(len(rows))
    while len(active):
        parts = space.costs(rows[active], x)
        owner, unit = np.nonzero(parts)
        tried = rows[active[owner]]
        for i, u in enumerate(unit):
            at = space.units[u].columns
            tried[i, at] = x[at]
        ok = margin(tried) >= 0 if len(tried) else np.zeros(0, dtype=bool)
        saved = np.where(ok, parts[owner, unit] + SPARSE, 0.0)
        going = []
        for a in range(len(active)):
            mine = np.flatnonzero(owner == a)
            if len(mine) and saved[mine].max() > 0:
                rows[active[a]] = tried[mine[saved[mine].argmax()]]
                going.append(active[a])
        active = np.asarray(going, dtype=np.int64)
    return rows


def drawn(space: Space, x: Array, margin: Margin, rows: Array) -> Array:
    """Rows as wanted drawn towards x, a unit at a time, what saves most first, until nothing is saved."""
    rows = rows.copy()
    active = np.arange(len(rows))
    for _ in range(ROUNDS):
        if not len(active):
            break
        parts = space.costs(rows[active], x)
        owner, unit = np.nonzero(parts)
        start = rows[active[owner]]
        least = _least(space, x, margin, start, unit, np.zeros(len(unit)), np.ones(len(unit)))
        least = _least(space, x, margin, start, unit, np.maximum(0.0, least - 1.0 / GRID), least)
        moved = _between(space, x, start, unit, least[:, None])[:, 0]
        saved = cost(space, start, x) - cost(space, moved, x)
        going = []
        for a in range(len(active)):
            mine = np.flatnonzero(owner == a)
            best = mine[saved[mine].argmax()] if len(mine) else -1
            if best >= 0 and saved[best] > 1e-3 * (parts[a].sum() + SPARSE):
                rows[active[a]] = moved[best]
                going.append(active[a])
        active = np.asarray(going, dtype=np.int64)
    return rows


def merged(space: Space, x: Array, margin: Margin, rows: Array) -> Array:
    """Rows in which one change is taken back and another one goes farther instead, where that is cheaper."""
    rows = rows.copy()
    active = np.arange(len(rows))
    while len(active):
        price = cost(space, rows[active], x)
        tried = [_exchanged(space, x, rows[i]) for i in active]
        owner = np.repeat(np.arange(len(active)), [len(t) for t in tried])
        grown = np.concatenate(tried)
        new = cost(space, grown, x)
        cheaper = np.flatnonzero(new < price[owner] - 1e-9)
        cheaper = cheaper[margin(grown[cheaper]) >= 0]
        going = []
        for a in np.unique(owner[cheaper]):
            mine = cheaper[owner[cheaper] == a]
            rows[active[a]] = grown[mine[new[mine].argmin()]]
            going.append(active[a])
        active = np.asarray(going, dtype=np.int64)
    return rows


def _exchanged(space: Space, x: Array, row: Array) -> Array:
    """The row with each change taken back and each other one of a number grown, up to its bound."""
    low, high = space.bounds(x)
    changed = np.flatnonzero(space.costs(row[None], x)[0])
    found = [row[None][:0]]
    for on in changed if 1 < len(changed) <= MERGED else ():
        if space.units[on].kind != "number":
            continue
        j = int(space.units[on].columns[0])
        end = high[j] if row[j] > x[j] else low[j]
        farther = space.rounded(row[j] + (end - row[j]) * np.arange(1, GRID + 1) / GRID, j)
        for back in changed[changed != on]:
            more = np.repeat(row[None], GRID, axis=0)
            more[:, space.units[back].columns] = x[space.units[back].columns]
            more[:, j] = farther
            found.append(more)
    return np.concatenate(found)


def _least(
    space: Space, x: Array, margin: Margin, rows: Array, unit: npt.NDArray[np.int64], low: Array, high: Array
) -> Array:
    """The least share of each row's change of one unit, between low and high, that leaves it as wanted, shape (m,)."""
    shares = low[:, None] + (high - low)[:, None] * np.arange(GRID) / GRID
    tried = _between(space, x, rows, unit, shares)
    ok = (
        (margin(tried.reshape(-1, tried.shape[-1])) >= 0).reshape(len(rows), GRID) if len(rows) else np.zeros((0, GRID))
    )
    return np.where(ok.any(1), shares[np.arange(len(rows)), ok.argmax(1)], high)


def _between(space: Space, x: Array, rows: Array, unit: npt.NDArray[np.int64], shares: Array) -> Array:
    """Rows with a share of one unit's change, shape (m, shares, c); a category changes wholly or not at all."""
    found = np.repeat(rows[:, None], shares.shape[1], axis=1)
    for u in np.unique(unit):
        mine, at = np.flatnonzero(unit == u), space.units[u].columns
        apart = rows[np.ix_(mine, at)] - x[at]
        share = shares[mine][:, :, None]
        if space.units[u].kind == "category":
            share = (share > 0).astype(np.float64)
        values = x[at] + share * apart[:, None]
        for c, j in enumerate(at):
            whole = share[:, :, 0] == 1.0
            found[mine, :, j] = np.where(whole, rows[mine, j][:, None], space.rounded(values[:, :, c], int(j)))
            found[mine, :, j] = np.where(share[:, :, 0] == 0.0, x[j], found[mine, :, j])
    return found


def _shortlist(space: Space, x: Array, rows: Array) -> Array:
    """The cheapest of each way to change units, then the cheapest of these."""
    if not len(rows):
        return rows
    price = cost(space, rows, x)
    ways = space.ways(rows, x)
    seen: set[bytes] = set()
    chosen = []
    for i in np.argsort(price, kind="stable"):
        key = ways[i].tobytes()
        if key not in seen and ways[i].any():
            seen.add(key)
            chosen.append(i)
        if len(chosen) == KEPT:
            break
    return rows[chosen]


def _fewer(space: Space, rows: Array, x: Array, most: int) -> Array:
    return rows[(space.costs(rows, x) > 0).sum(1) <= most] if len(rows) else rows


def _guesses(space: Space, x: Array, generator: np.random.Generator, most: int) -> Array:
    """Rows with random units changed to random values that are allowed."""
    choices = space.choices(x)
    usable = [i for i, values in enumerate(choices) if len(values)]
    if not usable:
        return np.empty((0, len(x)))
    found = np.repeat(x[None], GUESSES, axis=0)
    share = generator.random(GUESSES)
    for i in usable:
        values = choices[i]
        which = generator.integers(len(values), size=GUESSES)
        chosen = generator.random(GUESSES) < share
        found[np.ix_(chosen, space.units[i].columns)] = values[which[chosen]]
    return _fewer(space, found, x, most)
