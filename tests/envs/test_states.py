"""Environments written down and restored: the same steps again, bit for bit; and honesty about the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from env_zoo import Walk
from pellucid.core.errors import SpecError
from pellucid.envs.states import get_single, set_single
from pellucid.envs.vectorise import VectorAdapter, make
from pellucid.runs import statefile

GYMNASIUM = sorted(
    name
    for name, spec in gymnasium.registry.items()
    if str(spec.entry_point).startswith(("gymnasium.envs.classic_control", "gymnasium.envs.toy_text"))
)

SUPPORTED = [
    ("CartPole-v1", {}),
    ("Acrobot-v1", {}),
    ("MountainCar-v0", {}),
    ("MountainCarContinuous-v0", {}),
    ("Pendulum-v1", {}),
    ("pellucid/StockTrading-v0", {"episode_days": 23, "random_start": True}),
    ("pellucid/StockPrice-v0", {"episode_days": 23, "random_start": True}),
]


def sync(env_id: str, kwargs: dict[str, Any], mode: AutoresetMode) -> VectorAdapter:
    """Short episodes, so that ends and resets fall on both sides of the saved moment."""
    limit = {} if "episode_days" in kwargs else {"max_episode_steps": 17}
    makers = [lambda: gymnasium.make(env_id, **kwargs, **limit)] * 3
    return VectorAdapter(SyncVectorEnv(makers, autoreset_mode=mode), env_id, seed=3)


def assert_resumes(build: Any, file: Path | None = None) -> None:
    """Step on past 40 to an end of an episode, save, 60 more; in a fresh one: restore, 60: the same, bit for bit."""
    adapter: VectorAdapter = build()
    assert adapter.resumable
    batch = adapter.env.action_space
    batch.seed(0)
    adapter.reset()
    step = adapter.step(batch.sample())
    while adapter.steps < 40 or not (step.terminated | step.truncated).any():
        step = adapter.step(batch.sample())
    saved = adapter.steps
    state = adapter.get_state()
    if file is not None:
        statefile.save(file, state)
        state = statefile.load(file)
    actions = [batch.sample() for _ in range(60)]
    once = [adapter.step(action) for action in actions]
    ends = adapter.finished
    assert any((step.terminated | step.truncated).any() for step in once)
    for other in (build(), adapter):
        other.set_state(state)
        for name, values in other.obs.items():
            assert np.array_equal(values, state["obs"][name])
        for step, action in zip(once, actions, strict=True):
            again = other.step(action)
            for a, b in zip(step, again, strict=True):
                pairs = [(a[key], b[key]) for key in a] if isinstance(a, dict) else [(a, b)]
                assert all(np.array_equal(x, y) for x, y in pairs)
        assert other.finished == ends
        assert other.steps == saved + 60


@pytest.mark.parametrize(("env_id", "kwargs"), SUPPORTED)
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_sync_batches_resume_bit_for_bit(env_id: str, kwargs: dict[str, Any], mode: AutoresetMode) -> None:
    assert_resumes(lambda: sync(env_id, kwargs, mode))


@pytest.mark.parametrize(("env_id", "kwargs"), [SUPPORTED[0], *SUPPORTED[-2:]])
def test_native_batches_resume_bit_for_bit(env_id: str, kwargs: dict[str, Any]) -> None:
    assert_resumes(lambda: make(env_id, 4, 7, kwargs))


def test_gymnasium_has_what_we_think_it_has() -> None:
    assert {"CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"} < set(GYMNASIUM)
    assert {"FrozenLake-v1", "FrozenLake8x8-v1", "Taxi-v4", "CliffWalking-v1", "Blackjack-v1"} < set(GYMNASIUM)


@pytest.mark.parametrize("env_id", GYMNASIUM)
def test_every_classic_control_and_toy_text_environment(env_id: str, tmp_path: Path) -> None:
    """Through a state file, as a checkpoint goes."""
    kwargs = {} if env_id == "Blackjack-v1" else {"max_episode_steps": 17}
    assert_resumes(lambda: make(env_id, 3, 3, kwargs, own_seeds=True), tmp_path / "state")


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("Taxi-v4", {"is_rainy": True, "fickle_passenger": True}),
        ("FrozenLake-v1", {"is_slippery": False}),
        ("Blackjack-v1", {"natural": True}),
        ("CartPole-v1", {"sutton_barto_reward": True}),
    ],
)
def test_with_other_rules(env_id: str, kwargs: dict[str, Any]) -> None:
    limit = {} if env_id == "Blackjack-v1" else {"max_episode_steps": 17}
    assert_resumes(lambda: make(env_id, 3, 3, {**limit, **kwargs}, own_seeds=True))


DRAWN = {"lastaction", "taxi_orientation", "last_u", "dealer_top_card_suit", "dealer_top_card_value_str"}


def kept(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """Every attribute that could matter: numbers, arrays, hands of cards; pictures apart."""
    plain = (int, float, bool, type(None), np.generic, np.ndarray, list, tuple)
    found = {name: value for name, value in vars(env.unwrapped).items() if isinstance(value, plain)}
    return {name: np.array(value) for name, value in found.items() if name not in DRAWN | {"_np_random_seed"}}


@pytest.mark.parametrize(
    ("env_id", "kwargs"), [*((name, {}) for name in GYMNASIUM), ("Taxi-v4", {"fickle_passenger": True})]
)
def test_no_attribute_is_forgotten(env_id: str, kwargs: dict[str, Any]) -> None:
    """Also of an attribute that a later version of Gymnasium adds."""
    one, other = (gymnasium.make(env_id, **kwargs) for _ in range(2))
    for seed in range(6):  # a passenger is fickle in some episodes only
        one.reset(seed=seed)
        one.action_space.seed(seed)
        one.step(one.action_space.sample())
        other.reset(seed=99)
        set_single(other, get_single(one))
        mine, theirs = kept(one), kept(other)
        assert mine.keys() == theirs.keys()
        assert [name for name in mine if not np.array_equal(mine[name], theirs[name])] == []
        assert one.unwrapped.np_random.bit_generator.state == other.unwrapped.np_random.bit_generator.state


def test_through_wrappers_that_keep_nothing() -> None:
    def wrapped() -> gymnasium.Env[Any, Any]:
        env = gymnasium.make("Pendulum-v1", max_episode_steps=17)
        return wrappers.FlattenObservation(
            wrappers.ClipAction(wrappers.RescaleAction(env, np.float32(-1), np.float32(1)))
        )

    assert_resumes(lambda: make(wrapped, 2, 3))


@pytest.mark.parametrize(
    "source",
    [
        Walk,
        lambda: wrappers.NormalizeObservation(gymnasium.make("CartPole-v1")),  # keeps a mean that nobody can ask for
        lambda: wrappers.RecordEpisodeStatistics(gymnasium.make("CartPole-v1")),
        type("Heavier", (gymnasium.make("CartPole-v1").unwrapped.__class__,), {}),  # may keep more than CartPole does
        "LunarLander-v3",
        "InvertedPendulum-v5",
    ],
)
def test_of_any_other_nothing_is_claimed(source: Any) -> None:
    adapter = make(source, 2)
    assert not adapter.resumable
    adapter.reset()
    with pytest.raises(SpecError, match="cannot be written down") as caught:
        adapter.get_state()
    assert "get_state() and set_state(state)" in caught.value.mend
    adapter.close()


class Kept(Walk):
    """Says itself what its state is."""

    def get_state(self) -> dict[str, Any]:
        return {"x": self.x, "t": self.t, "rng": json.dumps(self.np_random.bit_generator.state)}

    def set_state(self, state: dict[str, Any]) -> None:
        self.x, self.t = state["x"], state["t"]
        self.np_random.bit_generator.state = json.loads(state["rng"])


def test_an_environment_that_can_say_its_state_is_believed() -> None:
    assert_resumes(lambda: make(lambda: Kept(length=6), 3, 3))
    assert_resumes(lambda: make(lambda: wrappers.TimeLimit(Kept(), 7), 3, 3))
    Kept.resumable = False  # type: ignore[attr-defined]  # unless it says that it is not whole
    try:
        assert not make(Kept, 2).resumable
    finally:
        del Kept.resumable  # type: ignore[attr-defined]
