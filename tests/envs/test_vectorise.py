"""The adapter: three autoreset modes by hand, faults, resuming, names."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from pellucid.core.errors import EnvironmentFault, SpecError
from pellucid.envs.names import field_units, observation_fields
from pellucid.envs.vectorise import VectorAdapter, make


class Counting(gymnasium.Env[Any, Any]):
    """Observes [episode, steps in it]; ends after `length` steps; reward 10 * episode + steps."""

    def __init__(self, length: int = 3, terminates: bool = True) -> None:
        self.observation_space = spaces.Box(0, 1000, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.length, self.terminates, self.episode, self.count = length, terminates, -1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.count = self.episode + 1, 0
        return self.look(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        over = self.count == self.length
        return self.look(), 10.0 * self.episode + self.count, over and self.terminates, over and not self.terminates, {}

    def look(self) -> Any:
        return np.array([self.episode, self.count], dtype=np.float32)


def counting(mode: AutoresetMode) -> VectorAdapter:
    makers = [lambda: Counting(3), lambda: Counting(2, terminates=False)]
    return VectorAdapter(SyncVectorEnv(makers, autoreset_mode=mode), seed=0)


def told(adapter: VectorAdapter, steps: int) -> list[list[tuple[Any, ...]]]:
    """Per environment and step: (episode, count) acted on next, final, reward, terminated, truncated, valid."""
    adapter.reset()
    out: list[list[tuple[Any, ...]]] = [[], []]
    for _ in range(steps):
        step = adapter.step(np.zeros(2, dtype=np.int64))
        for i in range(2):
            obs = tuple(int(step.obs[name][i, 0]) for name in ("obs_0", "obs_1"))
            final = tuple(int(step.final_obs[name][i, 0]) for name in ("obs_0", "obs_1"))
            done = bool(step.terminated[i] or step.truncated[i])
            flags = (bool(step.terminated[i]), bool(step.truncated[i]), bool(step.valid[i]))
            out[i].append((obs, final if done else None, float(step.reward[i]), *flags))
    return out


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_modes_that_reset_at_once(mode: AutoresetMode) -> None:
    first, second = told(counting(mode), 5)
    no, end, cut = (False, False, True), (True, False, True), (False, True, True)
    assert first == [
        ((0, 1), None, 1, *no),
        ((0, 2), None, 2, *no),
        ((1, 0), (0, 3), 3, *end),
        ((1, 1), None, 11, *no),
        ((1, 2), None, 12, *no),
    ]
    assert second == [
        ((0, 1), None, 1, *no),
        ((1, 0), (0, 2), 2, *cut),
        ((1, 1), None, 11, *no),
        ((2, 0), (1, 2), 12, *cut),
        ((2, 1), None, 21, *no),
    ]


def test_next_step_mode_marks_the_dummy() -> None:
    adapter = counting(AutoresetMode.NEXT_STEP)
    first, second = told(adapter, 5)
    no, end, cut, dummy = (False, False, True), (True, False, True), (False, True, True), (False, False, False)
    assert first == [
        ((0, 1), None, 1, *no),
        ((0, 2), None, 2, *no),
        ((0, 3), (0, 3), 3, *end),
        ((1, 0), None, 0, *dummy),
        ((1, 1), None, 11, *no),
    ]
    assert second == [
        ((0, 1), None, 1, *no),
        ((0, 2), (0, 2), 2, *cut),
        ((1, 0), None, 0, *dummy),
        ((1, 1), None, 11, *no),
        ((1, 2), (1, 2), 12, *cut),
    ]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_mode_tells_the_same_story(mode: AutoresetMode) -> None:
    """The valid transitions and the finished episodes do not depend on the mode."""
    adapter = counting(mode)
    first, _ = told(adapter, 24)
    rewards = [entry[2] for entry in first if entry[5]]
    expected = [10.0 * episode + count for episode in range(9) for count in (1, 2, 3)]
    assert rewards == expected[: len(rewards)]
    assert len(rewards) >= 18
    mine = sorted(total for total, length in adapter.finished if length == 3)
    assert mine == [30.0 * episode + 6 for episode in range(len(mine))]
    assert len(mine) >= 6
    assert {length for _, length in adapter.finished} == {2, 3}


def test_final_obs_is_not_overwritten_by_a_reused_buffer() -> None:
    batch = SyncVectorEnv([lambda: Counting(2)] * 2, copy=False, autoreset_mode=AutoresetMode.DISABLED)
    adapter = VectorAdapter(batch)
    adapter.reset()
    adapter.step(np.zeros(2, dtype=np.int64))
    step = adapter.step(np.zeros(2, dtype=np.int64))
    assert step.final_obs["obs_1"].ravel().tolist() == [2, 2]
    assert step.obs["obs_1"].ravel().tolist() == [0, 0]


def test_same_seed_same_run() -> None:
    runs = []
    for seed in (1, 1, 2):
        adapter = make("CartPole-v1", 4, seed)
        adapter.reset()
        runs.append([adapter.step(np.array([0, 1, 0, 1])).obs["pole_angle"] for _ in range(30)])
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_every_source_makes_the_same_batch() -> None:
    sources: list[tuple[Any, int]] = [
        ("Acrobot-v1", 2),
        (lambda: gymnasium.make("Acrobot-v1"), 2),
        (gymnasium.make_vec("Acrobot-v1", num_envs=2, vectorization_mode="sync"), 2),
        (gymnasium.make("Acrobot-v1"), 1),
        ("gymnasium.envs:Acrobot-v1", 2),
    ]
    runs = []
    for source, n in sources:
        adapter = make(source, n, seed=5)
        adapter.reset()
        assert adapter.env_id == "Acrobot-v1"
        for _ in range(5):
            step = adapter.step(np.ones(n, dtype=np.int64))
        runs.append([step.obs[field.name][0, 0] for field in adapter.fields])
    assert all(run == runs[0] for run in runs)
    assert isinstance(make("pellucid/StockTrading-v0", 3).env, VectorEnv)


@pytest.mark.parametrize(
    ("source", "n", "kwargs", "match"),
    [
        ("CartPol-v1", 1, {}, "did you mean 'CartPole-v1'"),
        ("StockTrading-v0", 1, {}, "did you mean 'pellucid/StockTrading-v0'"),
        ("no.such.module:X-v0", 1, {}, "No module named"),
        ("nothing like it", 1, {}, "no environment"),
        ("CartPole-v1", 1, {"lenght": 3}, "cannot be made.*lenght"),
        ("CartPole-v1", 0, {}, "cannot be stepped"),
        (3, 1, {}, "is no environment"),
        (Counting(), 2, {}, "cannot be 2"),
        (Counting(), 1, {"length": 2}, "already made"),
        (dict, 1, {}, "no environment"),
    ],
)
def test_sources_that_are_none(source: Any, n: int, kwargs: dict[str, Any], match: str) -> None:
    with pytest.raises(SpecError) as caught:
        make(source, n, 0, kwargs)
    assert caught.match(match) if match not in str(caught.value) else True


class Broken(Counting):
    def __init__(self, how: str) -> None:
        super().__init__(50)
        self.how = how

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = super().step(action)
        if self.count == 4:
            if self.how == "raise":
                raise ZeroDivisionError("by zero")
            if self.how == "nan obs":
                obs[1] = np.nan
            if self.how == "inf reward":
                reward = float("inf")
            if self.how == "shape":
                obs = np.zeros(3, dtype=np.float32)
            if self.how == "text":
                obs = np.array(["a", "b"])
        return obs, reward, terminated, truncated, info


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("raise", "raised ZeroDivisionError: by zero"),
        ("nan obs", "NaN or infinity in 'obs_1'"),
        ("inf reward", "NaN or infinity as reward"),
        ("shape", "raised ValueError"),
        ("text", "raised"),
    ],
)
def test_faults_are_named_with_environment_step_and_seed(how: str, match: str) -> None:
    batch = SyncVectorEnv([lambda: Counting(50), lambda: Broken(how)])
    adapter = VectorAdapter(batch, "mine-v0", seed=9)
    adapter.reset()
    for _ in range(3):
        adapter.step(np.zeros(2, dtype=np.int64))
    with pytest.raises(EnvironmentFault, match=match) as caught:
        adapter.step(np.zeros(2, dtype=np.int64))
    assert "'mine-v0', step 4, seed 9" in str(caught.value)


class Misshapen(VectorEnv[Any, Any, Any]):
    """A batch that changes what it returns."""

    def __init__(self, obs: Any, reward: Any) -> None:
        self.num_envs, self.obs, self.reward = 2, obs, reward
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space, self.single_action_space = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return np.zeros((2, 2), dtype=np.float32), {}

    def step(self, actions: Any) -> Any:
        return self.obs, self.reward, np.zeros(2, dtype=bool), np.zeros(2, dtype=bool), {}


@pytest.mark.parametrize(
    ("obs", "reward", "match"),
    [
        (np.zeros((2, 3)), np.zeros(2), "shape"),
        (np.zeros((3, 2)), np.zeros(2), "shape"),
        (np.array([["a", "b"]] * 2), np.zeros(2), "no numbers"),
        (np.zeros((2, 2)), np.zeros((2, 1)), "'reward' of shape"),
        (None, np.zeros(2), "no numbers|does not fit"),
    ],
)
def test_batches_that_change_shape_or_type(obs: Any, reward: Any, match: str) -> None:
    adapter = VectorAdapter(Misshapen(obs, reward))
    adapter.reset()
    with pytest.raises(EnvironmentFault, match=match):
        adapter.step(np.zeros(2, dtype=np.int64))
    silent = Misshapen(np.zeros((2, 2)), np.zeros(2))
    silent.metadata = {}
    with pytest.raises(SpecError, match="does not say how it resets"):
        VectorAdapter(silent)
    jax = type("FunctionalJaxVectorEnv", (Misshapen,), {})(np.zeros((2, 2)), np.zeros(2))
    jax.metadata = {}  # as phys2d/Pendulum-v0 comes, which resets at the next step all the same
    assert VectorAdapter(jax).mode is AutoresetMode.NEXT_STEP


def test_observations_become_named_fields() -> None:
    assert [field.name for field in make("CartPole-v1").fields] == [
        "cart_position",
        "cart_velocity",
        "pole_angle",
        "pole_velocity",
    ]
    assert field_units(gymnasium.make("Pendulum-v1"))["velocity"] == "rad/s"
    trading = make("pellucid/StockTrading-v0", 2)
    assert [field.name for field in trading.fields] == ["return", "range", "volume", "level", "position"]
    assert trading.fields[0].groups
    assert list(trading.reset()) == [field.name for field in trading.fields]
    assert trading.obs["return"].shape == (2, 20)
    lake = make("FrozenLake-v1", 2)
    (state,) = lake.fields
    assert (state.name, state.width) == ("state", 16)
    assert lake.reset()["state"].tolist() == [[1.0] + [0.0] * 15] * 2
    assert observation_fields(Counting())[1].name == "obs_1"
    image = Counting()
    image.observation_space = spaces.Box(0, 1, (9, 9), np.float32)
    assert [(field.name, field.width) for field in observation_fields(image)] == [("obs", 81)]
    nested = Counting()
    nested.observation_space = spaces.Dict({"a": spaces.Dict({"b": spaces.Discrete(3)}), "c": spaces.Box(0, 1, ())})
    assert {field.name: field.width for field in observation_fields(nested)} == {"a.b": 3, "c": 1}
    nested.observation_space = spaces.Dict({"note": spaces.Text(4)})
    with pytest.raises(SpecError, match="Text have no fields") as caught:
        observation_fields(nested)
    assert "part 'note'" in caught.value.where


def test_nested_observations_are_read_by_name() -> None:
    class Nested(Counting):
        def __init__(self) -> None:
            super().__init__(2)
            inner = spaces.Dict({"b": spaces.Discrete(3), "b0": spaces.Box(0, 9, (2,), np.float32)})
            self.observation_space = spaces.Dict({"a": inner, "c": spaces.Box(0, 9, (), np.float32)})

        def look(self) -> Any:
            pair = np.array([5, self.episode], dtype=np.float32)
            return {"a": {"b": np.int64(self.count), "b0": pair}, "c": np.array(7, dtype=np.float32)}

    adapter = make(Nested, 2)
    adapter.reset()
    adapter.step(np.zeros(2, dtype=np.int64))
    step = adapter.step(np.zeros(2, dtype=np.int64))
    assert step.final_obs["a.b"].tolist() == [[0, 0, 1]] * 2
    assert step.obs["a.b"].tolist() == [[1, 0, 0]] * 2
    assert step.obs["c"].tolist() == [[7.0], [7.0]]
    assert (step.final_obs["a.b0"].tolist(), step.obs["a.b0"].tolist()) == ([[5, 0]] * 2, [[5, 1]] * 2)
