"""Datasets of Hugging Face, by a stand-in that has what is asked of a `Dataset`: Arrow, features, a selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pellucid.core.errors import DataError
from pellucid.data.sources.hugging import is_dataset
from pellucid.data.sources.memory import as_frame
from pellucid.data.tables import read_table


class ClassLabel:
    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)


class Value:
    pass


class Dataset:
    """Rows of an Arrow table, in the order of `picked`, as `datasets.Dataset` keeps a selection."""

    def __init__(self, table: pa.Table, features: dict[str, Any], picked: Sequence[int] | None = None) -> None:
        self.data, self.features, self.format = table, features, "python"
        self.picked = list(range(len(table))) if picked is None else list(picked)

    def with_format(self, kind: str) -> Dataset:
        found = Dataset(self.data, self.features, self.picked)
        found.format = kind
        return found

    def select(self, rows: Sequence[int]) -> Dataset:
        return Dataset(self.data, self.features, [self.picked[i] for i in rows])

    def __len__(self) -> int:
        return len(self.picked)

    def __getitem__(self, key: slice) -> Any:
        assert (self.format, key) == ("arrow", slice(None))
        return self.data.take(pa.array(self.picked))


class Iterable:
    features: dict[str, Any] = {}  # noqa: RUF012

    def with_format(self, kind: str) -> Iterable:
        return self


class DatasetDict(dict[str, Any]):
    pass


def table() -> pa.Table:
    g = np.random.default_rng(1)
    a = g.normal(size=120)
    label = np.where(g.random(120) < 0.05, -1, (a > 0).astype(int))
    return pa.table({"a": a, "town": np.asarray(["x", "y", "z"])[g.integers(3, size=120)], "label": label})


def dataset() -> Dataset:
    return Dataset(table(), {"a": Value(), "town": Value(), "label": ClassLabel(["neg", "pos"])})


def test_rows_types_and_names_of_classes() -> None:
    frame, plain = as_frame(dataset()), table().to_pandas()
    assert list(frame) == ["a", "town", "label"]
    assert np.array_equal(frame["a"], plain["a"])
    wanted = plain["label"].map({0: "neg", 1: "pos", -1: None})
    assert frame["label"].fillna("?").tolist() == wanted.fillna("?").tolist()


def test_a_selection_is_respected() -> None:
    picked = [7, 3, 3, 110]
    assert as_frame(dataset().select(picked))["a"].tolist() == table().to_pandas()["a"].iloc[picked].tolist()


def test_it_is_the_table_of_its_frame() -> None:
    known = dataset().select([i for i, code in enumerate(table()["label"].to_pylist()) if code >= 0])
    ours, theirs = read_table(known, "label"), read_table(as_frame(known), "label")
    assert ours.kind == theirs.kind == "classify"
    assert ours.classes == ("neg", "pos")
    assert np.array_equal(ours.rows.keys, theirs.rows.keys)


def test_one_split_is_a_table_and_several_are_not() -> None:
    assert len(as_frame(DatasetDict(train=dataset()))) == 120
    with pytest.raises(DataError, match="2 splits: train, test") as caught:
        as_frame(DatasetDict(train=dataset(), test=dataset()))
    assert "data['train']" in str(caught.value)


def test_rows_that_can_only_be_gone_through_are_refused() -> None:
    with pytest.raises(DataError, match="only be gone through"):
        as_frame(Iterable())


def test_what_is_no_dataset() -> None:
    for other in (pd.DataFrame({"a": [1]}), {"a": [1]}, {}, table(), [{"a": 1}], np.zeros((2, 2))):
        assert not is_dataset(other)
