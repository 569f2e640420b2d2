"""The same table from every source, and every bad source by name."""

from __future__ import annotations

import datetime
import gzip
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from pellucid.core.errors import DataError, MissingExtra
from pellucid.data.reading import read_source
from pellucid.data.sources import ALL
from pellucid.data.tables import read_table
from pellucid.spec.loader import build_spec
from pellucid.spec.model import ReadSpec, relocated, source_kind


def table(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "income": rng.normal(2000, 500, n).round(2),
            "children": rng.integers(0, 4, n),
            "city": rng.choice(["Bonn", "Köln, Süd", 'the "old" town'], n),
            "owner": rng.random(n) < 0.5,
            "y": rng.choice(["no", "yes"], n),
        }
    )


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def csv(frame: pd.DataFrame, **options: Any) -> bytes:
    return frame.to_csv(index=False, **options).encode()


def lines(frame: pd.DataFrame) -> bytes:
    return frame.to_json(orient="records", lines=True, double_precision=15).encode()


def array(frame: pd.DataFrame) -> bytes:
    return frame.to_json(orient="records", double_precision=15).encode()


def arrow(frame: pd.DataFrame) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.feather.write_feather(frame, sink)
    return sink.getvalue().to_pybytes()


def stream(frame: pd.DataFrame) -> bytes:
    sink = pa.BufferOutputStream()
    data = pa.Table.from_pandas(frame)
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write_table(data)
    return sink.getvalue().to_pybytes()


FILES: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "t.csv": csv,
    "t.tsv": lambda f: csv(f, sep="\t"),
    "semicolon.csv": lambda f: csv(f, sep=";"),
    "pipe.txt": lambda f: csv(f, sep="|"),
    "dos.csv": lambda f: csv(f, lineterminator="\r\n"),
    "bom.csv": lambda f: b"\xef\xbb\xbf" + csv(f),
    "utf16.csv": lambda f: f.to_csv(index=False).encode("utf-16"),
    "t.csv.gz": lambda f: gzip.compress(csv(f)),
    "t.csv.zst": lambda f: zstd(csv(f)),
    "packed.csv": lambda f: gzip.compress(csv(f)),
    "t.jsonl": lines,
    "t.ndjson.gz": lambda f: gzip.compress(lines(f)),
    "t.json": array,
    "lines.json": lines,
    "below.json": lambda f: b'{"count": 40, "items": ' + array(f) + b"}",
    "t.parquet": lambda f: f.to_parquet(),
    "t.parquet.zst": lambda f: zstd(f.to_parquet()),
    "t.arrow": arrow,
    "t.feather": arrow,
    "stream.arrow": stream,
    "noname": csv,
    "noname_parquet": lambda f: f.to_parquet(),
    "noname_json": array,
}

MEMORY: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda f: f,
    "columns": lambda f: {name: f[name].tolist() for name in f},
    "records": lambda f: f.to_dict(orient="records"),
    "arrow": pa.Table.from_pandas,
    "batch": pa.RecordBatch.from_pandas,
    "reader": lambda f: pa.Table.from_pandas(f).to_reader(),
    "structured": lambda f: f.to_records(index=False),
    "capsule": lambda f: Capsule(pa.Table.from_pandas(f)),
    "to_pandas": lambda f: ToPandas(f),
}


class Capsule:
    """What polars, DuckDB and others offer: Arrow's stream interface and nothing of pandas."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, schema: object = None) -> object:
        return self._table.__arrow_c_stream__(schema)


class ToPandas:
    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def to_pandas(self) -> pd.DataFrame:
        return self._frame


def same(source: Any, read: ReadSpec | None = None, query: str | None = None) -> None:
    want = read_table(table(), "y")
    got = read_table(source, "y", read=read, query=query)
    assert got.fields == want.fields
    np.testing.assert_array_equal(got.rows.keys, want.rows.keys)
    for name, values in want.rows.fields.items():
        np.testing.assert_array_equal(got.rows.fields[name], values)
    np.testing.assert_array_equal(got.rows.targets["target"], want.rows.targets["target"])
    assert (got.notes, got.quarantine.count, got.good) == (want.notes, 0, 40)


@pytest.mark.parametrize("name", FILES)
def test_the_same_table_from_every_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name](table()))
    same(path)


@pytest.mark.parametrize("name", MEMORY)
def test_the_same_table_from_memory(name: str) -> None:
    same(MEMORY[name](table()))


def test_an_array_has_no_names() -> None:
    x = np.random.default_rng(1).normal(size=(30, 3))
    read = read_table(x, "x3")
    assert list(read.rows.fields) == ["x1", "x2"]
    np.testing.assert_array_equal(read.rows.fields["x2"], x[:, 1])
    with pytest.raises(DataError, match="the array has 1 dimension, a table has 2"):
        read_table(x[0], "x3")
    with pytest.raises(DataError, match="a int is no table"):
        read_table(3, "y")


def test_several_files_of_one_table(tmp_path: Path) -> None:
    frame = table()
    frame[:25].to_csv(tmp_path / "part-1.csv", index=False)
    frame[25:][["y", "owner", "city", "children", "income"]].to_csv(tmp_path / "part-2.csv", index=False)
    same(str(tmp_path / "part-*.csv"))
    frame.rename(columns={"city": "town"}).to_csv(tmp_path / "part-3.csv", index=False)
    with pytest.raises(DataError, match=r"part-3.csv has 'town' and lacks 'city', unlike .*part-1.csv"):
        read_table(str(tmp_path / "part-*.csv"), "y")
    with pytest.raises(DataError, match="no file matches"):
        read_table(str(tmp_path / "none-*.csv"), "y")


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_urls_of_file_systems(scheme: str, tmp_path: Path) -> None:
    base = "memory://tables" if scheme == "memory" else f"file://{tmp_path}"
    for i, part in enumerate((table()[:25], table()[25:])):
        with fsspec.open(f"{base}/p{i}.csv", "wb") as file:
            file.write(csv(part))
    same(f"{base}/p*.csv")
    with fsspec.open(f"{base}/t.parquet", "wb") as file:
        file.write(table().to_parquet())
    same(f"{base}/t.parquet")
    with pytest.raises(DataError, match="no such file"):
        read_table(f"{base}/none.csv", "y")


def test_url_schemes_that_are_not_there() -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        read_table("nosuch://x/y.csv", "y")
    with pytest.raises(MissingExtra, match="s3fs"):
        read_table("s3://bucket/y.csv", "y")


# Databases


@pytest.fixture
def database(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        table().assign(owner=table()["owner"].astype(int)).to_sql("loans", connection, index=False)
    return f"sqlite:///{tmp_path}/bank.db"


def test_a_database(database: str) -> None:
    want = read_table(table().assign(owner=table()["owner"].astype(int)), "y")
    for query in (None, "loans", "SELECT * FROM loans", "with a as (select * from loans) select * from a"):
        got = read_table(database, "y", query=query)
        np.testing.assert_array_equal(got.rows.keys, want.rows.keys)
    few = read_table(database, "y", query="select income, children, y from loans where income > 2000")
    assert list(few.rows.fields) == ["income", "children"]
    assert len(few.rows) == int((table()["income"] > 2000).sum())


def test_a_database_is_only_read(database: str, tmp_path: Path) -> None:
    for query in ("drop table loans", "delete from loans", "with a as (select 1) delete from loans returning *"):
        with pytest.raises(DataError, match=r"only SELECT is run|readonly"):
            read_table(database, "y", query=query)
    assert len(read_table(database, "y").rows) == 40
    with pytest.raises(DataError, match="no such database"):
        read_table(f"sqlite:///{tmp_path}/bonk.db", "y")
    assert not (tmp_path / "bonk.db").exists()


def test_what_a_database_refuses(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no table 'loan'; the database holds loans") as caught:
        read_table(database, "y", query="loan")
    assert caught.value.mend == "did you mean 'loans'?"
    with pytest.raises(DataError, match="refused: no such column: salary"):
        read_table(database, "y", query="select salary from loans")
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("create table other (a integer)")
    with pytest.raises(DataError, match="holds 2 tables: loans, other"):
        read_table(database, "y")
    with pytest.raises(DataError, match="no rows"):
        read_table(database, "y", query="other")
    with pytest.raises(MissingExtra, match="driver of this database"):
        read_table("mysql+nosuch://me:secret@localhost/x", "y")
    with pytest.raises(DataError, match="variable NOT_THERE is not set") as caught:
        read_table("postgresql://me:${NOT_THERE}@localhost/x", "y")
    monkeypatch.setenv("WORD", "secret")
    for url in ("postgresql+nosuch://me:${WORD}@localhost/x", "mysql+nosuch://me:secret@localhost/x"):
        with pytest.raises(MissingExtra) as missing:
            read_table(url, "y")
        assert "secret" not in str(missing.value)
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"pellucid\[postgres\]"):
        read_table("postgres://me:secret@localhost/x", "y")


# Types


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(3)]
    frame = pa.table(
        {
            "long": pa.array([2**60 + 1, None, 7]),
            "code": pa.array(["007", "1e3", "12"]),
            "flag": pa.array([True, None, False]),
            "day": pa.array(days),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        }
    )
    pa.parquet.write_table(frame, tmp_path / "t.parquet")
    read = read_source(tmp_path / "t.parquet")
    assert read.series("long").tolist()[0] == 2**60 + 1  # not a float
    assert read.series("long").isna().tolist() == [False, True, False]
    assert read.series("code").tolist() == ["007", "1e3", "12"]
    assert str(read.series("flag").dtype) == "boolean"
    assert read.series("day").tolist() == days
    assert str(read.series("kind").dtype) == "category"


def test_nested_objects_become_columns(tmp_path: Path) -> None:
    records = [{"a": {"b": i, "c": {"d": str(i % 2)}}, "y": i * 0.5} for i in range(30)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records)))
    assert list(read_table(tmp_path / "t.jsonl", "y").rows.fields) == ["a.b", "a.c.d"]
    for record in records[::2]:
        record["late"] = len(str(record))  # a key that only some have
    records[1] = {"extra": 1, "a": {"b": 3}, "y": 1}
    (tmp_path / "t.json").write_text(json.dumps({"data": {"rows": records}, "more": [{}, {}]}))
    read = read_table(tmp_path / "t.json", "y", read=ReadSpec(records="data.rows"))
    assert np.isnan(read.rows.fields["a.b"]).sum() == 0
    assert read.rows.fields["a.c.d"].tolist()[:3] == [0.0, pytest.approx(np.nan, nan_ok=True), 0.0]


@pytest.mark.parametrize(
    ("name", "content", "words", "where"),
    [
        ("t.json", '[{"a": 1},\n {"a" 2}]', "broken in line 2, column 7: Expecting ':' delimiter", "line 2, column 7"),
        ("t.json", "[1, 2]", "2 of 2 rows cannot be read; the first, record 1: a number instead", "record 1"),
        ("t.json", '{"a": [{}], "b": [{}]}', "no single list of objects", "t.json"),
        ("t.json", "[" * 10000, "too deeply nested", "t.json"),
        ("t.json", "", "the file is empty", "t.json"),
        ("t.json", '{"a": 1', "broken in line 1, column 8", "line 1, column 8"),
        ("t.jsonl", '{"a": 1}\n{"a": }\n', "the first, line 2: broken JSON in column 7: Expecting value", "line 2"),
        ("t.jsonl", '{"a": 1}\n[1]\n', "line 2: a list instead of an object", "line 2"),
        ("t.csv", 'a,y\n1,"2\n3,4\n', "the quote that opens in line 2 is never closed", "line 2"),
        ("t.csv", "a,y\n1,2\n3\n", "the first, line 3: 1 cell, the header names 2", "line 3"),
    ],
)
def test_broken_text(name: str, content: str, words: str, where: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / name, "y")
    assert words in caught.value.what
    assert caught.value.where.endswith(where)


def test_truncated_files_are_told(tmp_path: Path) -> None:
    for name, make in FILES.items():
        if name.endswith((".gz", ".zst", ".parquet", ".arrow", ".feather")):
            data = make(table(400))
            (tmp_path / name).write_bytes(data[: len(data) // 2])
            with pytest.raises(DataError, match="cannot be read"):
                read_table(tmp_path / name, "y")


# Encodings


@pytest.mark.parametrize(("encoding", "told"), [("cp1252", "cp1252"), ("latin-1", "cp1252"), ("utf-8", "")])
def test_encodings_are_found_out(encoding: str, told: str, tmp_path: Path) -> None:
    text = "name,y\n" + "".join(f"{'Zürich' if i % 3 else 'Bern'},{i % 2}\n" for i in range(30))
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    read = read_table(tmp_path / "t.csv", "y")
    assert read.fields[0].categories == ("Bern", "Zürich")
    assert any(f"is not UTF-8 (byte 0xfc in line 3): it was read as {told}" in note for note in read.notes) == bool(
        told
    )
    if told:
        assert read_table(tmp_path / "t.csv", "y", read=ReadSpec(encoding="cp1252")).notes == ()
        with pytest.raises(DataError, match="is not text in utf-8"):
            read_table(tmp_path / "t.csv", "y", read=ReadSpec(encoding="utf-8"))


def test_a_wrong_byte_at_the_end_of_a_long_file_is_found(tmp_path: Path) -> None:
    text = "name,y\n" + "Bern,1\nUlm,0\n" * 100_000
    (tmp_path / "t.csv").write_bytes(text.encode() + b"Z\xfcrich,1\n")
    read = read_table(tmp_path / "t.csv", "y")
    assert "byte 0xfc in line 200002" in read.notes[0]
    assert "Zürich" in read.fields[0].categories


def test_no_such_encoding(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match="no encoding 'klingon'"):
        read_table(tmp_path / "t.csv", "y", read=ReadSpec(encoding="klingon"))


# The spec


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("a/b.csv", "file"),
        ("C:\\data\\b.csv", "file"),
        ("https://host/x", "http"),
        ("s3://bucket/x", "url"),
        ("sqlite:///x.db", "sql"),
        ("postgresql+psycopg://h/x", "sql"),
        ("breast_cancer", "file"),
    ],
)
def test_kinds_of_sources(source: str, kind: str) -> None:
    assert source_kind(source) == kind
    assert kind in ALL


def test_relative_sources_start_at_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    for source, located in (("x.jsonl", "/specs/x.jsonl"), ("sqlite:///x.db", "sqlite:////specs/x.db")):
        spec = build_spec(name="x", data={"kind": "table", "source": source, "target": "y"}).within(tmp_path / "specs")
        assert spec.source == located.replace("/specs", f"{tmp_path}/specs")
    assert relocated("x.csv", tmp_path / "specs") == "../x.csv"
    assert relocated("sqlite:///x.db", tmp_path / "specs") == "sqlite:///../x.db"
    for url in ("https://host/x.csv", "s3://bucket/x.csv", "postgresql://host/x", "sqlite:////x/y.db"):
        assert relocated(url, tmp_path) == url
