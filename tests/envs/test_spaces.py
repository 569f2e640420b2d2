"""Observations of every kind as named fields: their names, shapes and values."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from env_zoo import Rich, Walk
from pellucid.core.errors import EnvironmentFault, SpecError
from pellucid.core.schema import Schema
from pellucid.envs.names import image_shape, observation_fields
from pellucid.envs.vectorise import VectorAdapter, make


def seeing(space: spaces.Space[Any], show: Any) -> Any:
    """A maker of environments that observe `show(step)`."""
    return type("Seeing", (Walk,), {"observation_space": space, "look": lambda self: show(self.t)})


ONE = np.zeros(1, dtype=np.int64)


@pytest.mark.parametrize(
    "batch", [lambda: make(Rich, 2, 3), lambda: VectorAdapter(SyncVectorEnv([Rich, Rich]), seed=3)]
)
def test_everything_at_once(batch: Any) -> None:
    adapter = batch()
    kinds = {field.name: (field.kind, field.width, field.shape) for field in adapter.fields}
    assert kinds == {
        "bits": ("series", 2, ()),
        "body.0": ("series", 2, ()),
        "body.1": ("numeric", 3, ()),
        "eye": ("image", 216, (8, 9, 3)),
        "keys_0": ("numeric", 2, ()),
        "keys_1": ("numeric", 4, ()),
    }
    adapter.reset()
    for _ in range(2):
        adapter.step(np.ones(2, dtype=np.int64))
    obs = adapter.obs
    assert all(values.dtype == np.float32 and values.shape == (2, kinds[name][1]) for name, values in obs.items())
    assert obs["bits"].tolist() == [[0, 1]] * 2
    assert obs["body.0"][:, 1].tolist() == [2, 2]
    assert obs["body.1"].tolist() == [[0, 0, 1]] * 2  # the third state, counted from 1
    assert obs["keys_0"].tolist() == [[1, 0]] * 2
    assert obs["keys_1"].tolist() == [[0, 0, 1, 0]] * 2
    eye = obs["eye"].reshape(2, 8, 9, 3)
    assert eye[:, 2, 2, 1].tolist() == [1.0, 1.0]  # 255 bytes are 1
    assert eye.sum() == 2.0


def test_an_image_alone_is_called_so_and_scaled() -> None:
    ramp = np.arange(80, dtype=np.uint8).reshape(8, 10)
    adapter = make(seeing(spaces.Box(0, 255, (8, 10), np.uint8), lambda t: ramp))
    (field,) = adapter.fields
    assert (field.name, field.kind, field.shape, field.width) == ("image", "image", (8, 10, 1), 80)
    np.testing.assert_allclose(adapter.reset()["image"][0], ramp.ravel() / 255, rtol=1e-6)


def test_channels_first_are_moved_to_the_end() -> None:
    frames = np.zeros((4, 9, 8), np.uint8)
    frames[3, 5, 6] = 51
    adapter = make(seeing(spaces.Box(0, 255, (4, 9, 8), np.uint8), lambda t: frames))
    (field,) = adapter.fields
    assert field.shape == (9, 8, 4)
    image = adapter.reset()["image"].reshape(9, 8, 4)
    assert np.argwhere(image).tolist() == [[5, 6, 3]]
    assert image[5, 6, 3] == np.float32(51 / 255)


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (spaces.Box(0, 255, (84, 84, 4), np.uint8), (84, 84, 4)),
        (spaces.Box(0, 255, (3, 96, 96), np.uint8), (96, 96, 3)),
        (spaces.Box(0, 255, (210, 160), np.uint8), (210, 160, 1)),
        (spaces.Box(0, 255, (7, 7, 3), np.uint8), None),  # a grid of codes
        (spaces.Box(0, 255, (128,), np.uint8), None),  # memory
        (spaces.Box(0, 1, (84, 84, 3), np.float32), None),
        (spaces.Box(0, 255, (32, 32, 32), np.uint8), None),
        (spaces.Discrete(3), None),
    ],
)
def test_what_is_a_picture(space: spaces.Space[Any], shape: Any) -> None:
    assert image_shape(space) == shape


def test_a_field_with_a_shape_is_kept_in_the_schema() -> None:
    fields = observation_fields(Rich())
    schema = Schema(fields, {"p": ()})
    assert Schema.from_json(schema.to_json()) == schema
    assert ["shape" in raw for raw in schema.to_json()["inputs"]] == [field.kind == "image" for field in fields]


def test_a_tuple_has_known_or_numbered_parts() -> None:
    assert [field.name for field in make("Blackjack-v1").fields] == ["player_sum", "dealer_card", "usable_ace"]
    hand = make("Blackjack-v1", 1, 4)
    hand.reset()
    raw = hand.env.envs[0].unwrapped._get_obs()
    assert [int(hand.obs[name][0].argmax()) for name in hand.obs] == [int(value) for value in raw]
    pair = make(seeing(spaces.Tuple([spaces.Box(0, 9, ()), spaces.Discrete(2)]), lambda t: (np.float32(t), t % 2)))
    assert [field.name for field in pair.fields] == ["part_0", "part_1"]


def test_too_many_states_are_refused_with_their_name() -> None:
    with pytest.raises(SpecError, match="an observation of 100000 states is too wide") as caught:
        make(seeing(spaces.Dict({"word": spaces.Discrete(100_000)}), lambda t: {"word": t}))
    assert "part 'word'" in caught.value.where


def test_choices_that_do_not_begin_at_zero() -> None:
    class From(Walk):
        action_space = spaces.Discrete(2, start=5)

        def step(self, action: Any) -> Any:
            assert action in self.action_space
            return super().step(action == 6)

    adapter = make(From, 2, 3)
    before = adapter.reset()["obs_0"].copy()
    moved = adapter.step(np.array([0, 1])).obs["obs_0"] - before
    np.testing.assert_allclose(moved.ravel(), [-0.1, 0.1], atol=1e-6)


CHANGES = {
    "image as numbers": ("eye", np.zeros((8, 9, 3), np.float32), "returned 'eye' as float32; its space says uint8"),
    "image of another size": ("eye", np.zeros((9, 9, 3), np.uint8), "returned 'eye' of shape (9, 9, 3)"),
    "state out of range": ("body", (np.zeros(2), 4), "4 of environment 1 is none of its 3 states"),
    "half a state": ("body", (np.zeros(2), 1.5), "returned 'body.1' as float64; its space says int64"),
    "a part is missing": ("body", (np.zeros(2),), "without 'body.1'"),
    "text": ("bits", "no", "returned 'bits' as str, no numbers"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_change_in_the_middle_is_a_fault_with_its_field(name: str, workers: int) -> None:
    from pellucid.envs.making import Stepping

    part, value, phrase = CHANGES[name]

    class Changing(Rich):
        def look(self) -> Any:
            return {**super().look(), **({part: value} if self.t == 2 and self.second else {})}

    made: list[Changing] = []

    def one() -> Changing:
        made.append(Changing())
        made[-1].second = len(made) == 2  # type: ignore[attr-defined]
        return made[-1]

    adapter = make(one, 2, 8, stepping=Stepping(workers))
    adapter.reset()
    adapter.step(np.zeros(2, dtype=np.int64))
    with pytest.raises(EnvironmentFault) as caught:
        adapter.step(np.zeros(2, dtype=np.int64))
    adapter.close()
    assert phrase in caught.value.what
    assert "step 2, seed 8" in caught.value.where
    if "range" not in name:
        assert "environment 1 of 2 (seed 9)" in caught.value.where


def test_the_fields_of_a_wrapped_environment_are_those_it_shows() -> None:
    flat = gymnasium.wrappers.FlattenObservation(Walk())
    assert [field.name for field in observation_fields(flat)] == ["obs_0", "obs_1"]
