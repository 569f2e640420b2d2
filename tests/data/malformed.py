"""Malformed inputs with what must be said of each: class of the error, field, line, column."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from hypothesis import strategies as st

from pellucid.core.errors import DataError, PellucidError, SpecError

NUMERIC = ("income", "debt", "age")
QUOTE = '"'
NAMES = (*NUMERIC, "city", "y")


@dataclass(frozen=True)
class Malformed:
    """One input.

    Args:
        kind: the corruption.
        name: of the file: the suffix tells the format.
        error: the class that must be raised; None when the file must be read.
        says: what the message must contain.
        where: how its place must end.
        bad: (line, column) of every row that must be set aside.
        note: what a note must contain.
        path, line: of a spec: the dotted path of one problem, and its line.
    """

    kind: str
    name: str
    content: bytes
    error: type[PellucidError] | None = None
    says: tuple[str, ...] = ()
    where: str = ""
    bad: tuple[tuple[int, str], ...] = ()
    note: str = ""
    path: str = ""
    line: int = 0

    def __repr__(self) -> str:
        return f"{self.kind}({self.name}, {self.content[:2000]!r}, {self.error and self.error.__name__}, {self.says})"


def cells(n: int, seed: int) -> list[list[str]]:
    draw = random.Random(seed)
    return [
        [
            f"{draw.gauss(2000, 500):.2f}",
            f"{draw.gauss(0, 1):.4f}",
            f"{draw.uniform(18, 90):.1f}",
            draw.choice(["Bonn", "Ulm", "Jena"]),
            draw.choice(["no", "yes"]) if i > 1 else ["no", "yes"][i],
        ]
        for i in range(n)
    ]


def csv_text(rows: list[list[str]], names: tuple[str, ...] | list[str] = NAMES) -> str:
    return "\n".join([",".join(names), *[",".join(row) for row in rows]]) + "\n"


@st.composite
def malformed_csv(draw: st.DrawFn) -> Malformed:
    """A CSV file with one known corruption."""
    n = draw(st.integers(40, 60))
    rows = cells(n, draw(st.integers(0, 2**20)))
    row, column = draw(st.integers(3, n - 1)), draw(st.integers(0, 2))
    return draw(st.sampled_from(sorted(CSV)).map(lambda kind: CSV[kind](rows, row, column, kind)))


Make = Callable[[list[list[str]], int, int, str], Malformed]


def _file(kind: str, text: str | bytes, **told: object) -> Malformed:
    return Malformed(kind, "t.csv", text if isinstance(text, bytes) else text.encode(), **told)  # type: ignore[arg-type]


def _short(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    rows[row] = rows[row][: column + 1]
    return _file(kind, csv_text(rows), bad=((row + 2, ""),), note=f"line {row + 2}: {column + 1} cell")


def _long(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    rows[row] += ["more"] * (column + 1)
    return _file(kind, csv_text(rows), bad=((row + 2, ""),), note=f"line {row + 2}: {column + 6} cells")


def _word(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    rows[row][column] = "lots"
    return _file(kind, csv_text(rows), bad=((row + 2, NUMERIC[column]),), note=f"'{NUMERIC[column]}' holds 'lots'")


def _many(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    first = min(row, len(rows) - 12)
    for i in range(first, first + 12):
        rows[i].pop()
    says = (f"12 of {len(rows)} rows cannot be read", f"line {first + 2}")
    return _file(kind, csv_text(rows), error=DataError, says=says, where=f"line {first + 2}")


def _quote(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    rows[row][column] = '"' + rows[row][column]
    says = (f"the quote that opens in line {row + 2} is never closed",)
    return _file(kind, csv_text(rows), error=DataError, says=says, where=f"line {row + 2}")


def _after_quote(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    rows[row][column] = '"1"5'
    return _file(kind, csv_text(rows), bad=((row + 2, ""),), note=f"line {row + 2}")


def _twice(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    names = [NUMERIC[column] if name == "city" else name for name in NAMES]
    says = (f"column names repeat: '{NUMERIC[column]}'",)
    return _file(kind, csv_text(rows, names), error=DataError, says=says, where="line 1")


def _unnamed(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    names = [" " if name == NUMERIC[column] else name for name in NAMES]
    return _file(
        kind, csv_text(rows, names), error=DataError, says=(f"column {column + 1} has no name",), where="line 1"
    )


def _control(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    rows[row][column] = "\x00\x01\x1b"[column]
    says = (f"byte {ord(rows[row][column]):#04x} in line {row + 2}",)
    return _file(kind, csv_text(rows), error=DataError, says=says, where=f"line {row + 2}")


def _infinite(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    rows[row][column] = "-inf"
    says = (f"column '{NUMERIC[column]}' is infinite in row {row + 1}",)
    return _file(kind, csv_text(rows), error=DataError, says=says, where="t.csv")


def _no_target(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    names = ["yy" if name == "y" else name for name in NAMES]
    return _file(kind, csv_text(rows, names), error=DataError, says=("no column 'y' (target)",), where="t.csv")


def _header(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    return _file(kind, csv_text([]), error=DataError, says=("the table has no rows",), where="t.csv")


def _empty(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    return _file(kind, b"", error=DataError, says=("the file is empty",), where="t.csv")


def _latin(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    for other in rows[row : row + 3]:
        other[3] = "Köln"
    return _file(kind, csv_text(rows).encode("cp1252"), note=f"byte 0xf6 in line {row + 2}")


def _date(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    for i, other in enumerate(rows):
        other[3] = f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}"
    rows[row][3] = ("2023-02-29", "31.04.2024", "2024-13-01")[column]
    return _file(kind, csv_text(rows), bad=((row + 2, "city"),), note="which is no date")


def _one_class(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    for other in rows:
        other[4] = "no"
    return _file(kind, csv_text(rows), error=DataError, says=("the target 'y' is 'no' in every row",), where="t.csv")


def _as_parquet(rows: list[list[str]], row: int, column: int, kind: str) -> Malformed:
    data = csv_text(rows).encode()
    return Malformed(kind, "t.parquet", data, DataError, ("cannot be read as Parquet",), "t.parquet")


CSV: dict[str, Make] = {
    "short": _short, "long": _long, "word": _word, "many": _many, "quote": _quote, "after_quote": _after_quote,
    "twice": _twice, "unnamed": _unnamed, "control": _control, "infinite": _infinite, "no_target": _no_target,
    "header": _header, "empty": _empty, "latin": _latin, "date": _date, "one_class": _one_class,
    "as_parquet": _as_parquet,
}  # fmt: skip


@st.composite
def malformed_json(draw: st.DrawFn) -> Malformed:
    """JSON Lines or an array, one record a line, with one known corruption."""
    n = draw(st.integers(40, 60))
    records = [
        {name: cell if name in ("city", "y") else float(cell) for name, cell in zip(NAMES, row, strict=True)}
        for row in cells(n, draw(st.integers(0, 2**20)))
    ]
    lines = [json.dumps(record) for record in records]
    row, array = draw(st.integers(3, n - 1)), draw(st.booleans())
    kind = draw(st.sampled_from(["key", "value", "colon", "scalar", "list", "truncated"]))
    name = "t.json" if array else "t.jsonl"
    at = lines[row].index(f'"{draw(st.sampled_from(NAMES))}": ')  # where a key begins
    reason = ""
    if kind == "key":
        lines[row] = lines[row][:at] + "x" + lines[row][at:]
        reason = "Expecting property name enclosed in double quotes"
    elif kind in ("value", "colon"):
        colon = lines[row].index(": ", at)
        lines[row] = lines[row][:colon] + (": x" if kind == "value" else " ") + lines[row][colon + 2 :]
        at = colon + (2 if kind == "value" else 1)
        reason = "Expecting value" if kind == "value" else "Expecting ':' delimiter"
    elif kind == "scalar":
        lines[row] = draw(st.sampled_from(["3", '"word"', "null", "[1]", "true"]))
    elif kind == "list":
        records[row]["debt"] = [1, 2]  # type: ignore[assignment]
        lines[row] = json.dumps(records[row])
        says = (f"column 'debt' holds a list in row {row + 1}",)
        return Malformed(kind, name, _lines(lines, array), DataError, says, name)
    else:
        cut = lines[row][: lines[row].index('"city"') + 3]
        data = _lines([*lines[:row], cut], array, close=False)
        said = f"column {cut.rindex(QUOTE) + 1 + (1 if array else 0)}"  # where the text begins that does not end
        if array:
            return Malformed(kind, name, data, DataError, (f"broken in line {row + 1}",), said)
        return (
            Malformed(kind, name, data, bad=((row + 1, ""),), note=f"line {row + 1}: broken JSON in {said}")
            if (row >= 9)
            else Malformed(kind, name, data, DataError, (f"line {row + 1}",), f"line {row + 1}")
        )
    if kind == "scalar":
        unit = "record" if array else "line"
        return Malformed(kind, name, _lines(lines, array), bad=((row + 1, ""),), note=f"{unit} {row + 1}: ")
    column = at + 1 + (1 if array else 0)  # a record begins after "[" or ","
    if array:
        says = (f"broken in line {row + 1}, column {column}: {reason}",)
        return Malformed(kind, name, _lines(lines, array), DataError, says, f"line {row + 1}, column {column}")
    note = f"line {row + 1}: broken JSON in column {column}: {reason}"
    return Malformed(kind, name, _lines(lines, array), bad=((row + 1, ""),), note=note)


def _lines(lines: list[str], array: bool, close: bool = True) -> bytes:
    if not array:
        return ("\n".join(lines) + ("\n" if close else "")).encode()
    return ("[" + "\n,".join(lines) + ("]" if close else "")).encode()


PARQUET = pd.DataFrame(cells(60, 0), columns=list(NAMES)).astype(dict.fromkeys(NUMERIC, float)).to_parquet()


@st.composite
def malformed_parquet(draw: st.DrawFn) -> Malformed:
    """Cut off, or with its marks broken: never readable. Flipped bytes: readable or told."""
    kind = draw(st.sampled_from(["cut", "mark", "foot", "empty"]))
    data = bytearray(PARQUET)
    if kind == "cut":
        data = data[: draw(st.integers(5, len(data) - 1))]
    elif kind == "mark":
        data[-draw(st.integers(1, 4))] ^= draw(st.integers(1, 255))
    elif kind == "foot":
        data[-8:-4] = (2**31 - draw(st.integers(1, 1000))).to_bytes(4, "little")
    else:
        data = bytearray()
    return Malformed(kind, "t.parquet", bytes(data), DataError, ("cannot be read as Parquet",), "t.parquet")


SPEC = """\
name: cancer
seed: 1
data:
  kind: table
  source: breast_cancer
  target: target
  read:
    separator: ";"
    bad_rows: 0.05
network:
  width: 64
  depth: 2
train:
  updates: 100
  lr: 1e-3
  optimiser: adamw
evidence:
  folds: 3
"""
LINES = SPEC.splitlines()
KEYS = {  # dotted path -> its line, counted from 1
    "seed": 2, "data.kind": 4, "data.source": 5, "data.target": 6, "data.read.separator": 8, "data.read.bad_rows": 9,
    "network.width": 11, "network.depth": 12, "train.updates": 14, "train.lr": 15, "train.optimiser": 16,
    "evidence.folds": 18,
}  # fmt: skip
WRONG = {  # values that no key takes
    "seed": ["-1", "x", "1.5", "[1]"], "data.kind": ["tabel", "3"], "data.source": ["3", "''"],
    "data.target": ["{a: 1}"],
    "data.read.separator": ["',,'", "3"], "data.read.bad_rows": ["2", "-0.1", "many"],
    "network.width": ["0", "-3", "wide"],
    "network.depth": ["65", "'2'"], "train.updates": ["0", "1e3.5", "null"], "train.lr": ["0", "-1", "fast", ".inf"],
    "train.optimiser": ["adamm", "1"], "evidence.folds": ["0", "51", "true"],
}  # fmt: skip


@st.composite
def malformed_yaml(draw: st.DrawFn) -> Malformed:
    """A spec with one known corruption: the path of the problem and its line."""
    path = draw(st.sampled_from(sorted(KEYS)))
    line = KEYS[path]
    lines, key = list(LINES), path.rpartition(".")[2]
    kind = draw(st.sampled_from(["value", "misspelt", "twice", "tab", "tag"]))
    indent = lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())]
    if kind == "value":
        lines[line - 1] = f"{indent}{key}: {draw(st.sampled_from(WRONG[path]))}"
    elif kind == "misspelt":
        wrong = key[:-1] + draw(st.sampled_from(["x", "zz", "_"]))
        lines.insert(line, f"{indent}{wrong}: 1")
        path, line = f"{path.rpartition('.')[0]}.{wrong}".lstrip("."), line + 1
    elif kind == "twice":
        lines.insert(line, lines[line - 1])
        line += 1
    elif kind == "tab":
        lines[line - 1] = f"\t{lines[line - 1]}"
        path = ""
    else:
        lines[line - 1] = f"{indent}{key}: !!python/object:os.system x"
    return Malformed(kind, "s.yaml", ("\n".join(lines) + "\n").encode(), SpecError, path=path, line=line)


@st.composite
def garbled(draw: st.DrawFn, texts: list[bytes], name: str) -> Malformed:
    """A good file with some bytes replaced, cut out or put in: nobody can say what it should give."""
    data = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
        data = data[:start] + piece + data[end:]
    return Malformed("garbled", name, data, None)


PIECES = [
    b"", b",", b";", b"\t", b"\n", b"\r", b'"', b'""', b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"nan", b"inf", b"1e999",
    b"{", b"}",
    b"[", b"]", b": ", b"\\u12", b"9" * 400, b"\n\n", b"'", b"- ", b"&a", b"*a", b"!!set ",
]  # fmt: skip


def texts(kind: str) -> list[bytes]:
    """Good files of a format."""
    rows = cells(40, 3)
    if kind == "csv":
        return [csv_text(rows).encode(), csv_text(rows).replace(",", ";").encode(), csv_text(rows).encode("utf-16")]
    records = [dict(zip(NAMES, row, strict=True)) for row in rows]
    if kind == "jsonl":
        return ["\n".join(map(json.dumps, records)).encode()]
    if kind == "json":
        return [json.dumps(records).encode(), json.dumps({"a": {"rows": records}, "n": 3}).encode()]
    if kind == "arrow":
        out = io.BytesIO()
        pd.DataFrame(records).to_feather(out)
        return [out.getvalue()]
    return [PARQUET] if kind == "parquet" else [SPEC.encode()]
