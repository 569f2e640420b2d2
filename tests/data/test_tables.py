"""Tables: inference, keys, targets, notes, and every bad input by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.errors import DataError, SchemaError
from pellucid.data.tables import Table, read_table, rows_from_frame
from pellucid.data.targets import Asked

RNG = np.random.default_rng(0)


def people(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "number": [f"{i:04d}" for i in range(n)],
            "income": rng.normal(2000, 500, n).round(2),
            "children": rng.integers(0, 4, n),
            "city": rng.choice(["Bonn", "Ulm", "Jena"], n),
            "owner": rng.random(n) < 0.5,
            "country": "DE",
            "note": [f"free text {i}" for i in range(n)],
            "default": rng.choice(["no", "yes"], n),
        }
    )


def write(frame: pd.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"people.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep={"csv": ",", "tsv": "\t", "txt": ";"}[kind])
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "txt", "parquet", "frame"])
def test_the_same_table_from_every_source(kind: str, tmp_path: Path) -> None:
    frame = people()
    frame.loc[3, "income"] = np.nan
    frame.loc[4, "city"] = None
    table = read_table(frame if kind == "frame" else write(frame, tmp_path, kind), "default", "number")
    assert {f.name: f.kind for f in table.fields} == {
        "income": "numeric",
        "children": "numeric",
        "city": "category",
        "owner": "boolean",
    }
    assert table.fields[2].categories == ("Bonn", "Jena", "Ulm")
    assert (table.kind, table.classes) == ("classify", ("no", "yes"))
    assert list(table.rows.keys[:2]) == ["0000", "0001"]
    np.testing.assert_array_equal(table.rows.fields["income"], frame["income"])
    np.testing.assert_array_equal(table.rows.fields["owner"], frame["owner"].astype(float))
    assert table.rows.fields["city"][4] == ""
    assert list(table.rows.targets["target"]) == list(frame["default"])
    assert table.notes == (
        "'country' was left out: it is 'DE' in every row",
        "'note' was left out: text with 60 different values; if it names the rows, give it as the id",
    )


def test_content_keys_do_not_depend_on_the_source(tmp_path: Path) -> None:
    frame = people()
    keys = read_table(frame, "default").rows.keys
    for kind in ("csv", "tsv", "parquet"):
        np.testing.assert_array_equal(read_table(write(frame, tmp_path, kind), "default").rows.keys, keys)


def test_keys_move_with_their_rows_and_survive_appended_rows(tmp_path: Path) -> None:
    frame = people().drop(columns="number")
    frame = pd.concat([frame, frame.iloc[:5]], ignore_index=True)  # equal rows are told apart by #1
    keys = read_table(frame, "default").rows.keys
    assert len(set(keys)) == len(frame)
    order = RNG.permutation(len(frame))
    assert set(read_table(frame.iloc[order], "default").rows.keys) == set(keys)
    more = frame.iloc[:1].astype({"children": object})
    more["children"] = None  # makes a column of integers one of floats
    more["country"] = "FR"  # makes a constant column a field
    more["note"] = "new"
    longer = read_table(pd.concat([frame, more], ignore_index=True), "default")
    np.testing.assert_array_equal(longer.rows.keys[: len(frame)], keys)
    assert "country" in longer.rows.fields
    csv = write(pd.concat([frame, more], ignore_index=True), tmp_path, "csv")
    np.testing.assert_array_equal(read_table(csv, "default").rows.keys[: len(frame)], keys)


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["a", "b"] * 30, "classify", ("a", "b")),
        ([True, False] * 30, "classify", ("False", "True")),
        ([0, 1] * 30, "classify", ("0", "1")),
        ([0.0, 1.0] * 30, "classify", ("0", "1")),
        ([2, 10, 1] * 20, "classify", ("1", "2", "10")),
        (list(range(60)), "regress", ()),
        ([0.5, 1.5] * 30, "regress", ()),
        (["1.5", "-2"] * 30, "regress", ()),
    ],
)
def test_what_a_target_asks_for(values: list[object], kind: str, classes: tuple[str, ...]) -> None:
    table = read_table(people().assign(default=values), "default")
    assert (table.kind, table.classes) == (kind, classes)
    assert set(classes) == (set(table.rows.targets["target"]) if classes else set())
    if kind == "regress":
        np.testing.assert_array_equal(table.rows.targets["target"], np.asarray(values, dtype=float))


def test_the_kind_can_be_given() -> None:
    frame = people().assign(default=[1, 2, 3] * 20)
    assert read_table(frame, "default", asked=Asked("regress")).rows.targets["target"].dtype == np.float64
    assert read_table(frame, "default").kind == "classify"
    with pytest.raises(DataError, match="'yes' in row"):
        read_table(people(), "default", asked=Asked("regress"))
    with pytest.raises(DataError, match="too many classes"):
        read_table(people(), "income", asked=Asked("classify"))


def test_rows_without_a_target_are_left_out_with_a_note() -> None:
    frame = people()
    frame.loc[[2, 7], "default"] = None
    table = read_table(frame, "default", "number")
    assert len(table.rows) == 58
    assert "0002" not in table.rows.keys
    assert table.notes[0] == "2 rows without 'default' were left out"


@pytest.mark.parametrize(
    ("name", "rows", "inputs", "kind", "classes"),
    [
        ("breast_cancer", 569, 30, "classify", ("benign", "malignant")),
        ("iris", 150, 4, "classify", ("setosa", "versicolor", "virginica")),
        ("wine", 178, 13, "classify", ("class_0", "class_1", "class_2")),
        ("digits", 1797, 61, "classify", tuple("0123456789")),
        ("diabetes", 442, 10, "regress", ()),
    ],
)
def test_tables_of_scikit_learn(name: str, rows: int, inputs: int, kind: str, classes: tuple[str, ...]) -> None:
    table = read_table(name, "target")
    assert (len(table.rows), len(table.fields), table.kind, table.classes) == (rows, inputs, kind, classes)


def bad(frame: pd.DataFrame, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read_table(frame, **{"target": "default", **options})  # type: ignore[arg-type]
    assert caught.value.where
    assert caught.value.mend
    return caught.value


def test_misspelt_columns_get_the_nearest_name() -> None:
    assert bad(people(), target="defualt").mend == "did you mean 'default'?"
    assert bad(people(), id="numbr").mend == "did you mean 'number'?"
    assert bad(people(), drop=["ctiy"]).mend == "did you mean 'city'?"


def test_one_value_with_gaps_is_no_constant() -> None:
    frame = people()
    frame.loc[::2, "country"] = None
    table = read_table(frame, "default")
    assert next(f for f in table.fields if f.name == "country").categories == ("DE",)


def test_bad_values_are_named_with_their_row() -> None:
    frame = people()
    frame.loc[6, "income"] = -np.inf
    assert "'income' is infinite in row 7" in bad(frame).what
    assert "'default' is 'no' in every row" in bad(people().assign(default="no")).what
    assert "'default' is empty in every row" in bad(people().assign(default=None)).what
    assert "no column is left" in bad(people()[["country", "default"]]).what
    assert "repeats: 'Ulm' stands in the rows" in bad(people(), id="city").what
    frame = people()
    frame.loc[2, "number"] = None
    assert "the id 'number' is empty in row 3" in bad(frame, id="number").what
    assert "a list in row 1" in bad(people().assign(note=[[1]] * 60)).what
    mostly = people().assign(income=[str(v) for v in people()["income"]])
    mostly.loc[9, "income"] = "12,5"
    read = read_table(mostly, "default")
    assert len(read.rows) == 59
    assert read.notes[0] == (
        "1 of 60 rows were set aside (quarantine): row 10: 'income' holds '12,5', which is no number"
    )
    assert "column names repeat: 'city'" in bad(people().rename(columns={"note": "city"})).what
    assert "no rows" in bad(people().iloc[:0]).what


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n1,2\n", "the first line"),
        (b"a,b\n", "no rows"),
        (b"a,a\n1,2\n", "column names repeat: 'a'"),
        (b"a,\n1,2\n", "column 2 has no name"),
        (b"a,b\n1,2\n1,2,3\n", "1 of 2 rows cannot be read; the first, line 3: 3 cells, the header names 2"),
        (b"a,b\n1,2,3\n1,2,3\n", "2 of 2 rows cannot be read; the first, line 2: 3 cells"),
        (b"a,b\n1,2\n\x00,2\n", "cannot be read as text: byte 0x00 in line 3"),
        (b"a,b\n1,inf\n2,3\n", "'b' is infinite in row 1"),
        (b'a,b\n1,"2\n', "the quote that opens in line 2 is never closed"),
    ],
)
def test_bad_files(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_table(path, "b")
    assert caught.value.where.partition(", line")[0] == str(path)


def test_missing_files_and_broken_parquet(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no such file") as caught:
        read_table(tmp_path / "poeple.csv", "b")
    assert caught.value.mend == "did you mean 'people.csv'?"
    with pytest.raises(DataError) as caught:
        read_table("brest_cancer", "target")
    assert caught.value.mend == "did you mean 'breast_cancer'?"
    with pytest.raises(DataError, match="a folder"):
        read_table(tmp_path, "b")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "t.parquet", "b")


# Prediction: a frame against a known schema


def fitted() -> tuple[pd.DataFrame, Table]:
    frame = people()
    return frame, read_table(frame, "default", "number")


def test_reordered_and_extra_columns_change_nothing() -> None:
    frame, table = fitted()
    shuffled = frame[sorted(frame.columns)].assign(extra=1)
    rows = rows_from_frame(shuffled, table.fields, "number", "default", "classify")
    assert list(rows.fields) == [f.name for f in table.fields]
    for name, values in table.rows.fields.items():
        np.testing.assert_array_equal(rows.fields[name], values)
    np.testing.assert_array_equal(rows.targets["target"], table.rows.targets["target"])
    np.testing.assert_array_equal(rows.keys, table.rows.keys)


def test_renamed_columns_are_refused_with_the_nearest_name() -> None:
    frame, table = fitted()
    with pytest.raises(SchemaError, match="1 of 4 columns are missing: 'income'") as caught:
        rows_from_frame(frame.rename(columns={"income": "incomes"}), table.fields)
    assert caught.value.mend == "'income': did you mean 'incomes'?"


def test_one_row_with_gaps_and_an_unseen_category() -> None:
    _, table = fitted()
    rows = rows_from_frame({"income": [None], "children": [2], "city": ["Kiel"], "owner": [True]}, table.fields)
    assert np.isnan(rows.fields["income"][0])
    assert rows.fields["city"][0] == "Kiel"
    assert rows.fields["owner"][0] == 1.0
    with pytest.raises(DataError, match="'many' in row 1, which is no number"):
        rows_from_frame({"income": [1.0], "children": ["many"], "city": ["Ulm"], "owner": [True]}, table.fields)


def test_a_category_spelt_like_a_gap_or_a_number_stays_itself() -> None:
    table = read_table({"grade": ["?", "1", "x"] * 20, "y": [0, 1] * 30}, "y")
    assert table.fields[0].categories == ("1", "?", "x")
    for cell in ("?", "1", 1, 1.0):
        (value,) = rows_from_frame({"grade": [cell]}, table.fields).fields["grade"]
        assert value == ("?" if cell == "?" else "1")


CELLS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["NA", "1", "inf"])
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, st.sampled_from(["a", "b", None])), max_size=12))
def test_any_cells_give_a_table_or_a_data_error(cells: list[tuple[object, object, object]]) -> None:
    try:
        table = read_table(pd.DataFrame(cells, columns=["p", "q", "y"], dtype=object), "y")
    except DataError:
        return
    assert len(set(table.rows.keys)) == len(table.rows)
    for field in table.fields:
        values = table.rows.fields[field.name]
        assert field.kind == "category" or not np.isinf(values).any()
    again = rows_from_frame({f.name: table.rows.fields[f.name] for f in table.fields}, table.fields)
    for field in table.fields:
        np.testing.assert_array_equal(again.fields[field.name], table.rows.fields[field.name])
