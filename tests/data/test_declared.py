"""What a spec says of columns: kinds, orders, dates, rare words, scales; the same at predict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.errors import DataError, SchemaError, SpecError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.data.declared import unseen
from pellucid.data.encoding import Encoding
from pellucid.data.tables import read_table, rows_from_frame
from pellucid.spec.loader import build_spec
from pellucid.spec.model import FieldSpec


def frame(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.date_range("2019-12-20", periods=n)
    return pd.DataFrame(
        {
            "risk": rng.choice(["low", "mid", "high"], n),
            "opened": days.strftime("%d.%m.%Y"),
            "city": ["Ulm"] * (n - 6) + ["Bern"] * 4 + ["Graz"] * 2,
            "code": rng.integers(1, 4, n),
            "income": np.exp(3 * rng.normal(size=n)),
            "y": rng.normal(size=n),
        }
    )


def said(**fields: dict[str, Any]) -> dict[str, FieldSpec]:
    return {name: FieldSpec(**value) for name, value in fields.items()}


def test_an_order_is_an_increasing_number() -> None:
    given = frame()
    table = read_table(given, "y", declared=said(risk={"order": ["low", "mid", "high"]}))
    field = next(f for f in table.fields if f.name == "risk")
    assert (field.kind, field.categories, field.description) == (
        "numeric",
        ("low", "mid", "high"),
        "0 low, 1 mid, 2 high",
    )
    assert table.rows.fields["risk"].tolist() == given["risk"].map({"low": 0, "mid": 1, "high": 2}).tolist()
    with pytest.raises(DataError, match="holds 'high', which its order does not name"):
        read_table(given, "y", declared=said(risk={"order": ["low", "mid"]}))


def test_a_date_becomes_parts_with_honest_names() -> None:
    given = frame()
    table = read_table(given, "y", declared=said(opened={"kind": "date"}))
    days = pd.to_datetime(given["opened"], format="%d.%m.%Y")
    parts = {name: x for name, x in table.rows.fields.items() if name.startswith("opened")}
    assert list(parts) == ["opened.year", "opened.month", "opened.weekday", "opened.days"]
    assert parts["opened.year"].tolist() == days.dt.year.tolist()
    assert parts["opened.month"].tolist() == days.dt.month.tolist()
    assert parts["opened.weekday"].tolist() == days.dt.day_of_week.tolist()
    assert parts["opened.days"].tolist() == [(day - pd.Timestamp(0)).days for day in days]
    with pytest.raises(DataError, match="no date"):
        read_table(given, "y", declared=said(city={"kind": "date"}))


def test_a_date_within_one_year_has_no_year() -> None:
    given = frame().iloc[15:]
    table = read_table(given, "y", declared=said(opened={"kind": "date"}))
    assert "opened.year" not in table.rows.fields
    assert "'opened.year' was left out: it is the same in every row" in table.notes


def test_rare_words_are_one() -> None:
    table = read_table(frame(), "y", declared=said(city={"rare": 5}))
    field = next(f for f in table.fields if f.name == "city")
    assert field.categories == ("Ulm",)
    assert "'city': 2 values in fewer than 5 rows each (6 rows) are one" in table.notes
    block = Encoding.fit([field], table.rows).encode(table.rows)["city"]
    assert block.shape == (60, 2)
    assert block[-6:].tolist() == [[0.0, 1.0]] * 6


def test_kinds_units_and_drops() -> None:
    table = read_table(
        frame(),
        "y",
        declared=said(code={"kind": "category", "description": "plant"}, income={"unit": "EUR"}, risk={"drop": True}),
    )
    fields = {f.name: f for f in table.fields}
    assert (fields["code"].kind, fields["code"].categories, fields["code"].description) == (
        "category",
        ("1", "2", "3"),
        "plant",
    )
    assert fields["income"].unit == "EUR"
    assert "risk" not in fields
    with pytest.raises(DataError, match="no column 'incone' \\(fields\\)"):
        read_table(frame(), "y", declared=said(incone={"unit": "EUR"}))


def test_at_predict_the_same_columns_give_the_same_rows() -> None:
    declared = said(
        risk={"order": ["low", "mid", "high"]}, opened={"kind": "date"}, code={"kind": "category"}, city={"rare": 5}
    )
    given = frame()
    table = read_table(given, "y", declared=declared)
    fields = Schema.from_json(Schema(table.fields, {}).to_json()).inputs
    assert fields == table.fields
    again = rows_from_frame(given[["y", "opened", "income", "code", "city", "risk"]].assign(more=1), fields)
    for name, values in table.rows.fields.items():
        assert again.fields[name].tolist() == values.tolist(), name
    with pytest.raises(SchemaError, match="1 of 5 columns are missing: 'opened'"):
        rows_from_frame(given.drop(columns="opened"), fields)
    strange = given.assign(risk="unheard of", city=["Ulm", "Rome"] * 30)
    rows = rows_from_frame(strange, fields)
    assert np.isnan(rows.fields["risk"]).all()
    assert unseen(rows, fields) == {"city": 30}


@given(st.integers(0, 1000), st.sampled_from(["robust", "quantile"]))
@settings(max_examples=30, deadline=None)
def test_heavy_tails_are_tamed_by_what_training_saw(seed: int, scale: str) -> None:
    rng = np.random.default_rng(seed)
    x = np.exp(3 * rng.normal(size=400))
    rows = Rows(np.arange(400).astype(str), {"x": x})
    encoding = Encoding.fit([Field("x", scale=scale)], rows)
    z = encoding.encode(rows)["x"][:, 0].double().numpy()
    order = np.argsort(x)
    assert (np.diff(z[order]) >= -1e-6).all()
    assert abs(np.median(z)) < 0.05
    if scale == "quantile":
        assert np.abs(z).max() <= 3.0 + 1e-6
        assert 0.8 < z.std() < 1.2
        inner = np.abs(z) < 2
        assert np.allclose(encoding.decode("x", encoding.encode(rows)["x"])[:, 0].numpy()[inner], x[inner], rtol=1e-3)
    loaded = Encoding.from_json(encoding.to_json())
    wild = Rows(np.arange(3).astype(str), {"x": np.array([1e12, -5.0, np.nan])})
    assert np.array_equal(loaded.encode(wild)["x"].numpy(), encoding.encode(wild)["x"].numpy())
    assert np.isfinite(loaded.encode(wild)["x"].numpy()).all()


def test_what_was_written_before_still_loads_and_is_written_alike() -> None:
    old = {"x": {"kind": "numeric", "width": 1, "mean": 2.0, "sd": 3.0, "missing": False, "categories": ()}}
    assert Encoding.from_json(old).to_json() == old
    field = {"name": "x", "kind": "numeric", "width": 1, "unit": "", "description": "", "categories": (), "groups": ()}
    assert Schema.from_json({"inputs": [field], "outputs": {}}).to_json() == {"inputs": [field], "outputs": {}}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"a": {"kind": "ordinal"}}, "data.fields.a.order: got no order"),
        ({"a": {"kind": "numeric", "order": ["x", "y"]}}, "data.fields.a.kind: got numeric with an order"),
        ({"a": {"order": ["x", "x"]}}, "data.fields.a.order: got a word twice"),
        ({"y": {"drop": True}}, "data.fields.y: got the target 'y'"),
    ],
)
def test_what_a_spec_cannot_say(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError) as error:
        build_spec(name="t", data={"kind": "table", "source": "a.csv", "target": "y", "fields": fields})
    assert problem in str(error.value)
