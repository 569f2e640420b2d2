"""Conformal sets and intervals hold what they promise, also on few rows; without the correction they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import softmax

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence import conformal as c

SETS, N, TESTED = 200, 500, 500


def test_the_threshold_is_an_order_statistic() -> None:
    scores = np.arange(1.0, 100.0)[::-1]  # 99 of them: (99 + 1) * 0.9 is the 90th
    assert c.threshold(scores, 0.9) == 90.0
    assert c.threshold(np.arange(1.0, 9.0), 0.9) == math.inf  # 8 rows cannot promise 90 %
    assert c.threshold(np.arange(1.0, 10.0), 0.9) == 9.0
    with pytest.raises(DataError):
        c.threshold(scores, 1.0)


def _classes(g: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities of a program that is too sure of itself."""
    z = g.normal(size=(n, 5))
    return (z + g.gumbel(size=z.shape)).argmax(1), softmax(3 * z, axis=1)


@pytest.mark.parametrize("kind", ["lac", "aps"])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_sets_cover_within_a_point_over_200_simulated_sets(kind: str, level: float) -> None:
    """500 calibration and 500 test rows each, of a program that is badly calibrated."""
    found = []
    for seed in range(SETS):
        g = stream(seed, f"sets/{kind}")
        codes, chance = _classes(g, N + TESTED)
        u, fit, new = g.random(N + TESTED), slice(None, N), slice(N, None)
        if kind == "lac":
            most = c.threshold(c.lac_scores(codes[fit], chance[fit]), level)
            inside = c.lac_sets(chance[new], most)
        else:
            most = c.threshold(c.aps_scores(codes[fit], chance[fit], u[fit]), level)
            inside = c.aps_sets(chance[new], most, u[new])
        found.append(inside[np.arange(TESTED), codes[new]].mean())
    assert abs(np.mean(found) - level) < 0.01


@pytest.mark.parametrize("kind", ["residual", "quantile"])
def test_intervals_cover_within_a_point_over_200_simulated_sets(kind: str) -> None:
    found = []
    for seed in range(SETS):
        g = stream(seed, f"intervals/{kind}")
        x = g.normal(size=N + TESTED)
        y = x + (0.5 + np.abs(x)) * g.standard_t(3, size=len(x))  # heavy tails, and more noise farther out
        low, high = (x, x) if kind == "residual" else (x - 0.5 - np.abs(x), x + 0.5 + np.abs(x))
        most = c.threshold(c.quantile_scores(y[:N], low[:N], high[:N]), 0.9)
        bottom, top = c.interval(low[N:], high[N:], most)
        found.append(((bottom <= y[N:]) & (y[N:] <= top)).mean())
    assert abs(np.mean(found) - 0.9) < 0.01


def test_small_sets_need_the_correction() -> None:
    """Of 19 rows: with n + 1 the promise holds, the plain 90 % quantile misses it by more than a point."""
    right, plain = [], []
    for seed in range(4000):
        g = stream(seed, "small")
        scores, new = g.exponential(size=19), g.exponential(size=50)
        right.append((new <= c.threshold(scores, 0.9)).mean())
        plain.append((new <= np.quantile(scores, 0.9)).mean())
    assert abs(np.mean(right) - 0.9) < 0.01
    assert np.mean(plain) < 0.88


def test_aps_scores_by_hand() -> None:
    chance = np.array([[0.5, 0.3, 0.2]])
    assert c.aps_scores(np.array([1]), chance, np.array([0.0]))[0] == pytest.approx(0.8)
    assert c.aps_scores(np.array([1]), chance, np.array([1.0]))[0] == pytest.approx(0.5)
    assert c.aps_sets(chance, 0.8, np.array([0.0])).tolist() == [[True, True, False]]
    assert c.lac_sets(chance, 0.75).tolist() == [[True, True, False]]
