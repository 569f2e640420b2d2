"""Advantages by hand, by the definition in O(T^2), and the difference between an end and a cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.rl.advantages import gae


def _column(*values: float) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


def _flags(*values: int) -> np.ndarray:
    return np.asarray(values, dtype=np.bool_)[:, None]


def test_by_hand():
    """gamma 0.5, lambda 0.5, values 1, 2, 3 and 4 after the last step; rewards 1, 0, 2."""
    advantage, returns = gae(
        _column(1, 0, 2), _column(1, 2, 3), _column(2, 3, 4), _flags(0, 0, 0), _flags(0, 0, 0),
        discount=0.5, gae_lambda=0.5,
    )  # fmt: skip
    # deltas: 1 + 1 - 1 = 1; 0 + 1.5 - 2 = -0.5; 2 + 2 - 3 = 1
    np.testing.assert_allclose(advantage[:, 0], [1 - 0.125 + 0.0625, -0.5 + 0.25, 1.0])
    np.testing.assert_allclose(returns, advantage + _column(1, 2, 3))


def test_an_end_by_the_rules_is_worth_nothing_and_a_cut_is_bootstrapped():
    """Step 1 ends the episode; its true last observation is worth 10, the next episode begins at 2."""
    options = {"discount": 0.5, "gae_lambda": 1.0}
    reward, value = _column(1, 1, 1), _column(0, 0, 2)
    next_value = _column(0, 10, 4)
    ended, _ = gae(reward, value, next_value, _flags(0, 1, 0), _flags(0, 1, 0), **options)
    cut, _ = gae(reward, value, next_value, _flags(0, 0, 0), _flags(0, 1, 0), **options)
    np.testing.assert_allclose(ended[:, 0], [1 + 0.5 * 1, 1, 1 + 2 - 2])
    np.testing.assert_allclose(cut[:, 0], [1 + 0.5 * (1 + 5), 1 + 5, 1 + 2 - 2])


def brute_force(reward, value, next_value, terminated, ended, discount, gae_lambda):
    """A_t = sum over l of (gamma lambda)^l delta_{t+l}, up to the end of t's episode."""
    T, N = reward.shape
    advantage = np.zeros((T, N))
    for i in range(N):
        for t in range(T):
            for s in range(t, T):
                follows = 0.0 if terminated[s, i] else next_value[s, i]
                delta = reward[s, i] + discount * follows - value[s, i]
                advantage[t, i] += (discount * gae_lambda) ** (s - t) * delta
                if ended[s, i]:
                    break
    return advantage


@given(
    seed=st.integers(0, 10_000),
    T=st.integers(1, 12),
    N=st.integers(1, 3),
    discount=st.floats(0, 1),
    lam=st.floats(0, 1),
)
def test_the_definition(seed, T, N, discount, lam):
    g = np.random.default_rng(seed)
    reward, value, next_value = g.normal(size=(3, T, N))
    terminated = g.random((T, N)) < 0.2
    ended = terminated | (g.random((T, N)) < 0.2)
    advantage, returns = gae(reward, value, next_value, terminated, ended, discount=discount, gae_lambda=lam)
    expected = brute_force(reward, value, next_value, terminated, ended, discount, lam)
    np.testing.assert_allclose(advantage, expected, atol=1e-10)
    np.testing.assert_allclose(returns, expected + value, atol=1e-10)


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_the_ends_of_lambda(lam):
    """0: one-step differences; 1: discounted returns less the value, whatever the values in between."""
    g = np.random.default_rng(0)
    reward = g.normal(size=(6, 1))
    value = np.r_[g.normal(size=(7, 1))]
    none = np.zeros((6, 1), dtype=np.bool_)
    advantage, returns = gae(reward, value[:-1], value[1:], none, none, discount=0.9, gae_lambda=lam)
    if lam == 0.0:
        np.testing.assert_allclose(advantage, reward + 0.9 * value[1:] - value[:-1])
    else:
        for t in range(6):
            G = sum(0.9**k * reward[t + k, 0] for k in range(6 - t)) + 0.9 ** (6 - t) * value[6, 0]
            assert returns[t, 0] == pytest.approx(G)
