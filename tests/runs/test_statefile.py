"""A state file: what was saved comes back, anything else is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.errors import CorruptBlob, StoreError
from pellucid.runs import statefile

STATE = {
    "stage": "fold 1 of 3",
    "weights": {"a.b": torch.arange(6.0).reshape(2, 3), "empty": torch.zeros(0)},
    "numbers": np.arange(4, dtype=np.int64),
    "nested": [1, 2.5, None, True, {"x": float("inf")}],
}


def test_round_trip(tmp_path):
    path = tmp_path / "run.state"
    statefile.save(path, STATE)
    found = statefile.load(path)
    assert torch.equal(found["weights"]["a.b"], STATE["weights"]["a.b"])
    assert found["weights"]["empty"].shape == (0,)
    assert np.array_equal(found["numbers"], STATE["numbers"])
    assert (found["stage"], found["nested"]) == (STATE["stage"], STATE["nested"])
    statefile.save(path, {"stage": "later"})
    assert statefile.load(path) == {"stage": "later"}
    assert [p.name for p in tmp_path.iterdir()] == ["run.state"]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_no_damaged_file_is_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("state") / "x"
    statefile.save(path, STATE)
    whole = path.read_bytes()
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        damaged = whole[:at] + bytes([whole[at] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[at + 1 :]
    path.write_bytes(damaged)
    with pytest.raises(CorruptBlob) as caught:
        statefile.load(path)
    assert str(path) in str(caught.value)
    assert "mend:" in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        statefile.load(tmp_path / "none.state")
