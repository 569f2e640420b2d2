"""The exact optimum of the planted market with proportional costs, and the exact worth of any policy on it.

The signal x is a Gaussian AR(1) with standard deviation s and autocorrelation phi; a position |p| <= 1 that is chosen
at x earns x on average, and changing it costs c per unit. The value is linear in the position; its slope before the
trade is clip(m(x), -c, c), where m, the worth of one unit held, solves

    m(x) = x + gamma E[clip(m(x'), -c, c)].

Long where m(x) >= c, short where m(x) <= -c, otherwise hold: the band is |x| < lambda with m(lambda) = c (the same
structure as in de Lataillade, Deremble, Potters & Bouchaud 2012, arXiv:1203.5957).

Outside the band clip(m) is known, so for a given lambda this is a linear Fredholm equation on [-lambda, lambda] with a
Gaussian kernel. It is solved by Nystrom's method on Gauss-Legendre nodes, whose error falls exponentially in their
number; lambda is the root of m(lambda) - c. At gamma = 1 the average reward g* needs the mean position at x. The
stationary chain is reversible, so that one solves an equation with the same kernel.

Policies that were learned are evaluated in the same way (`program_worth`): exactly, not by simulation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from pellucid.core.errors import SpecError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.task import Task

Floats = npt.NDArray[np.float64]
Choose = Callable[[Floats, float], Floats]  # (signals (n,), position held) -> probability of each position (n, 3)

POSITIONS = (-1.0, 0.0, 1.0)
TAIL = 8.0  # standard deviations; what lies beyond has probability 1e-15
PANEL = 8  # nodes a panel
LEVELS = 16  # nodes over the levels of a position
FLAT_AGAIN = 1e-9  # a step's chance to start again without a position: a policy that never moves stays where it began


@dataclass(frozen=True)
class Optimum:
    """The best that can be done.

    Args:
        threshold: lambda; the position changes only where |x| reaches it. Infinite: never trade.
        reward: g*, the average reward of a step in the long run.
        flips: changes of position from one side to the other, per step.
    """

    threshold: float
    reward: float
    flips: float


def _pdf(z: Any) -> Any:
    return np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)


def _check(phi: float, cost: float, s: float, gamma: float) -> None:
    if not (0.0 <= phi < 1.0 and cost >= 0.0 and s > 0.0 and 0.0 <= gamma <= 1.0 and math.isfinite(cost + s)):
        raise SpecError(
            f"phi={phi}, cost={cost}, s={s}, gamma={gamma} describe no planted market.",
            where="the optimum of a planted market",
            mend="0 <= phi < 1, cost >= 0, s > 0, 0 <= gamma <= 1",
        )


class Signal:
    """x' = phi x + s sqrt(1 - phi^2) eta, and what is known beside it.

    Args:
        phi: autocorrelation, in [0, 1).
        s: stationary standard deviation.
    """

    def __init__(self, phi: float, s: float = 1.0) -> None:
        self.phi, self.s, self.tau = phi, s, s * math.sqrt(1.0 - phi * phi)

    def density(self, x: Floats) -> Floats:
        """Of the stationary distribution."""
        found: Floats = _pdf(x / self.s) / self.s
        return found

    def kernel(self, x: Floats, y: Floats) -> Floats:
        """Density of x' = y after x, shape (len(x), len(y)); also of the step before (the chain is reversible)."""
        found: Floats = _pdf((y[None, :] - self.phi * x[:, None]) / self.tau) / self.tau
        return found

    def above(self, x: Floats, edge: float) -> Floats:
        """P(x' > edge)."""
        found: Floats = ndtr((self.phi * x - edge) / self.tau)
        return found

    def outside(self, x: Floats, edge: float) -> Floats:
        """P(x' > edge) - P(x' < -edge)."""
        return self.above(x, edge) - self.above(-x, edge)

    def nodes(self, a: float, b: float) -> tuple[Floats, Floats]:
        """Gauss-Legendre nodes and weights, in panels not wider than the kernel."""
        count = max(4, math.ceil((b - a) / self.tau))
        z, w = np.polynomial.legendre.leggauss(PANEL)
        edges = np.linspace(a, b, count + 1)
        half = 0.5 * np.diff(edges)[:, None]
        middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
        return (middle + half * z).ravel(), (half * w).ravel()


class Band:
    """Functions f(x) = source(x) + gamma E[f(x') inside the band, +-edge_value outside], at any x.

    Args:
        signal: the chain.
        edge: the band is |x| < edge.
    """

    def __init__(self, signal: Signal, edge: float, gamma: float, slope: float, beyond: float) -> None:
        self.signal, self.edge, self.gamma, self.slope, self.beyond = signal, edge, gamma, slope, beyond
        self.y, self.w = signal.nodes(-edge, edge)
        inner = np.eye(len(self.y)) - gamma * signal.kernel(self.y, self.y) * self.w
        self.values = np.asarray(np.linalg.solve(inner, self._known(self.y)), dtype=np.float64)

    def _known(self, x: Floats) -> Floats:
        return self.slope * x + self.gamma * self.beyond * self.signal.outside(x, self.edge)

    def __call__(self, x: npt.ArrayLike) -> Floats:
        """Nystrom's interpolation: as accurate everywhere as at the nodes."""
        at = np.atleast_1d(np.asarray(x, dtype=np.float64))
        return self._known(at) + self.gamma * self.signal.kernel(at, self.y) @ (self.w * self.values)


def slope_of_value(
    phi: float, cost: float, *, s: float = 1.0, gamma: float = 1.0
) -> tuple[float, Callable[..., Floats]]:
    """(lambda, m): the edge of the band and the worth of one unit held at x."""
    _check(phi, cost, s, gamma)
    signal = Signal(phi, s)
    if cost == 0.0:
        return 0.0, lambda x: np.atleast_1d(np.asarray(x, dtype=np.float64))

    def gap(edge: float) -> float:
        return float(Band(signal, edge, gamma, 1.0, cost)(edge)[0]) - cost

    # m(x) >= x for x > 0, so lambda <= cost; at phi = 0 it is the cost itself.
    edge = cost if phi == 0.0 else float(brentq(gap, 1e-12 * cost, cost * (1.0 + 1e-12), xtol=1e-14, rtol=1e-14))
    return edge, Band(signal, edge, gamma, 1.0, cost)


def optimum(phi: float, cost: float, *, s: float = 1.0, gamma: float = 1.0) -> Optimum:
    """The best policy under discount `gamma` and what it earns a step in the long run.

    Args:
        phi: autocorrelation of the signal, in [0, 1).
        cost: per unit of position changed.
        s: standard deviation of the signal.
        gamma: discount; 1 gives g*, less gives the average reward of the policy that is best under it.
    Raises:
        SpecError: numbers that describe no market.
    """
    edge, _ = slope_of_value(phi, cost, s=s, gamma=gamma)
    return band_worth(phi, cost, edge, s=s)


def band_worth(phi: float, cost: float, edge: float, *, s: float = 1.0) -> Optimum:
    """What "long above edge, short below -edge, hold between" earns a step. edge 0 is the rule of the sign."""
    _check(phi, cost, s, 1.0)
    signal = Signal(phi, s)
    if edge >= TAIL * s:
        return Optimum(math.inf, 0.0, 0.0)
    gain, x, w = 2.0 * s * float(_pdf(edge / s)), *signal.nodes(edge, TAIL * s)
    if edge > 0.0:
        mean = Band(signal, edge, 1.0, 0.0, 1.0)  # E[position | x] after the trade; +-1 beyond the band
        gain += float(np.sum(mean.w * signal.density(mean.y) * mean.y * mean.values))
        before = mean(x)
    else:
        before = signal.outside(x, 0.0)
    # A flip to the long side: x beyond the edge, the position before it short. As many go the other way.
    flips = float(np.sum(w * signal.density(x) * (1.0 - before)))
    return Optimum(edge, gain - 2.0 * cost * flips, flips)


def regimes_optimum(phi: float, cost: float, *, s: float = 1.0) -> Optimum:
    """The same for a signal of two values +-s that changes with probability (1 - phi) / 2 a step."""
    _check(phi, cost, s, 1.0)
    flips = 0.5 * (1.0 - phi)
    reward = s - 2.0 * cost * flips
    return Optimum(s, reward, flips) if reward > 0.0 else Optimum(math.inf, 0.0, 0.0)


def worth(choose: Choose, phi: float, cost: float, *, s: float = 1.0) -> float:
    """Average reward of a step, exactly, of a policy over the positions -1, 0, +1.

    The policy may be deterministic (rows of zeros and ones) or not. Where it changes along x is found by bisection, so
    that quadrature panels end there. The joint distribution of signal and position solves a linear system.

    Args:
        choose: (signals (n,), position held) -> probability of the next position being -1, 0, +1, shape (n, 3).
    """
    _check(phi, cost, s, 1.0)
    signal = Signal(phi, s)
    x, w = _panels(signal, choose)
    moves = np.stack([choose(x, p) for p in POSITIONS])  # (held, n, next)
    step = signal.kernel(x, x) * w  # E[f(x') | x] at the nodes
    step /= step.sum(1, keepdims=True)
    n, keep = len(x), 1.0 - FLAT_AGAIN
    system, right = np.eye(2 * n), np.zeros(2 * n)
    for a, new in enumerate((0, 2)):  # P(short | x), P(long | x) after the trade
        rows = slice(a * n, (a + 1) * n)
        right[rows] = moves[1, :, new]
        for b, old in enumerate((0, 2)):
            system[rows, b * n : (b + 1) * n] -= keep * (moves[old, :, new] - moves[1, :, new])[:, None] * step
    short, long = np.linalg.solve(system, right).reshape(2, n)
    weight = w * signal.density(x)
    weight /= weight.sum()
    before = np.stack([keep * step @ short, 1.0 - keep * step @ (short + long), keep * step @ long])
    traded = sum(
        before[i] * sum(abs(q - p) * moves[i, :, j] for j, q in enumerate(POSITIONS)) for i, p in enumerate(POSITIONS)
    )
    return float(np.sum(weight * ((long - short) * x - cost * traded)))


def _panels(signal: Signal, choose: Choose) -> tuple[Floats, Floats]:
    """Nodes and weights over all x, in panels that end where the policy changes its mind."""
    far, grid = TAIL * signal.s, np.linspace(-TAIL, TAIL, 1601) * signal.s
    breaks: set[float] = {-far, far}
    for held in POSITIONS:
        best = choose(grid, held).argmax(1)
        for i in np.flatnonzero(np.diff(best)):
            a, b = float(grid[i]), float(grid[i + 1])
            for _ in range(40):
                middle = 0.5 * (a + b)
                if int(choose(np.array([middle]), held).argmax(1)[0]) == best[i]:
                    a = middle
                else:
                    b = middle
            breaks.add(0.5 * (a + b))
    edges = sorted(breaks)
    widest = 2.0 * signal.tau
    parts = []
    z, w = np.polynomial.legendre.leggauss(PANEL)
    for low, high in itertools.pairwise(edges):
        cuts = np.linspace(low, high, max(1, math.ceil((high - low) / widest)) + 1)
        half, centre = 0.5 * np.diff(cuts)[:, None], 0.5 * (cuts[1:] + cuts[:-1])[:, None]
        parts.append(((centre + half * z).ravel(), (half * w).ravel()))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def worth_in_band(move: Callable[[Floats, float], Floats], phi: float, cost: float, *, s: float = 1.0) -> float:
    """The same for any position in [-1, 1], of a policy that moves what is held into a band, no further than needed.

    Whether the position lies above a level u is then itself a policy of two positions: up where the band's lower edge
    is above u, down where its upper edge is below. Rewards and costs are the mean over all levels of [-1, 1].

    Args:
        move: (signals (n,), position held) -> the next position (n,).
    Raises:
        SpecError: the policy is not of this form.
    """
    grid = np.linspace(-TAIL, TAIL, 401) * s
    low, high = move(grid, -1.0), move(grid, 1.0)
    off = max(float(np.abs(move(grid, held) - np.clip(held, low, high)).max()) for held in (-0.7, -0.1, 0.4))
    if off > 1e-5:
        raise SpecError(
            f"the policy does not keep to a band (off by {off:.2g}).",
            where="worth_in_band",
            mend="simulate it, or let it choose among -1, 0, +1 and use `worth`",
        )
    # Levels near -1 and +1 lie far out on soft edges: nodes are denser there (u = sin of an angle).
    angle, weights = np.polynomial.legendre.leggauss(LEVELS)
    levels, shares = np.sin(0.5 * np.pi * angle), 0.25 * np.pi * np.cos(0.5 * np.pi * angle) * weights
    total = 0.0
    for level, share in zip(levels, shares / shares.sum(), strict=True):

        def choose(x: Floats, held: float, level: float = float(level)) -> Floats:
            kept = np.full(len(x), round(held) + 1)
            best = np.where(move(x, -1.0) > level, 2, np.where(move(x, 1.0) < level, 0, kept))
            return np.eye(len(POSITIONS))[best]

        total += float(share) * worth(choose, phi, cost, s=s)
    return total


def program_worth(program: Program, task: Task, phi: float, cost: float, *, s: float = 1.0) -> float:
    """Average reward of a step, exactly, of a program that reads `x` and `position` and acts greedily."""

    def outputs(x: Floats, held: float) -> Floats:
        fields = {"x": x[:, None].astype(np.float32), "position": np.full((len(x), 1), held, dtype=np.float32)}
        return np.asarray(program(program.encode(Rows(np.full(len(x), ""), fields)), task.name), dtype=np.float64)

    def choose(x: Floats, held: float) -> Floats:
        found: Floats = np.eye(len(POSITIONS))[outputs(x, held)[:, : len(POSITIONS)].argmax(1)]
        return found

    if task.options["space"] == "discrete":
        return worth(choose, phi, cost, s=s)
    return worth_in_band(lambda x, held: outputs(x, held)[:, 0], phi, cost, s=s)
