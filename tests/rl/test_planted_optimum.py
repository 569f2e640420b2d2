"""The planted market's optimum: closed forms, the published table, other ways to the same numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from pellucid.core.errors import SpecError
from pellucid.core.random import stream
from pellucid.envs.planted_trading import Market, simulate
from pellucid.rl.planted_optimum import (
    band_worth,
    optimum,
    regimes_optimum,
    slope_of_value,
    worth,
    worth_in_band,
)

CELLS = [(0.0, 1.0), (0.9, 1.0), (0.95, 1.0), (0.95, 2.0), (0.99, 5.0)]


def pdf(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def band(edge: float):
    def choose(x, held):
        target = np.where(x >= edge, 1, np.where(x <= -edge, -1, int(held)))
        return np.eye(3)[target + 1]

    return choose


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.95, 0.999])
@pytest.mark.parametrize("s", [1.0, 0.01])
def test_without_costs_one_follows_the_sign(phi: float, s: float) -> None:
    found = optimum(phi, 0.0, s=s)
    assert found.threshold == 0
    assert found.reward == pytest.approx(s * math.sqrt(2 / math.pi), rel=1e-10)


@pytest.mark.parametrize(("cost", "s"), [(0.1, 1.0), (1.0, 1.0), (2.5, 1.0), (1.0, 3.0)])
def test_without_memory_one_trades_what_pays_at_once(cost: float, s: float) -> None:
    found = optimum(0.0, cost, s=s)
    assert found.threshold == pytest.approx(cost, rel=1e-10)
    closed = 2 * (s * pdf(cost / s) - cost * (1 - ndtr(cost / s)))
    assert found.reward == pytest.approx(closed, rel=1e-9)


@pytest.mark.parametrize(("phi", "cost"), CELLS)
def test_the_rule_of_the_sign(phi: float, cost: float) -> None:
    closed = math.sqrt(2 / math.pi) - 2 * cost * math.acos(phi) / math.pi
    assert band_worth(phi, cost, 0.0).reward == pytest.approx(closed, abs=1e-10)


@pytest.mark.parametrize(
    ("phi", "cost", "within"), [(0.95, 1, 0.083), (0.99, 1, 0.025), (0.99, 5, 0.03), (0.999, 5, 0.01)]
)
def test_small_noise(phi: float, cost: float, within: float) -> None:
    tau = math.sqrt(1 - phi * phi)
    asymptotic = (1.5 * cost * tau**2) ** (1 / 3) - 0.583 * tau
    assert optimum(phi, cost).threshold == pytest.approx(asymptotic, rel=within)


@pytest.mark.parametrize(
    ("phi", "cost", "edge", "g", "cost_rule", "flips"),
    [
        (0.0, 1, 1.0, 0.1666, 0.1666, 0.159),
        (0.9, 1, 0.4365, 0.6402, 0.5586, 0.055),
        (0.95, 1, 0.3611, 0.6959, 0.5978, 0.036),  # the source has .036 for .0355
        (0.95, 2, 0.5096, 0.6346, 0.2632, 0.027),
        (0.99, 5, 0.4599, 0.6906, 0.000, 0.007),
    ],
)
def test_the_table(phi: float, cost: float, edge: float, g: float, cost_rule: float, flips: float) -> None:
    """From a simulation of 4 million steps, within 0.65 %; lambda from a grid."""
    found = optimum(phi, cost)
    assert found.threshold == pytest.approx(edge, abs=6e-5)
    assert found.reward == pytest.approx(g, rel=6.5e-3)
    assert found.flips == pytest.approx(flips, abs=6e-4)
    assert band_worth(phi, cost, cost).reward == pytest.approx(cost_rule, abs=1e-3)


@pytest.mark.parametrize(("phi", "cost"), CELLS)
def test_m_solves_its_equation(phi: float, cost: float) -> None:
    """By Gauss-Hermite quadrature, which knows nothing of the band; gamma 1 and less."""
    z, w = np.polynomial.hermite_e.hermegauss(150)
    w = w / w.sum()
    for gamma in (1.0, 0.9):
        edge, m = slope_of_value(phi, cost, gamma=gamma)
        x = np.linspace(-3, 3, 25)
        following = phi * x[:, None] + math.sqrt(1 - phi * phi) * z
        right = x + gamma * np.clip(m(following.ravel()).reshape(following.shape), -cost, cost) @ w
        assert np.abs(m(x) - right).max() < 5e-3 * cost  # the kinks of clip limit Gauss-Hermite
        assert m(edge)[0] == pytest.approx(cost, abs=1e-10)


def test_m_agrees_with_iteration_on_a_grid() -> None:
    """Value iteration for m with exact Gaussian integration of the piecewise linear interpolant: 1e-6."""
    phi, cost, tau = 0.95, 1.0, math.sqrt(1 - 0.95**2)
    edge, m = slope_of_value(phi, cost)
    y = np.concatenate([[-9.0], np.linspace(-edge, edge, 801), [9.0]])
    values = np.clip(m(y), -cost, cost)
    x = np.array([-0.9, -0.2, 0.1, 0.3611, 1.4])
    left, right = (y[:-1] - phi * x[:, None]) / tau, (y[1:] - phi * x[:, None]) / tau
    mass = ndtr(right) - ndtr(left)
    density = lambda z: np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)  # noqa: E731
    first = phi * x[:, None] * mass - tau * (density(right) - density(left))  # integral of y over each piece
    slope = np.diff(values) / np.diff(y)
    integral = (values[:-1] - slope * y[:-1]) * mass + slope * first
    assert np.abs(m(x) - (x + integral.sum(1))).max() < 1e-6


@pytest.mark.parametrize(("phi", "cost"), CELLS)
def test_no_other_band_is_better(phi: float, cost: float) -> None:
    found = optimum(phi, cost)
    for factor in (0.98, 1.02):
        assert band_worth(phi, cost, factor * found.threshold).reward < found.reward
    assert optimum(phi, cost, gamma=0.9).reward <= found.reward + 1e-12


@pytest.mark.parametrize(("phi", "cost"), CELLS)
def test_any_policy_is_evaluated_as_exactly_as_a_band(phi: float, cost: float) -> None:
    found = optimum(phi, cost)
    assert worth(band(found.threshold), phi, cost) == pytest.approx(found.reward, abs=1e-7)
    assert worth(band(0.1), phi, cost) == pytest.approx(band_worth(phi, cost, 0.1).reward, abs=1e-7)


def test_policies_that_do_nothing_or_one_thing_earn_nothing() -> None:
    assert worth(lambda x, held: np.eye(3)[np.full(len(x), 1)], 0.9, 1.0) == pytest.approx(0, abs=1e-6)
    assert worth(lambda x, held: np.eye(3)[np.full(len(x), 2)], 0.9, 1.0) == pytest.approx(0, abs=1e-6)
    assert worth(lambda x, held: np.eye(3)[np.full(len(x), int(held) + 1)], 0.9, 1.0) == pytest.approx(0, abs=1e-6)
    by_lot = worth(lambda x, held: np.full((len(x), 3), 1 / 3), 0.9, 1.0)
    assert by_lot == pytest.approx(-8 / 9, abs=1e-7)  # E|p - q| of two independent positions


def test_a_policy_that_passes_through_nothing() -> None:
    """phi = 0, trade only what pays at once, otherwise out: E|x| beyond the edge, less the moves, by hand."""
    edge, cost = 1.2, 0.3
    tail = float(1 - ndtr(edge))

    def choose(x, held):
        return np.eye(3)[np.where(x >= edge, 2, np.where(x <= -edge, 0, 1))]

    moved = 2 * tail * (1 - 2 * tail) * 2 * 1 + 2 * tail * tail * 2  # in or out, and across
    assert worth(choose, 0.0, cost) == pytest.approx(2 * pdf(edge) - cost * moved, abs=1e-7)


@pytest.mark.parametrize(("phi", "cost"), [(0.0, 1.0), (0.95, 1.0), (0.99, 5.0)])
def test_simulation_agrees(phi: float, cost: float) -> None:
    found = optimum(phi, cost)
    path = simulate(Market("ar1", phi), [stream(3, "monte carlo", i) for i in range(400)], 4000)
    held, total = np.zeros(400), np.zeros(400)
    for x, r in zip(path.signal.T, path.following.T, strict=True):
        target = np.where(x >= found.threshold, 1.0, np.where(x <= -found.threshold, -1.0, held))
        total += target * r - cost * np.abs(target - held)
        held = target
    means = total / 4000
    error = means.std() / math.sqrt(400)
    assert abs(means.mean() - found.reward) < 4 * error + cost / 4000
    assert error < 0.01 * found.reward + 2e-3


def into_band(x, held, edge=0.4, gain=6.0):
    return np.clip(held, np.tanh(gain * (x - edge)), np.tanh(gain * (x + edge)))


@pytest.mark.parametrize(("phi", "cost"), [(0.0, 1.0), (0.95, 1.0), (0.99, 5.0)])
def test_a_soft_band_is_worth_what_it_earns_in_a_simulation(phi: float, cost: float) -> None:
    path = simulate(Market("ar1", phi), [stream(4, "monte carlo", i) for i in range(400)], 4000)
    held, total = np.zeros(400), np.zeros(400)
    for x, r in zip(path.signal.T, path.following.T, strict=True):
        target = into_band(x, held)
        total += target * r - cost * np.abs(target - held)
        held = target
    means, found = total / 4000, worth_in_band(into_band, phi, cost)
    error = means.std() / math.sqrt(400)
    assert abs(means.mean() - found) < 4 * error + cost / 4000
    assert error < 0.01 * found + 2e-3
    assert found < optimum(phi, cost).reward


def test_a_steep_band_is_the_band_and_what_keeps_to_none_is_refused() -> None:
    steep = worth_in_band(lambda x, held: into_band(x, held, gain=1e5), 0.95, 1.0)
    assert steep == pytest.approx(band_worth(0.95, 1.0, 0.4).reward, abs=1e-5)
    with pytest.raises(SpecError, match="does not keep to a band"):
        worth_in_band(lambda x, held: np.full(len(x), 0.5 * held), 0.95, 1.0)


def test_two_regimes() -> None:
    assert regimes_optimum(0.9, 1.0).reward == pytest.approx(0.9)
    assert regimes_optimum(0.0, 2.0).reward == 0  # changing sides costs more than it brings
    assert regimes_optimum(0.0, 2.0).threshold == math.inf


def test_costs_beyond_reach() -> None:
    found = optimum(0.0, 50.0)
    assert found.reward == 0
    assert found.threshold == math.inf


@pytest.mark.parametrize(
    "change", [{"phi": 1.0}, {"phi": -0.1}, {"cost": -1.0}, {"s": 0.0}, {"gamma": 1.1}, {"cost": math.nan}]
)
def test_no_market(change: dict[str, float]) -> None:
    numbers = {"phi": 0.9, "cost": 1.0, "s": 1.0, "gamma": 1.0} | change
    with pytest.raises(SpecError, match="no planted market"):
        optimum(numbers["phi"], numbers["cost"], s=numbers["s"], gamma=numbers["gamma"])
