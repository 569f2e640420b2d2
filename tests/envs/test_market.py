"""StockPrice and StockTrading: definitions, the books, Gymnasium's own checker, batches against single environments."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.vector import AutoresetMode

import pellucid.envs
from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.data.planted import simulate
from pellucid.data.prices import load_prices, windows
from pellucid.envs.market import Tape, Walk, tape
from pellucid.envs.price import StockPriceEnv
from pellucid.envs.trading import POSITIONS, StaleOpenWarning, StockTradingEnv, StockTradingVectorEnv

TRADING, PRICE = "pellucid/StockTrading-v0", "pellucid/StockPrice-v0"


@pytest.fixture(scope="module")
def rows() -> Rows:
    return windows(simulate("planted", 400, seed=4)[0], window=6, scale_days=50)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return np.array_equal(a, b)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("env_id", list(pellucid.envs.ALL))
def test_gymnasium_finds_nothing_to_complain_about(env_id: str) -> None:
    gymnasium_check(gymnasium.make(env_id).unwrapped)


def test_importing_registers_and_loads_no_torch() -> None:
    code = (
        "import sys, gymnasium, pellucid.envs; pellucid.envs.register();"
        "assert set(pellucid.envs.ALL) <= set(gymnasium.registry); assert 'torch' not in sys.modules;"
        "assert 'pandas' not in sys.modules; gymnasium.make('StockPrice-v0'); assert 'torch' not in sys.modules"
    )
    env = {"PYTHONPATH": ":".join(sys.path), "PATH": ""}
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=True, env=env)
    named = f"import gymnasium; gymnasium.make('pellucid.envs:{TRADING}')"
    subprocess.run([sys.executable, "-c", named], check=True, env=env)


def test_the_price_game_is_as_defined(rows: Rows) -> None:
    env = StockPriceEnv(rows)
    obs, info = env.reset(seed=0)
    total = 0
    while True:
        day = info["row"]
        assert all(np.array_equal(obs[name], rows.fields[name][day].astype(np.float32)) for name in rows.fields)
        action = env.action_space.sample()
        obs, reward, terminated, truncated, info = env.step(action)
        error = 100 * rows.targets["forecast"][day] - float(action[0])
        assert np.isclose(reward, -(error**2), rtol=1e-9)
        assert not terminated
        total += 1
        if truncated:
            break
    assert total == len(rows) - 1
    assert info["row"] == len(rows) - 1
    assert env.metadata["discount"] == 0.95


def test_a_position_earns_after_the_close_at_which_it_was_filled() -> None:
    """By hand: closes 100, 110, 99, 99; long, then short, then out; 10 bps."""
    n = 4
    close = np.array([100.0, 110.0, 99.0, 99.0])
    simple = np.concatenate([[0.0], close[1:] / close[:-1] - 1])
    made = Rows(
        np.array(list("abcd")), {"x": np.arange(n, dtype=float)}, extra={"close": close, "simple_return": simple}
    )
    env = StockTradingEnv(made, cost_bps=10.0)
    obs, _ = env.reset()
    assert obs["position"] == [0]
    got = [env.step(action) for action in (2, 0, 1)]
    assert np.allclose([step[1] for step in got], [-0.001, -0.1 - 0.002, 0.0 - 0.001])
    assert [float(step[0]["position"][0]) for step in got] == [1, -1, 0]
    assert [step[3] for step in got] == [False, False, True]
    assert not any(step[2] for step in got)
    assert np.isclose(got[-1][4]["wealth"], 1 - 0.001 - 0.102 - 0.001)


@pytest.mark.parametrize("fill", ["close", "open"])
def test_rewards_add_up_to_the_change_of_wealth(fill: Any) -> None:
    """1e5 random steps, every step, with books kept here besides those of the environment."""
    table = simulate("planted", 5031, seed=8)[0]
    read = windows(table)
    env = StockTradingVectorEnv(32, read, random_start=True, episode_days=400, fill=fill, cost_bps=25.0)
    rng = np.random.default_rng(0)
    env.reset(seed=3)
    close, opened = read.extra["close"], read.extra["open"]
    cash, shares, summed, held = np.ones(32), np.zeros(32), np.zeros(32), np.zeros(32)
    day = env.game.walk.day.copy()
    for _ in range(3200):
        actions = rng.integers(0, 3, 32)
        _, reward, _, truncated, info = env.step(actions)
        target = POSITIONS[actions]
        price = (close if fill == "close" else opened)[day + 1]
        cash += shares * price - target - 0.0025 * np.abs(target - held)  # all sold, the target bought
        shares = target / price
        cash += shares * close[day + 1] - target  # the notional restored
        shares = target / close[day + 1]
        summed += reward
        wealth = cash + shares * close[day + 1]
        assert np.abs(summed - (wealth - 1)).max() < 1e-9
        seen = np.where(truncated, info["final_info"]["wealth"], info["wealth"]) if truncated.any() else info["wealth"]
        assert np.abs(seen - wealth).max() < 1e-9
        held = np.where(truncated, 0.0, target)
        cash, shares, summed = (
            np.where(truncated, start, x) for start, x in ((1.0, cash), (0.0, shares), (0.0, summed))
        )
        day = env.game.walk.day.copy()
    assert truncated.shape == (32,)


def test_higher_costs_never_help(rows: Rows) -> None:
    totals = []
    for cost in (0.0, 5.0, 50.0):
        env = StockTradingEnv(rows, cost_bps=cost)
        env.reset()
        rng = np.random.default_rng(1)
        totals.append(sum(env.step(int(rng.integers(3)))[1] for _ in range(300)))
    assert totals[0] > totals[1] > totals[2]


def test_the_clairvoyant_and_the_signal_earn_money_and_the_random_do_not() -> None:
    """The planted market can be traded with fills at t+1; the walk cannot."""
    sharpe = {}
    for kind in ("planted", "random_walk"):
        table, truth = simulate(kind)
        read = windows(table)
        env = StockTradingEnv(read)
        env.reset()
        signal = truth.signal[250:]
        rewards = np.array([env.step(int(np.sign(signal[t])) + 1)[1] for t in range(len(read) - 1)])
        sharpe[kind] = rewards.mean() / rewards.std() * np.sqrt(252)
    assert sharpe["planted"] > 5
    assert abs(sharpe["random_walk"]) < 1


@pytest.mark.parametrize("env_id", [TRADING, PRICE])
def test_a_batch_is_that_many_single_environments(env_id: str, rows: Rows) -> None:
    kwargs = {"rows": rows, "episode_days": 17, "random_start": True}
    batch = gymnasium.make_vec(env_id, num_envs=5, vectorization_mode="vector_entry_point", **kwargs)
    assert batch.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    singles = [gymnasium.make(env_id, **kwargs) for _ in range(5)]
    obs, info = batch.reset(seed=11)
    first = [env.reset(seed=11 + i) for i, env in enumerate(singles)]
    assert all(same(obs[name][i], first[i][0][name]) for i in range(5) for name in obs)
    assert obs in batch.observation_space
    batch.action_space.seed(0)
    ended = 0
    for _ in range(60):
        actions = batch.action_space.sample()
        obs, reward, terminated, truncated, info = batch.step(actions)
        assert obs in batch.observation_space
        assert not terminated.any()
        for i, env in enumerate(singles):
            one, r, _, cut, one_info = env.step(actions[i])
            assert r == reward[i]
            assert cut == truncated[i]
            if cut:
                ended += 1
                assert same(info["final_obs"][i], one)
                assert info["final_info"]["row"][i] == one_info["row"]
                one, one_info = env.reset()
            assert all(same(obs[name][i], one[name]) for name in obs)
            assert info["row"][i] == one_info["row"]
    assert ended == 15


@pytest.mark.parametrize("env_id", [TRADING, PRICE])
def test_single_state_round_trip(env_id: str, rows: Rows) -> None:
    env = gymnasium.make(env_id, rows=rows, episode_days=9, random_start=True).unwrapped
    env.reset(seed=5)
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(40)]

    def play(some: list[Any]) -> list[Any]:
        out = []
        for action in some:
            step = env.step(action)
            out.append((step[0], step[1], step[3], env.reset()[0] if step[3] else None))
        return out

    play(actions[:20])
    state = env.get_state()
    once = play(actions[20:])
    env.set_state(state)
    twice = play(actions[20:])
    assert all(same(a[0], b[0]) and a[1:3] == b[1:3] and same(a[3], b[3]) for a, b in zip(once, twice, strict=True))


def test_no_observation_shows_the_future() -> None:
    table = simulate("planted", 700, seed=4)[0]
    future = table.frame.copy()
    future.iloc[500:] *= 3.0
    seen = []
    for frame in (table.frame, future):
        env = StockTradingEnv(windows(type(table)(table.asset, frame)))
        obs, info = env.reset()
        run = [obs]
        while info["row"] < 499 - 250:
            obs, reward, _, _, info = env.step(info["row"] % 3)
            run.extend([obs, {"reward": np.array(reward)}])
        seen.append(run)
    assert all(same(a, b) for a, b in zip(*seen, strict=True))


def test_random_starts_cover_the_range_and_leave_room(rows: Rows) -> None:
    walk = Walk(30, 1, episode_days=10, random_start=True)
    rng = [np.random.default_rng(0)]
    starts = set()
    for _ in range(600):
        walk.begin(np.zeros(1, dtype=np.int64), rng)
        starts.add(int(walk.day[0]))
        assert walk.last[0] == walk.day[0] + 10
    assert starts == set(range(20))
    walk = Walk(5, 1, episode_days=None, random_start=True)
    for _ in range(100):
        walk.begin(np.zeros(1, dtype=np.int64), rng)
        assert walk.day[0] < walk.last[0] == 4
    with pytest.raises(DataError, match="episode_days"):
        Walk(5, 1, 5, False)


def test_rows_that_cannot_be_walked(rows: Rows) -> None:
    gap = np.r_[0:20, 25:40]
    with pytest.raises(DataError, match="do not follow each other"):
        StockTradingEnv(rows.take(gap))
    holed = rows.take(slice(0, 30))
    holed.fields["return"] = holed.fields["return"].copy()
    holed.fields["return"][7, 2] = np.nan
    with pytest.raises(DataError, match=f"'return' is NaN or infinite at {rows.keys[7]}"):
        StockTradingEnv(holed)
    with pytest.raises(DataError, match="make no step"):
        StockPriceEnv(rows.take(slice(0, 1)))
    with pytest.raises(DataError, match=r"rows\.extra lacks"):
        StockPriceEnv(Rows(rows.keys, rows.fields))
    with pytest.raises(DataError, match="is not a cost"):
        StockTradingEnv(rows, cost_bps=-1)


@pytest.mark.parametrize("actions", [[3, 0], [-1, 0], [0.5, 1.0], [1]])
def test_actions_that_are_none(rows: Rows, actions: list[Any]) -> None:
    env = StockTradingVectorEnv(2, rows)
    env.reset(seed=0)
    with pytest.raises(DataError, match="are not 2 integers"):
        env.step(np.array(actions))
    price = StockPriceEnv(rows)
    price.reset(seed=0)
    with pytest.raises(DataError, match="NaN"):
        price.step(np.array([np.nan]))


def test_stale_opens_warn_and_only_when_asked_for(rows: Rows) -> None:
    importlib.import_module("arch")
    real = windows(load_prices("sp500", end="2006-12-31"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        StockTradingEnv(real)
        StockTradingEnv(rows, fill="open")
    with pytest.warns(StaleOpenWarning, match="repeats the last close"):
        StockTradingEnv(real, fill="open")
    del rows.extra["open"]
    with pytest.raises(DataError, match="lacks 'open'"):
        StockTradingEnv(rows, fill="open")
    with pytest.raises(DataError, match="is not known"):
        StockTradingEnv(rows, fill="mid")  # type: ignore[arg-type]


def test_fields_are_the_schema_of_the_rows(rows: Rows) -> None:
    read = tape(rows, "", window=20)  # made with window 6
    assert isinstance(read, Tape)
    assert {field.name: field.width for field in read.schema} == {"return": 6, "range": 6, "volume": 6, "level": 1}
    assert read.schema[0].groups == (("t", 0, 1), ("t-1..4", 1, 5), ("t-5..", 5, 6))
    assert StockTradingEnv(rows).fields[-1].name == "position"


def test_speed() -> None:
    env = StockTradingVectorEnv(64, random_start=True, episode_days=250)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 3, (500, 64))
    begin = time.perf_counter()
    for batch in actions:
        env.step(batch)
    rate = 500 * 64 / (time.perf_counter() - begin)
    assert rate > 300_000, rate  # about 3 million on an idle core
