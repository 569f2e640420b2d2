"""PlantedTrading: what is planted, the books, both action spaces, states, bad input."""

from __future__ import annotations

from typing import Any, get_args

import gymnasium
import numpy as np
import pytest

from pellucid.core.errors import DataError, EnvironmentFault, SpecError
from pellucid.core.random import stream
from pellucid.envs.check import check_env
from pellucid.envs.planted_trading import Kind, Market, PlantedTradingEnv, PlantedTradingVectorEnv, simulate
from pellucid.envs.vectorise import make

ID = "pellucid/PlantedTrading-v0"
KINDS = get_args(Kind)


def paths(kind: Any, n: int = 200, steps: int = 1000, **market: float):
    return simulate(Market(kind, **market), [stream(1, kind, i) for i in range(n)], steps)


def lagged(x: np.ndarray[Any, Any], lag: int = 1) -> float:
    return float((x[:, lag:] * x[:, :-lag]).mean() / (x * x).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("actions", ["discrete", "box"])
def test_nothing_to_complain_about(kind: Any, actions: Any) -> None:
    assert check_env(gymnasium.make(ID, kind=kind, actions=actions, sigma=0.5)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_signals_are_stationary_with_their_autocorrelation(kind: Any) -> None:
    x = paths(kind, phi=0.8, s=2.0, sigma=1.0).signal
    assert np.sqrt((x**2).mean()) == pytest.approx(2.0, rel=0.02)
    assert np.sqrt((x[:, 0] ** 2).mean()) == pytest.approx(2.0, rel=0.15)
    assert lagged(x) == pytest.approx(0.8, abs=0.01)
    assert lagged(x, 5) == pytest.approx(0.8**5, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_expected_is_the_mean_of_what_follows(kind: Any) -> None:
    path = paths(kind, phi=0.8, sigma=0.7)
    rest = path.following - path.expected
    if kind == "future_leak":
        assert np.array_equal(path.following, path.expected)
        return
    assert abs(rest.mean()) < 0.02
    assert abs((rest * path.signal).mean()) < 0.02
    assert lagged(rest) == pytest.approx(0, abs=0.02)  # nothing of it can be foreseen


def test_noise_has_its_size() -> None:
    assert np.array_equal(paths("ar1").following, paths("ar1").signal)
    for kind in ("ar1", "regimes"):
        rest = paths(kind, sigma=3.0)
        assert (rest.following - rest.signal).std() == pytest.approx(3.0, rel=0.01)
    garch = paths("garch", n=400, sigma=3.0)
    shock = garch.following - garch.signal
    assert shock.std() == pytest.approx(3.0, rel=0.04)
    squares = shock**2 - (shock**2).mean()
    assert lagged(squares) > 0.1  # clusters
    jumps = paths("jumps", sigma=1.0)
    shock = jumps.following - jumps.signal
    assert (shock**4).mean() / (shock**2).mean() ** 2 > 6  # rare and large
    walk = paths("random_walk", s=3.0, sigma=4.0).following
    assert walk.std() == pytest.approx(5.0, rel=0.01)
    assert lagged(walk) == pytest.approx(0, abs=0.01)


def test_momentum_observes_its_own_past() -> None:
    path = paths("momentum", phi=0.6)
    assert np.array_equal(path.following[:, :-1], path.signal[:, 1:])
    assert lagged(path.following) == pytest.approx(0.6, abs=0.01)


def test_a_position_earns_what_follows_its_decision() -> None:
    env = PlantedTradingEnv(sigma=1.0, cost=0.25, episode_steps=6)
    obs, _ = env.reset(seed=3)
    following = env.game.walk.path.following[0]
    held = 0.0
    for t, action in enumerate((2, 2, 0, 1, 1, 2)):
        assert obs["position"] == held
        target = action - 1.0
        obs, reward, terminated, truncated, _ = env.step(action)
        assert reward == pytest.approx(target * following[t] - 0.25 * abs(target - held))
        assert not terminated
        assert truncated == (t == 5)
        held = target


def test_what_is_earned_may_be_the_expectation() -> None:
    env = PlantedTradingEnv(sigma=5.0, cost=0.0, earns="signal")
    obs, _ = env.reset(seed=3)
    assert env.step(2)[1] == pytest.approx(float(obs["x"][0]), rel=1e-6)


def test_the_leak_is_the_next_return() -> None:
    env = PlantedTradingEnv("future_leak", sigma=1.0, cost=0.0)
    obs, _ = env.reset(seed=0)
    for _ in range(20):
        leak = float(obs["leak"][0])
        obs, reward, *_ = env.step(2)
        assert reward == pytest.approx(leak, rel=1e-5)


def test_any_position_and_the_three() -> None:
    """The same paths, the same rewards; beyond 1 counts as 1."""
    three, any_ = PlantedTradingVectorEnv(4, sigma=1.0), PlantedTradingVectorEnv(4, sigma=1.0, actions="box")
    three.reset(seed=5)
    any_.reset(seed=5)
    for actions in ([0, 1, 2, 2], [2, 0, 1, 2]):
        wanted = (np.array(actions, dtype=np.float32) - 1.0)[:, None] * 1.5
        assert np.allclose(three.step(np.array(actions))[1], any_.step(wanted)[1])
    half = any_.step(np.full((4, 1), 0.5, dtype=np.float32))
    assert np.allclose(half[0]["position"], 0.5)


def test_a_batch_is_its_members() -> None:
    batch = PlantedTradingVectorEnv(3, "jumps", sigma=0.5, episode_steps=7)
    single = PlantedTradingEnv("jumps", sigma=0.5, episode_steps=7)
    batch.reset(seed=10)
    obs, _ = single.reset(seed=12)
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.integers(0, 3, 3)
        got, reward, _, over, info = batch.step(actions)
        obs, own, _, truncated, _ = single.step(actions[2])
        assert own == reward[2]
        assert truncated == over[2]
        if truncated:
            assert np.array_equal(info["final_obs"][2]["x"], obs["x"])
            obs, _ = single.reset()
        assert np.array_equal(got["x"][2], obs["x"])


def test_a_state_goes_on_bit_for_bit() -> None:
    env = make(ID, 3, 1, {"sigma": 1.0, "episode_steps": 5})
    env.reset()
    actions = np.random.default_rng(1).integers(0, 3, (30, 3))
    for a in actions[:8]:
        env.step(a)
    state = env.get_state()
    first = [env.step(a) for a in actions[8:]]
    again = make(ID, 3, 99, {"sigma": 1.0, "episode_steps": 5})
    again.set_state(state)
    for step, a in zip(first, actions[8:], strict=True):
        other = again.step(a)
        assert np.array_equal(step.reward, other.reward)
        assert all(np.array_equal(step.obs[name], other.obs[name]) for name in step.obs)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_positions_that_are_no_numbers_are_refused(bad: float) -> None:
    env = make(ID, 2, 0, {"actions": "box"})
    env.reset()
    with pytest.raises(EnvironmentFault, match="positions in"):
        env.step(np.array([[0.0], [bad]], dtype=np.float32))
    single = PlantedTradingEnv()
    single.reset(seed=0)
    with pytest.raises(DataError, match="0 \\(short\\)"):
        single.step(3)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "ar2"},
        {"actions": "continuous"},
        {"earns": "x"},
        {"phi": 1.0},
        {"s": 0.0},
        {"cost": -1.0},
        {"sigma": np.nan},
    ],
)
def test_markets_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        PlantedTradingEnv(**options)


def test_paths_drawn_for_learners_are_those_of_the_market() -> None:
    game = PlantedTradingEnv("future_leak", sigma=1.0).game
    fields, following = game.draw(stream(0, "a"), 50, 40)
    assert fields["x"].shape == fields["leak"].shape == (50, 40, 1)
    assert np.allclose(fields["leak"][:, :, 0], following)
    assert len(np.unique(following)) == following.size  # no path is another's copy
    same = game.draw(stream(0, "a"), 50, 40)[1]
    assert np.array_equal(following, same)


def test_decoys_move_like_the_signal_and_tell_nothing() -> None:
    plain = make(ID, 64, 3, {"kind": "ar1", "phi": 0.8, "sigma": 1.0, "episode_steps": 400})
    led = make(ID, 64, 3, {"kind": "ar1", "phi": 0.8, "sigma": 1.0, "episode_steps": 400, "decoys": 2})
    assert [field.name for field in led.fields] == ["x", "decoy_0", "decoy_1", "position"]
    seen, rewards, others = [], [], []
    a, b, actions = plain.reset(), led.reset(), np.full(64, 2)
    for _ in range(400):
        assert np.array_equal(a["x"], b["x"])  # the paths are those without decoys
        seen.append(np.stack([b[name][:, 0] for name in ("x", "decoy_0", "decoy_1")]))
        one, two = plain.step(actions), led.step(actions)
        others.append(one.reward)
        rewards.append(two.reward)
        a, b = one.obs, two.obs
    assert np.array_equal(rewards, others)
    x, first, second = np.stack(seen, axis=2)
    for decoy in (first, second):
        assert decoy.std() == pytest.approx(1.0, abs=0.06)
        assert lagged(decoy) == pytest.approx(0.8, abs=0.02)
        for other in (x, np.stack(rewards, 1)):
            assert abs(np.corrcoef(decoy.ravel(), other.ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_decoys_are_part_of_the_state() -> None:
    one, two = (make(ID, 3, seed, {"decoys": 2, "episode_steps": 9}) for seed in (1, 2))
    one.reset()
    two.reset()
    for _ in range(4):
        one.step(np.array([0, 1, 2]))
    two.set_state(one.get_state())
    for _ in range(12):
        a, b = one.step(np.array([2, 1, 0])).obs, two.step(np.array([2, 1, 0])).obs
        assert all(np.array_equal(a[name], b[name]) for name in a)
    assert check_env(gymnasium.make(ID, decoys=3)) == []
    fields, _ = PlantedTradingVectorEnv(2, decoys=2).game.draw(np.random.default_rng(0), 5, 7)
    assert {name: values.shape for name, values in fields.items()} == dict.fromkeys(
        ("x", "decoy_0", "decoy_1"), (5, 7, 1)
    )
    with pytest.raises(SpecError, match="-1 decoys"):
        PlantedTradingEnv(decoys=-1)
