"""Any nested state goes through bytes and comes back, bit for bit."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from pellucid.train.state import flatten, restore

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**130), 2**130) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/._", max_size=4), inner, max_size=3),
    max_leaves=10,
)


def _through_bytes(state):
    arrays, tree = flatten(state)
    return restore(load(save(arrays)), json.loads(json.dumps(tree)))


@given(state=JSON)
def test_json_values_come_back(state):
    """Integers of 128 bits too: the state of a bit generator."""
    assert _through_bytes({"state": state}) == {"state": state}


ARRAYS = [
    torch.randn(3, 4),
    torch.tensor(2.5, dtype=torch.float64),
    torch.arange(4),
    torch.tensor([True, False]),
    torch.empty(0, 3),
    torch.randn(4, 6).t(),  # not contiguous
    torch.tensor([float("nan"), float("inf"), -0.0]),
    np.float32([[1.5, 2.5]]),
    np.arange(3, dtype=np.int64),
    np.array(7.25),
    np.array([True, False]),
    np.arange(12.0).reshape(3, 4)[:, ::2],
    np.zeros((0, 2)),
    np.arange(3, dtype=np.uint8),
]


@pytest.mark.parametrize("array", ARRAYS, ids=range(len(ARRAYS)))
def test_arrays_keep_kind_type_shape_and_bits(array):
    again = _through_bytes({"a": [{"b": array}]})["a"][0]["b"]
    assert type(again) is type(array)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert np.ascontiguousarray(again).tobytes() == np.ascontiguousarray(array).tobytes()


def test_what_comes_back_can_be_written():
    again = _through_bytes({"a": np.zeros(3), "t": torch.zeros(3)})
    again["a"] += 1
    again["t"] += 1
    arrays, _ = flatten(again)
    assert arrays["/a"].tolist() == [1, 1, 1]


def test_flatten_copies():
    """A checkpoint taken now does not change with the weights."""
    weights, numbers = torch.zeros(3), np.zeros(3)
    arrays, _ = flatten({"w": weights, "n": numbers})
    weights += 1
    numbers += 1
    assert float(arrays["/w"].sum()) == float(arrays["/n"].sum()) == 0


def test_generators_come_back():
    rng = np.random.default_rng(3)
    rng.random(5)
    again = np.random.default_rng(0)
    again.bit_generator.state = _through_bytes(rng.bit_generator.state)
    assert again.random() == rng.random()


def test_tuples_come_back_as_lists_and_numpy_scalars_as_numbers():
    assert _through_bytes({"a": (1, (2.5,)), "b": np.float64(1.5), "c": np.int64(3)}) == {
        "a": [1, [2.5]],
        "b": 1.5,
        "c": 3,
    }


def test_slashes_in_names_do_not_confuse():
    state = {"a/b": torch.zeros(1), "a": {"b": torch.ones(1), "b'": torch.full((1,), 2.0)}}
    again = _through_bytes(state)
    assert again["a/b"].tolist() == [0.0]
    assert again["a"]["b"].tolist() == [1.0]
    assert again["a"]["b'"].tolist() == [2.0]


@pytest.mark.parametrize("odd", [{1, 2}, object(), b"bytes", 1j])
def test_anything_else_is_refused_with_its_path(odd):
    with pytest.raises(TypeError, match="'/a/0'"):
        flatten({"a": [odd]})


@pytest.mark.parametrize("array", [np.array(["a"]), np.array(["2020-01-01"], dtype="datetime64[D]"), np.array([None])])
def test_arrays_of_other_things_are_refused_with_their_path(array):
    with pytest.raises(TypeError, match="'/a'"):
        flatten({"a": array})


def test_a_dict_that_looks_like_a_mark_is_refused():
    with pytest.raises(TypeError, match="__array__"):
        flatten({"a": {"__array__": "x"}})
