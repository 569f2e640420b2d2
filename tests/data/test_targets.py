"""Targets of several labels and of an order: from columns, lists and text; what cannot be one is told."""

import json

import numpy as np
import pandas as pd
import pytest

from pellucid.core.errors import DataError
from pellucid.data.tables import label_column, read_table, table_keys
from pellucid.data.targets import Asked


def frame(**more: object) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(6.0), **more})


LISTS = [["b", "a"], ["a"], [], ["c"], ["a", "c"], ["b"]]
TEXTS = ["a|b", "a", "", "c", "a|c", "b"]


def test_columns_of_zero_and_one_are_labels():
    table = read_table(
        frame(
            a=[1, 1, 0, 0, 1, 0], b=[True, False, False, False, False, True], c=["no", "no", "no", "yes", "yes", "no"]
        ),
        ["a", "b", "c"],
    )
    assert (table.kind, table.classes, table.rows.targets["target"].tolist()) == ("multilabel", ("a", "b", "c"), TEXTS)
    assert [f.name for f in table.fields] == ["x"]


@pytest.mark.parametrize("how", ["lists", "tuples", "text", "commas", "json", "jsonl", "parquet"])
def test_one_column_may_list_them(how, tmp_path):
    asked = Asked("multilabel", separator=", " if how == "commas" else "|")
    cells = {
        "tuples": [tuple(row) for row in LISTS],
        "text": TEXTS,
        "commas": [text.replace("|", ", ") for text in TEXTS],
        "json": [json.dumps(row) for row in LISTS],
    }.get(how, LISTS)
    source: object = frame(y=cells)
    if how == "jsonl":
        source = tmp_path / "t.jsonl"
        source.write_text("".join(json.dumps({"x": i, "y": row}) + "\n" for i, row in enumerate(LISTS)))
    elif how == "parquet":
        frame(y=cells).to_parquet(tmp_path / "t.parquet")
        source = tmp_path / "t.parquet"
    table = read_table(source, "y", asked=asked)
    assert (table.classes, table.rows.targets["target"].tolist()) == (("a", "b", "c"), TEXTS)
    assert any("1 rows of 'y' are empty" in note for note in table.notes)
    if how == "lists":
        assert isinstance(source["y"][0], list), "the caller's table stays as it is"
        np.testing.assert_array_equal(table_keys(source), table.rows.keys)
        found = label_column(source, "y", "multilabel", table.classes)
        np.testing.assert_array_equal(found, table.rows.targets["target"])
        with pytest.raises(DataError, match="the program knows a, b"):
            label_column(source, "y", "multilabel", ("a", "b"))


def test_rows_that_lack_a_label_are_left_out_and_counted():
    table = read_table(frame(a=[1, 0, None, 1, 0, 1], b=[0, 1, 0, 1, 0, 1]), ["a", "b"])
    assert len(table.rows) == 5
    assert "1 rows without 'a' were left out" in table.notes


@pytest.mark.parametrize(
    ("columns", "target", "asked", "told"),
    [
        ({"a": [0, 1, 2, 0, 1, 0], "b": [0, 1] * 3}, ["a", "b"], None, "the label 'a' holds '2'"),
        ({"y": ["a"] * 6}, "y", Asked("multilabel"), "holds 1 label"),
        ({"a|b": [0, 1] * 3, "c": [0, 1] * 3}, ["a|b", "c"], None, "the label 'a|b' holds '|'"),
        ({"y": ["low", "high"] * 3}, "y", Asked("ordinal"), "whose order nobody knows"),
        ({"y": ["low", "high", "top"] * 2}, "y", Asked("ordinal", ("low", "high")), "holds 'top', which its order"),
        ({"a": [0, 1] * 3}, ["a", "b"], None, "no column 'b'"),
    ],
)
def test_what_cannot_be_a_target_is_told(columns, target, asked, told):
    with pytest.raises(DataError, match=told.replace("|", r"\|")):
        read_table(frame(**columns), target, asked=asked)


def test_an_order_is_declared_or_that_of_numbers():
    table = read_table(
        frame(y=["low", "high", "low", "mid", "low", "high"]),
        "y",
        asked=Asked("ordinal", ("low", "mid", "high", "top")),
    )
    assert (table.kind, table.classes) == ("ordinal", ("low", "mid", "high", "top"))
    assert "no row has the class 'top' of the order" in table.notes
    assert read_table(frame(y=[10, 9, 2, 2, 9, 10]), "y", asked=Asked("ordinal")).classes == ("2", "9", "10")
