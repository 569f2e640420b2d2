"""Blobs: what comes back is what was put, or a named error with the file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid.core.errors import CorruptBlob, DataError, StoreError
from pellucid.store import Blobs

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@FEW
@given(value=JSON)
def test_json_round_trip_is_canonical(value: Any, blobs: Blobs) -> None:
    sha = blobs.put_json(value)
    back = blobs.get_json(sha)
    assert back == value
    assert json.dumps(back, sort_keys=True) == json.dumps(value, sort_keys=True)  # 1 stays 1, 1.0 stays 1.0
    if isinstance(value, dict):
        assert blobs.put_json(dict(reversed(list(value.items())))) == sha


@FEW
@given(data=st.data())
def test_tensor_round_trip_is_bit_exact(data: st.DataObject, blobs: Blobs) -> None:
    tensors = {}
    for name in data.draw(st.lists(TEXT.filter(lambda t: t != "__metadata__"), unique=True, max_size=4)):
        shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
        raw = data.draw(st.binary(min_size=8 * max(1, int(np.prod(shape))), max_size=400))
        flat = torch.frombuffer(bytearray(raw), dtype=torch.uint8)[: int(np.prod(shape))]
        tensors[name] = flat.reshape(shape).to(data.draw(st.sampled_from(DTYPES)))
    metadata = data.draw(st.dictionaries(TEXT, TEXT, max_size=4))
    sha = blobs.put_tensors(tensors, metadata)
    back = blobs.get_tensors(sha)
    assert list(back) == sorted(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)
    assert blobs.get_metadata(sha) == metadata
    assert blobs.put_tensors(dict(reversed(list(tensors.items()))), dict(reversed(list(metadata.items())))) == sha


@FEW
@given(data=st.data())
def test_table_round_trip(data: st.DataObject, blobs: Blobs) -> None:
    n = data.draw(st.integers(0, 5))
    unit = data.draw(st.sampled_from(["ms", "us", "ns"]))
    integers = st.integers(-(2**63), 2**63 - 1)
    floats = st.floats(width=32, allow_nan=True)
    columns = {
        "key": pd.Series(data.draw(st.lists(TEXT, min_size=n, max_size=n)), dtype="str"),
        "loss": pd.Series(data.draw(st.lists(floats, min_size=n, max_size=n)), dtype="float64"),
        "out:q50": pd.Series(data.draw(st.lists(floats, min_size=n, max_size=n)), dtype="float32"),
        "count": pd.Series(data.draw(st.lists(integers, min_size=n, max_size=n)), dtype="int64"),
        "up": pd.Series(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype="bool"),
        "time": pd.Series(pd.date_range("2018-02-05", periods=n, unit=unit)),
        "sign": pd.Series(pd.Categorical(["up", "down", None, "up", "up"][:n], categories=["up", "down"])),
    }
    if not n:  # Parquet keeps the categories of a column with the rows that use them
        del columns["sign"]
    frame = pd.DataFrame(columns)
    sha = blobs.put_table(frame)
    back = blobs.get_table(sha)
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert blobs.put_table(back) == sha
    assert blobs.put_table(frame.copy()) == sha
    shuffled = frame.set_axis([i + 7 for i in range(n)], axis=0)
    assert blobs.put_table(shuffled) == sha  # a plain integer index is not content


def test_times_in_seconds_come_back_in_milliseconds(blobs: Blobs) -> None:
    frame = pd.DataFrame({"time": pd.date_range("2018-02-05", periods=3, unit="s")})
    back = blobs.get_table(blobs.put_table(frame))
    assert back["time"].dtype == "datetime64[ms]"
    assert (back["time"] == frame["time"]).all()
    assert blobs.put_table(back) == blobs.put_table(frame)


def test_numpy_arrays_and_views_become_tensors_of_their_own(blobs: Blobs) -> None:
    base = torch.arange(12.0).reshape(3, 4).requires_grad_()
    array = np.arange(6, dtype=">i4").reshape(2, 3)
    array.flags.writeable = False
    back = blobs.get_tensors(
        blobs.put_tensors({"t": base.T, "same": base, "a": array, "f": np.float64(2.5), "strided": array[:, ::2]})
    )
    assert torch.equal(back["t"], base.detach().T)
    assert back["same"].is_leaf
    assert not back["same"].requires_grad
    assert back["a"].tolist() == array.tolist()
    assert back["f"].item() == 2.5
    assert back["strided"].tolist() == array[:, ::2].tolist()


def test_numpy_values_become_json(blobs: Blobs) -> None:
    sha = blobs.put_json({"a": np.float32(0.5), "b": np.arange(3), "c": np.bool_(True), "d": (1, "x")})
    assert blobs.get_json(sha) == {"a": 0.5, "b": [0, 1, 2], "c": True, "d": [1, "x"]}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"tasks": [{"value": float("nan")}]}, "tasks[0].value"),
        ({"a": np.array([1.0, np.inf])}, "a[1]"),
        ({"a": {1: "x"}}, "a"),
        ({"a": {1, 2}}, "a"),
        ({"path": Path("x")}, "path"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(value: Any, where: str, blobs: Blobs) -> None:
    with pytest.raises(DataError) as caught:
        blobs.put_json(value)
    assert caught.value.where == where


def test_other_unwritable_json_is_refused(blobs: Blobs) -> None:
    loop: list[Any] = []
    loop.append(loop)
    for value in ("\ud800", 10**5000, loop):
        with pytest.raises(DataError):
            blobs.put_json(value)
    assert blobs.get_json(blobs.put_json([float("nan"), -float("inf"), 1.0], nan="null")) == [None, None, 1.0]


@pytest.mark.parametrize(
    "tensors",
    [
        {"text": np.array(["a", "b"])},
        {"object": np.array([{}], dtype=object)},
        {"sparse": torch.eye(2).to_sparse()},
        {"complex": torch.zeros(1, dtype=torch.complex128)},
    ],
)
def test_what_is_no_tensor_is_refused_by_name(tensors: dict[str, Any], blobs: Blobs) -> None:
    with pytest.raises(DataError, match=r"stored"):
        blobs.put_tensors(tensors)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame({"a": [1]}, index=["x"]), "index"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([0], name="id")), "id"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "twice: a"),
        (pd.DataFrame([[1]], columns=[0]), "column 0"),
        (pd.DataFrame({"mixed": [1, "x", 2.0]}, dtype=object), "mixed"),
    ],
)
def test_tables_that_would_lose_something_are_refused(frame: pd.DataFrame, says: str, blobs: Blobs) -> None:
    with pytest.raises(DataError, match=says):
        blobs.put_table(frame)


def _put_each_kind(blobs: Blobs) -> dict[str, str]:
    return {
        "get_bytes": blobs.put_bytes(b"some bytes"),
        "get_json": blobs.put_json({"a": [1, 2.5, "x"]}),
        "get_tensors": blobs.put_tensors({"w": torch.arange(5.0)}, {"k": "v"}),
        "get_metadata": blobs.put_tensors({"w": torch.arange(5.0)}, {"k": "v"}),
        "get_table": blobs.put_table(pd.DataFrame({"key": ["a", "b"], "loss": [0.5, 1.5]})),
    }


KINDS = list(_put_each_kind(Blobs(Path(tempfile.mkdtemp()))))


@pytest.mark.parametrize("getter", KINDS)
def test_damage_to_each_kind_is_found_when_read(getter: str, blobs: Blobs) -> None:
    sha = _put_each_kind(blobs)[getter]
    path = blobs.path(sha)
    good = path.read_bytes()
    positions = range(len(good)) if len(good) < 200 else range(0, len(good), 37)
    flipped = [good[:i] + bytes([good[i] ^ (1 << i % 8)]) + good[i + 1 :] for i in positions]
    for bad in [*flipped, b"", good[:-1], good[: len(good) // 2], good + b"\0"]:
        path.write_bytes(bad)
        with pytest.raises(CorruptBlob) as caught:
            getattr(blobs, getter)(sha)
        assert caught.value.where == str(path)
        assert caught.value.mend
    path.unlink()
    with pytest.raises(CorruptBlob, match="missing") as caught:
        getattr(blobs, getter)(sha)
    assert caught.value.where == str(path)
    path.mkdir()
    with pytest.raises(StoreError, match="folder lies"):
        getattr(blobs, getter)(sha)


def test_putting_again_mends_a_damaged_blob(blobs: Blobs) -> None:
    sha = blobs.put_bytes(b"abcdef")
    blobs.path(sha).write_bytes(b"abcdeX")
    assert blobs.put_bytes(b"abcdef") == sha
    assert blobs.get_bytes(sha) == b"abcdef"


@pytest.mark.parametrize("getter", KINDS)
def test_a_sound_blob_of_another_kind_is_a_named_error(getter: str, blobs: Blobs) -> None:
    for kind, sha in _put_each_kind(blobs).items():
        if getter == "get_bytes" or kind == getter or {kind, getter} == {"get_tensors", "get_metadata"}:
            continue
        with pytest.raises(StoreError, match="does not hold"):
            getattr(blobs, getter)(sha)


@pytest.mark.parametrize("name", ["", "abc", "../../etc/passwd", "A" * 64, "0" * 63 + "\n", None])
def test_only_hashes_name_blobs(name: Any, blobs: Blobs) -> None:
    with pytest.raises(StoreError, match="name of a blob"):
        blobs.get_bytes(name)


def test_equal_tensors_give_equal_bytes_in_every_process(blobs: Blobs) -> None:
    # safetensors writes its metadata in a random order unless one key holds them all
    metadata = {f"k{i}": str(i) for i in range(12)}
    assert len({blobs.put_tensors({"w": torch.ones(2)}, metadata) for _ in range(20)}) == 1


def test_references_go_through_json_and_ignore_other_hashes(blobs: Blobs) -> None:
    weights = blobs.put_tensors({"w": torch.ones(2)})
    chunk = blobs.put_bytes(b"chunk")
    index = blobs.put_json({"chunks": [chunk], "data": "f" * 64})
    assert blobs.references({"net": {"w": weights}, "replay": index, "spec": "e" * 64}) == sorted(
        [weights, chunk, index]
    )
