"""A table that is not held in memory is the same table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.data import reading
from pellucid.data.cells import column, number_text
from pellucid.data.quick import number_texts, numbers_of, strings
from pellucid.data.reading import read_source
from pellucid.data.sources import opened
from pellucid.data.tables import read_table


def mixed(n: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "real": rng.normal(size=n) * 10.0 ** rng.integers(-8, 20, n),
            "whole": rng.integers(-5, 5, n),
            "long": rng.integers(0, 2**62, n),
            "gaps": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "flag": rng.random(n) < 0.5,
            "word": rng.choice(["Bonn", "Ulm", ""], n),
            "code": [f"{i % 50:03d}" for i in range(n)],
            "comma": [f"{v:.2f}".replace(".", ",") for v in rng.normal(size=n)],
            "late": ["true"] * (n // 2) + ["maybe"] * (n - n // 2),  # no truth value, which a first part cannot tell
            "constant": 7,
            "free": [f"text {i}" for i in range(n)],
            "y": rng.integers(0, 2, n),
        }
    )
    return pd.concat([frame, frame[:20]], ignore_index=True)  # equal rows, far from each other


def both(source: Any, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Any, Any]:
    small = read_table(source, "y", **options)
    monkeypatch.setattr(reading, "LARGE", 1000)
    monkeypatch.setattr(opened, "CELLS", 5000)
    return small, read_table(source, "y", **options)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_same_table(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, path = mixed(), tmp_path / f"t.{kind}"
    if kind == "csv":
        text = frame.to_csv(index=False).splitlines()
        text[1000] = text[1000].replace(text[1000].partition(",")[0], "lots", 1)
        path.write_text("\n".join(text))
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        path.write_text(frame.to_json(orient="records", lines=True, double_precision=15))
    small, large = both(path, monkeypatch)
    assert read_source(path).large
    assert large.fields == small.fields
    assert large.notes == small.notes
    assert large.quarantine.rows == small.quarantine.rows
    assert small.quarantine.count == (kind == "csv")
    np.testing.assert_array_equal(large.rows.keys, small.rows.keys)
    assert sum("#" in key for key in large.rows.keys) == 20
    np.testing.assert_array_equal(large.rows.targets["target"], small.rows.targets["target"])
    for name, values in small.rows.fields.items():
        got = large.rows.fields[name]
        assert got.dtype == (np.float32 if values.dtype == np.float64 else values.dtype)
        np.testing.assert_array_equal(got, values.astype(got.dtype))


def test_an_id_and_a_value_that_is_infinite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = mixed().assign(id=lambda f: [f"{i:05d}" for i in range(len(f))])
    frame.to_csv(tmp_path / "t.csv", index=False)
    small, large = both(tmp_path / "t.csv", monkeypatch, id="id")
    np.testing.assert_array_equal(large.rows.keys, small.rows.keys)
    frame.loc[2000, "real"] = np.inf
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(Exception, match="column 'real' is infinite in row 2001"):
        read_table(tmp_path / "t.csv", "y", id="id")


def test_what_waits_on_disk_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed().to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setattr(reading, "LARGE", 1000)
    monkeypatch.setattr(opened, "CELLS", 5000)
    found = read_source(tmp_path / "t.csv")
    folder = found._folder
    assert len(list(folder.iterdir())) > 5
    del found
    assert not folder.exists()


def test_progress_rises_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "CELLS", 5000)
    mixed().to_csv(tmp_path / "t.csv", index=False)
    told: list[tuple[float, int]] = []
    read_source(tmp_path / "t.csv", progress=lambda share, rows: told.append((share, rows)))
    assert len(told) > 5
    assert told == sorted(told)
    assert told[-1] == (1.0, 3020)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats() | st.integers(-(10**20), 10**20).map(float), min_size=1, max_size=20))
def test_numbers_are_written_as_cell_by_cell(values: list[float]) -> None:
    numbers = np.asarray(values)
    numbers = np.where(np.isinf(numbers), 0.5, numbers)
    assert number_texts(numbers).to_pylist() == [number_text(v) for v in numbers.tolist()]


SPELT = ["", "007", "-0", "00", "+5", " 3", "1_0", "1e5", "nan", "5.", ".5", "-0.0", "1e-7", "12345678901234567890"]
WRITTEN = st.sampled_from(SPELT)


@settings(max_examples=300, deadline=None)
@given(st.lists(WRITTEN | st.integers().map(str) | st.floats(allow_infinity=False).map(repr), min_size=1, max_size=12))
def test_texts_are_read_as_cell_by_cell(cells: list[str]) -> None:
    series = pd.Series(cells, dtype="str")
    array = strings(series)
    assert array is not None
    numbers = numbers_of(array)
    if numbers is None:
        return  # left to `column`
    slow = column("x", series, "")
    assert slow.numbers is not None
    np.testing.assert_array_equal(numbers, slow.numbers)
    assert number_texts(numbers, array).to_pylist() == slow.texts.tolist()
