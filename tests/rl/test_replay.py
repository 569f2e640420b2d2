"""The replay memory against hand computation, closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.rl.replay import SMALLEST, Replay, SumTree

GAMMA = 0.9


def filled(episodes, *, steps, num_envs=1, capacity=100, dummies=False, exponent=0.0):
    """A memory fed with episodes [(rewards, how they end)], one after the other; an observation is its own number."""
    memory = Replay(capacity, 1, 0, num_envs, discount=GAMMA, steps=steps, exponent=exponent)
    number = 0
    for rewards, end in episodes:
        for t, reward in enumerate(rewards):
            last = t == len(rewards) - 1
            done = [last and end == "terminated"], [last and end == "truncated"]
            add(memory, number, reward, *done)
            number += 1
        number += 1  # the last observation, seen by nobody but the bootstrap
        if dummies:
            add(memory, -1, 0.0, [False], [False], valid=[False])
    return memory


def add(memory, number, reward, terminated, truncated, valid=(True,)):
    n = len(valid)
    obs = np.full((n, 1), float(number), dtype=np.float32)
    flags = (np.asarray(x, dtype=bool) for x in (terminated, truncated, valid))
    memory.add(obs, np.full(n, number), np.full(n, reward), obs + 1.0, *flags)


@pytest.mark.parametrize("dummies", [False, True])
def test_n_step_targets_by_hand(dummies):
    """Three steps: within an episode, over its end (terminal or cut off), and at the newest transition."""
    episodes = [([1.0, 2.0, 3.0, 4.0], "terminated"), ([5.0, 6.0], "truncated"), ([7.0, 8.0], "runs on")]
    memory = filled(episodes, steps=3, dummies=dummies)
    assert memory.size == 8
    reward, last, discount = memory._returns(np.arange(8))
    g = GAMMA
    want = [
        (1 + 2 * g + 3 * g * g, 3, g**3),  # bootstraps from observation 3
        (2 + 3 * g + 4 * g * g, 4, 0.0),  # terminal: no bootstrap
        (3 + 4 * g, 4, 0.0),
        (4, 4, 0.0),
        (5 + 6 * g, 7, g**2),  # cut off: the last observation still counts, two steps ahead
        (6, 7, g),
        (7 + 8 * g, 10, g**2),  # only two are known so far
        (8, 10, g),
    ]
    np.testing.assert_allclose(reward, [w[0] for w in want], rtol=1e-6)
    np.testing.assert_allclose(memory.following_obs[last][:, 0], [w[1] for w in want])
    np.testing.assert_allclose(discount, [w[2] for w in want], rtol=1e-6)


def brute(history, start, steps):
    """(return, last observation, discount) from one environment's own list of transitions."""
    total, factor, last = 0.0, 1.0, 0.0
    for reward, following, terminated, truncated in history[start : start + steps]:
        last = following
        total += factor * reward
        factor *= GAMMA
        if terminated or truncated:
            break
    return total, last, 0.0 if terminated else factor


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 60), st.integers(4, 40), st.integers(0, 2**31), st.booleans()
)
def test_n_step_returns_equal_brute_force(num_envs, steps, length, capacity, seed, dummies):
    """Several environments, any ends, dummy steps after ends, a ring that wraps around."""
    rng = np.random.default_rng(seed)
    memory = Replay(capacity, 1, 0, num_envs, discount=GAMMA, steps=steps)
    histories = [[] for _ in range(num_envs)]
    over = np.zeros(num_envs, dtype=bool)
    order = []  # (environment, position in its history), as remembered
    for t in range(length):
        reward, following = rng.normal(size=num_envs), rng.normal(size=(num_envs, 1)).astype(np.float32)
        terminated, truncated, valid = rng.random(num_envs) < 0.1, rng.random(num_envs) < 0.1, ~over
        action = np.full(num_envs, t)
        memory.add(following, action, reward, following, terminated & valid, truncated & valid, valid)
        for i in np.flatnonzero(valid):
            order.append((i, len(histories[i])))
            histories[i].append((reward[i], following[i, 0], terminated[i], truncated[i]))
        over = (terminated | truncated) & valid if dummies else np.zeros(num_envs, dtype=bool)
    kept = order[-memory.capacity :]
    assert memory.size == len(kept)
    first = (memory.position - memory.size) % memory.capacity
    reward, last, discount = memory._returns((first + np.arange(memory.size)) % memory.capacity)
    want = np.array([brute(histories[i], start, steps) for i, start in kept])
    np.testing.assert_allclose(reward, want[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(memory.following_obs[last][:, 0], want[:, 1])
    np.testing.assert_allclose(discount, want[:, 2], rtol=1e-5)


def test_a_reset_breaks_the_chain():
    memory = Replay(10, 1, 0, 1, discount=GAMMA, steps=3)
    add(memory, 0, 1.0, [False], [False])
    memory.begin_anew()
    add(memory, 5, 10.0, [False], [False])
    assert memory._returns(np.array([0]))[0] == [1.0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(0, 2**31))
def test_sum_tree_equals_brute_force(capacity, seed):
    rng = np.random.default_rng(seed)
    tree, leaves = SumTree(capacity), np.zeros(capacity)
    for _ in range(5):
        index = rng.integers(capacity, size=rng.integers(1, 20))
        value = rng.random(len(index)) * (rng.random(len(index)) < 0.7)
        tree.set(index, value)
        for i, v in zip(index, value, strict=True):  # one by one: the last of equal positions counts
            leaves[i] = v
    assert tree.total == pytest.approx(leaves.sum(), abs=1e-12)
    if leaves.sum() == 0.0:
        return
    point = rng.random(200) * leaves.sum()
    found = tree.find(point)
    assert (leaves[found] > 0.0).all()
    ends = leaves.cumsum()
    np.testing.assert_array_less(ends[found] - leaves[found] - 1e-9, point)
    np.testing.assert_array_less(point, ends[found] + 1e-9)


def test_a_point_on_the_edge_finds_no_empty_leaf():
    tree = SumTree(4)
    tree.set(np.array([0, 1]), np.array([0.1, 0.2]))
    edge = np.array([tree.total, np.nextafter(tree.total, 9.0), 0.1])
    np.testing.assert_array_equal(tree.find(edge), [1, 1, 1])


def test_importance_weights_in_closed_form():
    """w_i = (N P(i))^-β / max w, P(i) = p_i^α / Σ p^α, with p_i = |error| + a small constant."""
    memory = filled([([0.0] * 4, "runs on")], steps=1, exponent=0.6)
    error = np.array([0.5, -1.0, 2.0, 0.1])
    memory.reprioritise(np.arange(4), error)
    drawn = memory.draw(4000, np.random.default_rng(0), correction=0.7)
    p = (np.abs(error) + SMALLEST) ** 0.6
    chance = p / p.sum()
    weight = (4 * chance) ** -0.7
    np.testing.assert_allclose(drawn.weight, (weight / weight.max())[drawn.rows], rtol=1e-6)
    counts = np.bincount(drawn.rows, minlength=4)
    # stratified: each count is off by at most one point at either end of its part
    np.testing.assert_allclose(counts, 4000 * chance, atol=2)


def test_what_was_never_drawn_has_the_largest_priority():
    memory = filled([([0.0] * 3, "runs on")], steps=1, exponent=1.0)
    memory.reprioritise(np.array([0]), np.array([7.0]))
    add(memory, 9, 0.0, [False], [False])
    assert memory.tree is not None
    np.testing.assert_allclose(memory.tree.sums[memory.tree.leaves :][:4], [7 + SMALLEST, 1, 1, 7 + SMALLEST])


def test_uniform_draws_are_uniform_over_what_is_filled():
    memory = filled([([0.0] * 5, "terminated")], steps=1)
    drawn = memory.draw(5000, np.random.default_rng(0))
    assert (drawn.weight == 1.0).all()
    counts = np.bincount(drawn.rows, minlength=5)
    assert len(counts) == 5
    assert ((counts - 1000) ** 2 / 1000).sum() < 23.5  # χ², 4 degrees of freedom, 1 in 10 000


@pytest.mark.parametrize("exponent", [0.0, 0.8])
def test_state_restored_draws_the_same(exponent):
    episodes = [([1.0, 2.0, 3.0], "terminated"), ([4.0] * 9, "truncated"), ([5.0, 6.0], "runs on")]
    memory = filled(episodes, steps=2, capacity=9, exponent=exponent)
    memory.reprioritise(np.arange(5), np.linspace(0.1, 3.0, 5))
    other = filled([([9.0] * 20, "runs on")], steps=2, capacity=9, exponent=exponent)
    other.set_state({k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in memory.get_state().items()})
    for m in (memory, other):
        add(m, 50, 1.5, [False], [False])
    pairs = zip(*(m.draw(64, np.random.default_rng(3), 0.5) for m in (memory, other)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
