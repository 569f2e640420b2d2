"""Advantages by hand, by the definition in O(T^2), and the difference between an end and a cut."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
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


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.95, 1.0])
def test_returns_are_lambda_returns(lam):
    """(1 - lambda) sum of lambda^(n-1) G^n, the weight of all longer ones on the longest (Sutton & Barto 2018, 12.3):
    G^n adds n rewards and the value of where they led; it is cut where the rollout or the episode ends."""
    g = np.random.default_rng(3)
    T, discount = 9, 0.8
    reward, value, next_value = g.normal(size=(3, T, 1))
    terminated, ended = _flags(0, 0, 0, 1, 0, 0, 0, 0, 0), _flags(0, 0, 0, 1, 0, 0, 1, 0, 0)
    next_value[:-1] = np.where(ended[:-1], next_value[:-1], value[1:])
    _, returns = gae(reward, value, next_value, terminated, ended, discount=discount, gae_lambda=lam)
    for t in range(T):
        end = next((s for s in range(t, T) if ended[s, 0]), T - 1)
        n_step = []
        for last in range(t, end + 1):
            follows = 0.0 if terminated[last, 0] else next_value[last, 0]
            total = sum(discount ** (s - t) * reward[s, 0] for s in range(t, last + 1))
            n_step.append(total + discount ** (last - t + 1) * follows)
        weights = [(1 - lam) * lam**n for n in range(len(n_step) - 1)] + [lam ** (len(n_step) - 1)]
        assert sum(weights) == pytest.approx(1.0)
        assert returns[t, 0] == pytest.approx(np.dot(weights, n_step), abs=1e-12)


def test_equal_to_the_rollout_buffer_of_sb3():
    """Which knows ends only: what is cut off is bootstrapped there by a change of the reward, not of the values."""
    buffers = importlib.import_module("stable_baselines3.common.buffers")
    spaces = importlib.import_module("gymnasium.spaces")
    g = np.random.default_rng(1)
    T, N = 32, 3
    reward, value = g.normal(size=(2, T, N)).astype(np.float32)
    last, terminated = g.normal(size=N).astype(np.float32), g.random((T, N)) < 0.15
    box = spaces.Box(-1, 1, (1,), np.float32)
    theirs = buffers.RolloutBuffer(T, box, box, device="cpu", gae_lambda=0.9, gamma=0.97, n_envs=N)
    theirs.rewards, theirs.values = reward, value
    theirs.episode_starts = np.concatenate([np.zeros((1, N)), terminated[:-1]]).astype(np.float32)
    theirs.compute_returns_and_advantage(torch.from_numpy(last), terminated[-1].astype(np.float32))
    following = np.concatenate([value[1:], last[None]]).astype(np.float64)
    mine = gae(
        reward.astype(np.float64), value.astype(np.float64), following, terminated, terminated,
        discount=0.97, gae_lambda=0.9,
    )  # fmt: skip
    np.testing.assert_allclose(mine[0], theirs.advantages, atol=1e-5)
    np.testing.assert_allclose(mine[1], theirs.returns, atol=1e-5)
