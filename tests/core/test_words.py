"""Rows, keys, schema and task: the words that everything shares."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.rows import Rows, content_keys
from pellucid.core.schema import Field, Player, Schema
from pellucid.core.task import Task

COLUMNS = st.integers(1, 12).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "a": st.lists(st.integers(0, 2), min_size=n, max_size=n).map(np.asarray),
            "b": st.lists(st.sampled_from(["x", "y"]), min_size=n, max_size=n).map(np.asarray),
        }
    )
)


@given(columns=COLUMNS, seed=st.integers(0, 100))
def test_content_keys_are_unique_and_follow_their_rows(columns, seed):
    keys = content_keys(columns)
    assert len(set(keys)) == len(keys)
    order = np.random.default_rng(seed).permutation(len(keys))
    shuffled = content_keys({name: values[order] for name, values in columns.items()})
    assert sorted(shuffled) == sorted(keys)
    plain = [key.partition("#")[0] for key in keys]
    assert [key.partition("#")[0] for key in shuffled] == [plain[i] for i in order]
    rows = list(zip(columns["a"], columns["b"], strict=True))
    for i in range(len(rows)):
        for j in range(len(rows)):
            assert (plain[i] == plain[j]) == (rows[i] == rows[j])


@given(columns=COLUMNS)
def test_appended_rows_change_no_earlier_key(columns):
    longer = {name: np.concatenate([values, values[:1]]) for name, values in columns.items()}
    assert list(content_keys(longer)[:-1]) == list(content_keys(columns))


def test_content_keys_do_not_confuse_columns():
    one = content_keys({"a": np.asarray(["1"]), "b": np.asarray(["2"])})
    assert one[0] != content_keys({"a": np.asarray(["2"]), "b": np.asarray(["1"])})[0]
    assert one[0] != content_keys({"a": np.asarray(["1b=2"]), "b": np.asarray([""])})[0]
    assert one[0] == content_keys({"b": np.asarray(["2"]), "a": np.asarray(["1"])})[0]
    assert len(content_keys({})) == 0


def _rows() -> Rows:
    return Rows(
        np.asarray(["k0", "k1", "k2"]),
        {"x": np.arange(3.0), "s": np.arange(6.0).reshape(3, 2)},
        {"y": np.asarray(["u", "v", "w"])},
        np.asarray(["2020-01-01", "2020-01-02", "2020-01-03"], dtype="datetime64[D]"),
        {"sigma": np.ones(3)},
    )


@pytest.mark.parametrize("index", [np.asarray([2, 0]), np.asarray([True, False, True]), slice(1, None)])
def test_take_keeps_rows_together(index):
    rows = _rows()
    taken = rows.take(index)
    assert len(taken) == 2
    positions = [list(rows.keys).index(key) for key in taken.keys]
    assert np.array_equal(taken.fields["s"], rows.fields["s"][positions])
    assert list(taken.targets["y"]) == [rows.targets["y"][i] for i in positions]
    assert np.array_equal(taken.times, rows.times[positions])
    assert np.array_equal(taken.extra["sigma"], np.ones(2))


def test_rows_of_unequal_length_and_missing_columns_are_named():
    with pytest.raises(DataError, match="'x' has 2 rows, the keys have 3"):
        Rows(np.asarray(["a", "b", "c"]), {"x": np.zeros(2)})
    with pytest.raises(SchemaError, match="lack the field 'sigm'") as caught:
        Rows(np.asarray(["a"]), {"sigma": np.zeros(1)}).column("sigm")
    assert "did you mean 'sigma'?" in str(caught.value)


GROUPED = Field("return", "series", 5, "log return", "", (), (("t", 0, 1), ("t-1..", 1, 5)))
SCHEMA = Schema(
    (GROUPED, Field("sector", "category", categories=("bank", "oil"))),
    {"risk": (Field("log_variance", unit="log variance"),)},
)


def test_players_are_groups_or_fields():
    assert SCHEMA.players(("return", "sector")) == [
        Player("return[t]", "return", slice(0, 1)),
        Player("return[t-1..]", "return", slice(1, 5)),
        Player("sector", "sector", slice(None)),
    ]
    assert [p.name for p in SCHEMA.players(("return", "sector"), "field")] == ["return", "sector"]


def test_schema_and_task_survive_json():
    assert Schema.from_json(json.loads(json.dumps(SCHEMA.to_json()))) == SCHEMA
    task = Task("risk", "volatility", ("return",), ("v",), "log variance", "qlike", ("mean",), {"horizon": 5})
    again = Task.from_json(json.loads(json.dumps(task.to_json())))
    assert again == task
    assert isinstance(again.inputs, tuple)


def test_an_unknown_field_gives_the_nearest():
    with pytest.raises(SchemaError, match="no field 'sektor'") as caught:
        SCHEMA["sektor"]
    assert "did you mean 'sector'?" in str(caught.value)


@pytest.mark.parametrize(
    ("quantiles", "answer"),
    [(None, 0), ([0.05, 0.5, 0.95], 1), ([0.1, 0.4, 0.9, 0.95], 1), ([0.9], 0)],
)
def test_the_answer_of_a_task_is_its_median_or_its_first_output(quantiles: list[float] | None, answer: int) -> None:
    outputs = ("a",) if quantiles is None else tuple(f"h{h}_q{100 * q:g}" for h in (1, 2) for q in quantiles)
    for kind in ("regress", "forecast", "horizons"):
        task = Task("t", kind, (), outputs, "", "", options={} if quantiles is None else {"quantiles": quantiles})
        assert task.answer == task.output(None, where="") == answer


def test_an_output_that_is_not_there_is_told_with_the_nearest() -> None:
    task = Task("t", "regress", (), ("mean", "scale"), "", "")
    assert task.output("scale", where="--output") == 1
    with pytest.raises(SchemaError, match="no output 'scael'; task 't' returns mean, scale") as caught:
        task.output("scael", where="--output")
    assert "did you mean 'scale'" in str(caught.value)
