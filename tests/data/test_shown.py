"""Shown actions are read alike from files, frames and feedback; what is wrong is told with its row."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.schema import Field
from pellucid.core.task import Task
from pellucid.data.shown import correction, read_shown, shown_from_feedback

FIELDS = (Field("angle"), Field("state", "numeric", 3, "one-hot"), Field("lags", "series", 2), Field("unread"))
NAMES = ["left", "right"]


def task(**options):
    base = {"space": "discrete", "actions": 2, "action_names": NAMES}
    return Task(
        "p", "control", ("angle", "state", "lags"), ("a", "b", "value"), "", "negative_reward", (), {**base, **options}
    )


FRAME = pd.DataFrame({"angle": [0.5, -1.0], "state": [2, 0], "lags_0": [1, 2], "lags_1": [3, 4], "action": [1, 0]})


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet"])
def test_read(kind, tmp_path):
    source = FRAME
    if kind != "frame":
        source = tmp_path / f"shown.{kind}"
        FRAME.to_csv(source, index=False) if kind == "csv" else FRAME.to_parquet(source)
    shown = read_shown(source, FIELDS, task())
    assert list(shown.fields) == ["angle", "state", "lags"]
    assert np.array_equal(shown.fields["angle"], [[0.5], [-1.0]])
    assert np.array_equal(shown.fields["state"], [[0, 0, 1], [1, 0, 0]])
    assert np.array_equal(shown.fields["lags"], [[1, 3], [2, 4]])
    assert all(values.dtype == np.float32 for values in shown.fields.values())
    assert np.array_equal(shown.action, [1, 0])


def test_actions_by_name_and_one_hot_columns():
    hot = FRAME.drop(columns="state").assign(state_0=[0, 1], state_1=0, state_2=[1, 0], action=["right", "left"])
    shown = read_shown(hot, FIELDS, task())
    assert np.array_equal(shown.action, [1, 0])
    assert np.array_equal(shown.fields["state"], [[0, 0, 1], [1, 0, 0]])


def test_continuous_actions():
    box = {"space": "box", "low": [-2.0], "high": [2.0]}
    assert np.array_equal(read_shown(FRAME, FIELDS, task(**box, actions=1)).action, [[1.0], [0.0]])
    two = FRAME.assign(action_0=[0.1, 0.2], action_1=[0.3, 0.4])
    assert np.allclose(read_shown(two, FIELDS, task(**box, actions=2)).action, [[0.1, 0.3], [0.2, 0.4]])


def test_feedback_is_the_same_after_json():
    payloads = [
        correction({"angle": [0.5], "state": np.array([0, 0, 1.0]), "lags": np.float32([1, 3])}, np.int64(1)),
        {"state": {"angle": -1.0, "state": [1.0, 0.0, 0.0], "lags": [2, 4]}, "action": "left"},
    ]
    shown = shown_from_feedback(json.loads(json.dumps(payloads)), FIELDS, task())
    expected = read_shown(FRAME, FIELDS, task())
    assert np.array_equal(shown.action, expected.action)
    assert all(np.array_equal(shown.fields[name], expected.fields[name]) for name in expected.fields)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"action": [1, 7]}, DataError, "'action' is '7' in row 2, which is no action"),
        ({"action": ["left", "up"]}, DataError, r"'up' in row 2(.|\n)*0\.\.1 \(left, right\)"),
        ({"angle": [0.5, np.nan]}, DataError, "'angle' is empty in row 2"),
        ({"angle": ["x", 1]}, DataError, "angle"),
        ({"state": [2, 3]}, DataError, r"'state' is 3 in row 2; it is one of 0\.\.2"),
        ({"state": [1.5, 0]}, DataError, "'state' is 1.5 in row 1"),
        ({"angle": None}, SchemaError, "angle"),
        ({"action": None}, SchemaError, "action"),
        ({"lags_1": None}, SchemaError, "lags_1"),
    ],
)
def test_what_is_wrong_is_told(change, error, said):
    frame = FRAME.copy()
    for name, values in change.items():
        frame = frame.drop(columns=name) if values is None else frame.assign(**{name: values})
    with pytest.raises(error, match=said):
        read_shown(frame, FIELDS, task())


def test_an_incomplete_correction_is_told():
    with pytest.raises(DataError, match="correction 1 lacks lags, action"):
        shown_from_feedback([{"state": {"angle": 1, "state": [1, 0, 0]}}], FIELDS, task())
