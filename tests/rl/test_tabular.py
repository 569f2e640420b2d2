"""Tabular methods against closed forms, against each other, and in the real environments."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.errors import DataError, SchemaError, TrainingFault
from pellucid.core.rows import Rows
from pellucid.envs import finite
from pellucid.evidence.intervals import episode_interval
from pellucid.explain import attribute
from pellucid.rl.tabular import (
    MDPEnv,
    TabularProgram,
    bellman_residual,
    expected_return,
    finite_horizon,
    from_arrays,
    from_env,
    policy_iteration,
    policy_value,
    q_learning,
    sarsa,
    value_iteration,
    with_horizon,
)
from pellucid.runs.policies import greedy, rollout
from pellucid.testing import check_program

HELD_OUT = 1_000_003


def random_mdp(seed: int, S: int = 6, A: int = 3):
    """(P, R, the process of both)."""
    g = np.random.default_rng(seed)
    P, R = g.dirichlet(np.full(S, 0.3), size=(S, A)), g.normal(size=(S, A))
    return P, R, from_arrays(P, R)


def two_states():
    """In 0: stay for 1, or go to 1 for 0. In 1: stay for 2. Staying in 1 for ever is worth 2 / (1 - d)."""
    P = np.zeros((2, 2, 2))
    P[0, 0, 0] = P[0, 1, 1] = P[1, :, 1] = 1.0
    return from_arrays(P, [[1.0, 0.0], [2.0, 2.0]])


def gridworld(n: int = 4):
    """n x n cells, -1 a step, the last cell ends: V = -(steps to it)."""
    P = np.zeros((n * n, 4, n * n))
    for s in range(n * n):
        x, y = s % n, s // n
        for a, (dx, dy) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            P[s, a, min(max(x + dx, 0), n - 1) + n * min(max(y + dy, 0), n - 1)] = 1.0
    over = np.arange(n * n) == n * n - 1
    return from_arrays(P, np.full((n * n,), -1.0), terminal=over)


# Closed forms


@pytest.mark.parametrize("discount", [0.0, 0.3, 0.5, 0.9])
def test_two_states(discount):
    found = value_iteration(two_states(), discount, tolerance=1e-13)
    there = 2.0 / (1.0 - discount)
    assert found.V[1] == pytest.approx(there, abs=1e-10)
    assert found.V[0] == pytest.approx(max(1.0 / (1.0 - discount), discount * there), abs=1e-10)
    assert found.policy[0] == (1 if discount > 0.5 else 0)  # worth the same at 1/2: the first action


def test_gridworld_is_the_distance():
    mdp = gridworld()
    steps = np.array([(3 - s % 4) + (3 - s // 4) for s in range(16)], dtype=float)
    assert np.array_equal(value_iteration(mdp, 1.0).V, -steps)
    d = 0.9
    assert np.allclose(value_iteration(mdp, d).V, -(1 - d**steps) / (1 - d), atol=1e-9)
    for limit in (1, 3, 100):
        assert np.array_equal(finite_horizon(mdp, limit).V[0], -np.minimum(steps, limit))


def test_policy_value_is_the_linear_system():
    P, R, mdp = random_mdp(0)
    policy = np.array([0, 1, 2, 0, 1, 2])
    Pi, r = P[np.arange(6), policy], R[np.arange(6), policy]
    exact = np.linalg.solve(np.eye(6) - 0.95 * Pi, r)
    assert np.allclose(policy_value(mdp, policy, 0.95), exact, atol=1e-12)
    mixed = np.random.default_rng(1).dirichlet(np.ones(3), size=6)
    Pi, r = np.einsum("sa,sat->st", mixed, P), (mixed * R).sum(1)
    assert np.allclose(policy_value(mdp, mixed, 0.95), np.linalg.solve(np.eye(6) - 0.95 * Pi, r), atol=1e-12)


def test_rewards_on_arrival_and_on_leaving():
    P = np.random.default_rng(2).dirichlet(np.ones(4), size=(4, 2))
    arrival = np.random.default_rng(3).normal(size=(4, 2, 4))
    assert np.allclose(from_arrays(P, arrival).R, (P * arrival).sum(2))
    assert np.allclose(from_arrays(P, np.arange(4.0)).R, np.arange(4.0)[:, None])


def test_a_terminal_state_earns_and_leads_to_nothing():
    P = np.full((2, 1, 2), 0.5)
    mdp = from_arrays(P, [[1.0], [100.0]], terminal=[False, True])
    assert np.array_equal(mdp.start, [1.0, 0.0])
    assert np.array_equal(mdp.P.toarray(), [[0.5, 0.0], [0.0, 0.0]])  # arriving there is the end
    # One, and again with probability 1/2.
    assert np.allclose(value_iteration(mdp, 1.0).V, [2.0, 0.0], atol=1e-9)


# Exact methods against each other


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 4), st.sampled_from([0.0, 0.5, 0.9, 0.99]))
def test_policy_iteration_equals_value_iteration(seed, S, A, discount):
    mdp = random_mdp(seed, S, A)[2]
    by_value, by_policy = value_iteration(mdp, discount), policy_iteration(mdp, discount)
    assert by_value.residual <= 1e-10
    assert by_policy.residual <= 1e-10
    assert bellman_residual(mdp, by_value.V, discount) == by_value.residual
    assert np.allclose(by_value.V, by_policy.V, atol=2e-10 / (1.0 - discount))
    assert np.allclose(policy_value(mdp, by_value.policy, discount), by_value.V, atol=2e-10 / (1.0 - discount))
    gain = by_policy.V - policy_value(mdp, np.zeros(S, dtype=int), discount)
    assert gain.min() >= -1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_backward_induction_is_the_best_of_all_policies(seed, horizon):
    mdp = random_mdp(seed, 4, 2)[2]
    best = finite_horizon(mdp, horizon)
    assert expected_return(mdp, best.policy, horizon) == pytest.approx(best.value, abs=1e-12)
    every = [expected_return(mdp, np.array([(k >> s) & 1 for s in range(4)]), horizon) for k in range(16)]
    assert max(every) <= best.value + 1e-12
    assert expected_return(mdp, np.full((4, 2), 0.5), horizon) <= best.value + 1e-12
    V = np.zeros(4)
    for _ in range(horizon):
        V = (mdp.R + mdp.ahead(V)).max(1)
    assert np.allclose(best.V[0], V, atol=1e-12)


def test_sign_errors_are_seen(monkeypatch):
    """Minimised instead of maximised, or minus the future: the residual, or the other method, disagrees."""
    mdp = random_mdp(5)[2]
    right = value_iteration(mdp, 0.9).V
    assert bellman_residual(mdp, -right, 0.9) > 1.0
    ahead = finite.MDP.ahead
    monkeypatch.setattr(finite.MDP, "ahead", lambda self, value: -ahead(self, value))
    assert np.abs(value_iteration(mdp, 0.9).V - right).max() > 0.1
    assert np.abs(value_iteration(mdp, 0.9).V - policy_value(mdp, value_iteration(mdp, 0.9).policy, 0.9)).max() > 0.1


# Learned tables


@pytest.fixture(scope="module")
def small():
    """Four states, two actions, episodes that end with probability 1/10 and are cut off after 20 steps."""
    P = np.random.default_rng(0).dirichlet(np.ones(5), size=(5, 2)) * 0.9
    P[:, :, 4] += 0.1
    return from_arrays(P, np.random.default_rng(1).normal(size=(5, 2)), terminal=np.arange(5) == 4, horizon=20)


def test_q_learning_finds_the_optimal_values(small):
    exact = value_iteration(small, 0.9).Q
    Q = q_learning(MDPEnv(small), 0.9, steps=60_000, seed=0, epsilon=1.0)
    assert np.abs(Q - exact)[:4].max() < 0.08
    assert np.abs(exact)[:4].max() > 1.0  # so that the bound means something
    assert np.array_equal(
        q_learning(MDPEnv(small), 0.9, steps=500, seed=3), q_learning(MDPEnv(small), 0.9, steps=500, seed=3)
    )


def test_sarsa_finds_the_values_of_its_own_exploring_policy(small):
    own = value_iteration(small, 0.9, epsilon=0.5).Q
    Q = sarsa(MDPEnv(small), 0.9, steps=60_000, seed=0, epsilon=0.5)
    assert np.abs(Q - own)[:4].max() < 0.1
    assert np.abs(Q - value_iteration(small, 0.9).Q)[:4].max() > 0.2  # and not the optimal ones


@pytest.mark.parametrize("learn", [q_learning, sarsa])
def test_a_truncated_step_bootstraps(learn):
    """One state, 1 a step for ever, episodes cut off after a single step: still worth 1 / (1 - d)."""
    env = MDPEnv(from_arrays(np.ones((1, 1, 1)), [1.0], horizon=1))
    assert learn(env, 0.5, steps=3000, seed=0)[0, 0] == pytest.approx(2.0, abs=0.02)


def test_epsilon_greedy_values_are_those_of_that_policy(small):
    found = value_iteration(small, 0.9, epsilon=0.3)
    acts = np.full((5, 2), 0.15)
    acts[np.arange(5), found.policy] += 0.7
    assert np.allclose(policy_value(small, acts, 0.9), found.V, atol=1e-9)


def test_q_learning_on_a_real_lake():
    """Deterministic 4 x 4 lake: six steps to the goal, 0.95^5."""
    env = gymnasium.make("FrozenLake-v1", is_slippery=False)
    exact = value_iteration(from_env(env), 0.95)
    assert exact.value == pytest.approx(0.95**5)
    Q = q_learning(env, 0.95, steps=30_000, seed=1, epsilon=1.0)
    assert Q[0].max() == pytest.approx(0.95**5, abs=0.02)


# Real environments


@pytest.mark.parametrize(
    ("env", "optimum"),
    [("FrozenLake-v1", 0.744), ("FrozenLake8x8-v1", 0.913), ("Taxi-v4", 7.93), ("CliffWalking-v1", -13.0)],
)
def test_the_optimum_is_what_the_real_environment_pays(env, optimum):
    mdp = from_env(env)
    best = finite_horizon(mdp, mdp.horizon or 100)
    assert best.value == pytest.approx(optimum, abs=5e-4)
    for solved in (value_iteration(mdp, 0.99), policy_iteration(mdp, 0.99)):
        assert solved.residual <= 1e-10
        assert expected_return(mdp, solved.policy, mdp.horizon or 100) <= best.value + 1e-9

    def choose(obs, step):
        return best.policy[step][obs["state"].argmax(1)]

    returns = rollout(env, choose, range(HELD_OUT, HELD_OUT + 200)).returns
    interval = episode_interval(returns, seed=0)
    assert interval.low - 1e-9 <= best.value <= interval.high + 1e-9


def test_undiscounted_where_every_best_episode_ends():
    for env, value in (("Taxi-v4", 7.93), ("CliffWalking-v1", -13.0)):
        assert value_iteration(from_env(env), 1.0).value == pytest.approx(value)


def test_the_environment_of_arrays_is_the_process(small):
    env = MDPEnv(small)
    P, generator = small.P.toarray().reshape(5, 2, 5), np.random.default_rng(0)
    counts, n = np.zeros((5, 2, 6)), np.zeros((5, 2))
    s, t = env.reset(seed=0)[0], 0
    for _ in range(30_000):
        a = int(generator.integers(2))
        following, reward, terminated, truncated, _ = env.step(a)
        t += 1
        assert reward == small.R[s, a]
        assert truncated == (t == 20 and not terminated)
        counts[s, a, 5 if terminated else following] += 1
        n[s, a] += 1
        s = following
        if terminated or truncated:
            s, t = env.reset()[0], 0
    share = counts[:4] / n[:4, :, None]
    exact = np.concatenate([P, 1.0 - P.sum(2, keepdims=True)], axis=2)[:4]
    assert (np.abs(share - exact) < 4.5 * np.sqrt(exact * (1 - exact) / n[:4, :, None]) + 1e-9).all()


def test_the_environment_resumes_bit_for_bit(small):
    from pellucid.envs.vectorise import make

    a, b = (make(lambda: MDPEnv(small), 3, seed) for seed in (1, 2))
    assert a.resumable
    a.reset(), b.reset()
    for _ in range(30):
        a.step(np.array([0, 1, 0]))
    b.set_state(a.get_state())
    for _ in range(60):
        x, y = a.step(np.array([1, 1, 0])), b.step(np.array([1, 1, 0]))
        assert np.array_equal(x.obs["state"], y.obs["state"])
        assert np.array_equal(x.reward, y.reward)


# The program


def test_a_table_is_a_program():
    mdp = from_env("FrozenLake-v1")
    Q = value_iteration(mdp, 0.99).Q
    program = TabularProgram(Q, env="FrozenLake-v1", discount=0.99, actions=("left", "down", "right", "up"))
    rows = Rows(np.array([f"s{i}" for i in range(16)]), {"state": np.arange(16)})
    check_program(program, rows)
    task = program.tasks["policy"]
    out = program(program.encode(rows), "policy").numpy()
    assert np.allclose(out[:, :4], Q)
    assert np.allclose(out[:, 4], Q.max(1))
    played = rollout("FrozenLake-v1", greedy(program, task), range(HELD_OUT, HELD_OUT + 200))
    exact = expected_return(mdp, Q.argmax(1))
    interval = episode_interval(played.returns, seed=0)
    assert interval.low <= exact <= interval.high
    found = attribute(program, rows.take(np.array([0, 14])), "policy", background=rows)
    assert np.allclose(found.values.sum(1), out[[0, 14]] - out.mean(0), atol=1e-6)
    with pytest.raises(SchemaError, match=r"0\.\.15"):
        program.encode(Rows(np.array(["x"]), {"state": np.array([16])}))


# What is refused


@pytest.mark.parametrize(
    ("P", "R", "more", "said"),
    [
        (np.ones((2, 2)), np.ones(2), {}, "not \\(S, A, S\\)"),
        (np.full((2, 1, 2), 0.4), np.ones(2), {}, "P\\[0, 0\\] is no distribution: its sum is 0.8"),
        (np.array([[[2.0, -1.0]], [[0.0, 1.0]]]), np.ones(2), {}, "no distribution"),
        (np.full((2, 1, 2), 0.5), np.ones(3), {}, "R has the shape"),
        (np.full((2, 1, 2), 0.5), np.array([np.nan, 1.0]), {}, "R has the shape"),
        (np.full((2, 1, 2), np.nan), np.ones(2), {}, "no distribution"),
        (np.full((2, 1, 2), 0.5), np.ones(2), {"start": [0.5, 0.4]}, "start has the sum 0.9"),
        (np.full((2, 1, 2), 0.5), np.ones(2), {"terminal": [True]}, "terminal"),
    ],
)
def test_wrong_arrays_are_told(P, R, more, said):
    with pytest.raises(DataError, match=said):
        from_arrays(P, R, **more)


def test_what_has_no_value_is_told():
    endless = from_arrays(np.ones((1, 1, 1)), np.ones(1))
    with pytest.raises(TrainingFault, match="residual of 1 after 50 sweeps"):
        value_iteration(endless, 1.0, sweeps=50)
    with pytest.raises(DataError, match="no episode ever ends"):
        policy_iteration(endless, 1.0)
    with pytest.raises(DataError, match="no time limit"):
        finite_horizon(endless)
    with pytest.raises(DataError, match=r"discount of 1\.1"):
        value_iteration(endless, 1.1)
    with pytest.raises(DataError, match="no table of transitions"):
        from_env("CartPole-v1")
    with pytest.raises(DataError, match="are no table"):
        q_learning(gymnasium.make("CartPole-v1"), 0.9, steps=1, seed=0)
    assert finite_horizon(with_horizon(endless, 7)).value == 7.0
