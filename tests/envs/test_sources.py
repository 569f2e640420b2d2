"""An id, an Env, a VectorEnv or a callable; and the names of those that are no id."""

from __future__ import annotations

import gc
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from env_zoo import Walk
from pellucid.core.errors import MissingExtra, SpecError
from pellucid.envs.making import Stepping, name_given, room, stepping_of, using
from pellucid.envs.singles import Singles
from pellucid.envs.vectorise import make
from pellucid.envs.workers import Workers


def test_a_native_batch_is_used_where_there_is_one() -> None:
    assert isinstance(make("CartPole-v1", 3).env, CartPoleVectorEnv)
    assert isinstance(make("CartPole-v1", 3, own_seeds=True).env, Singles)  # it draws all beginnings from one generator
    assert isinstance(make("Acrobot-v1", 3).env, Singles)
    assert not isinstance(make("pellucid/StockTrading-v0", 3, own_seeds=True).env, Singles)


def test_a_native_batch_without_its_engine_is_refused_by_name() -> None:
    try:
        import jax  # noqa: F401
    except ImportError:
        with pytest.raises((SpecError, MissingExtra), match="phys2d"):
            make("phys2d/CartPole-v1", 2)
    else:
        assert make("phys2d/CartPole-v1", 2).mode is AutoresetMode.NEXT_STEP


def test_every_kind_of_object_has_a_name_and_room() -> None:
    def cart() -> gymnasium.Env[Any, Any]:
        return gymnasium.make("CartPole-v1")

    batch = SyncVectorEnv([Walk, Walk])
    for source, name, places in (
        (cart(), "given:CartPole-v1", 1),
        (cart, "given:CartPole-v1", None),
        (Walk, "given:Walk", None),
        (Walk(), "given:Walk", 1),
        (batch, "given:Walk", 2),
        (lambda: batch, "given:Walk", 2),
    ):
        found, kept = name_given(source)
        assert found == name
        with using(given={name: kept}):
            assert room(name) == places
            adapter = make(name, places or 3, 5)
            assert (adapter.env_id, adapter.num_envs) == (name, places or 3)
            adapter.reset()
    assert room("CartPole-v1") is None
    with pytest.raises(SpecError, match="int is no environment"):
        name_given(3)


def test_given_names_hold_inside_only() -> None:
    with using(given={"given:Walk": Walk}):
        with using(given={"given:Other": Walk}):
            assert make("given:Walk", 2).num_envs == 2
        with pytest.raises(SpecError, match="the environment 'Other' was given as an object"):
            make("given:Other")
    with pytest.raises(SpecError, match="the environment 'Walk' was given as an object, which is not kept") as caught:
        make("given:Walk", 2)
    assert caught.value.where == "given:Walk"
    assert "env=..." in caught.value.mend


def test_an_object_is_left_open_and_can_be_used_again() -> None:
    env = Walk()
    closed = []
    env.close = lambda: closed.append(1)  # type: ignore[method-assign]
    for _ in range(2):
        adapter = make(env)
        adapter.reset()
        adapter.step(np.zeros(1, dtype=np.int64))
        adapter.close()
        del adapter
        gc.collect()
    assert closed == []
    owned = make(lambda: env)
    owned.close()
    assert closed == [1]


def test_how_an_environment_is_stepped_can_be_said_around() -> None:
    with using(stepping={"Acrobot-v1": Stepping(2, 9.0)}):
        assert stepping_of("Acrobot-v1") == Stepping(2, 9.0)
        assert stepping_of("Pendulum-v1") == Stepping()
        adapter = make("Acrobot-v1", 2)
        assert isinstance(adapter.env, Workers)
        assert adapter.env.timeout_s == 9.0
        adapter.close()
    assert isinstance(make("Acrobot-v1", 2).env, Singles)
