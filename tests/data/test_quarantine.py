"""Bad rows are set aside with place and reason; what can be read in one way is, with a note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pellucid.core.errors import DataError
from pellucid.data.quarantine import KEPT, LONGEST, BadRow, Quarantine
from pellucid.data.tables import Table, read_table, rows_from_frame
from pellucid.spec.model import ReadSpec


def written(folder: Path, lines: list[str], name: str = "t.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def rows(n: int = 60) -> list[str]:
    return ["a,b,y", *[f"{i * 0.5},{i % 7 + i / 100},{i % 2}" for i in range(n)]]


def test_bad_rows_are_set_aside_with_line_and_reason(tmp_path: Path) -> None:
    lines = rows()
    lines[4] = "1,2"  # line 5
    lines[9] += ",more"  # line 10
    lines[19] = 'lots,"2,5",1'  # line 20: two bad cells, the first is told
    lines[29] = '1,"2"x,1'  # line 30
    lines[39] += ",,"  # line 40: empty cells too many are none
    lines.insert(49, "")  # a blank line is no row
    table = read_table(written(tmp_path, lines), "y")
    found = [(row.number, row.reason, row.column) for row in table.quarantine.rows]
    assert found == [
        (5, "2 cells, the header names 3", ""),
        (10, "4 cells, the header names 3", ""),
        (30, ", expected after \"", ""),
        (20, "'a' holds 'lots', which is no number", "a"),
    ]  # fmt: skip
    assert (table.quarantine.count, table.good, len(table.rows)) == (4, 56, 56)
    assert dict(table.quarantine.kinds) == {"cells": 2, "quoting": 1, "number": 1}
    assert table.notes[0].startswith("4 of 60 rows were set aside (quarantine): line 5: 2 cells")
    assert table.quarantine.to_json(table.good)["of"] == 60
    kept = [json.loads(line) for line in table.quarantine.lines().splitlines()]
    assert kept[0] == {"line": 5, "file": str(tmp_path / "t.csv"), "reason": found[0][1], "raw": "1,2", "column": ""}
    assert json.loads(kept[3]["raw"]) == {"a": "lots", "b": "2,5", "y": "1"}
    others = read_table(written(tmp_path, [line for i, line in enumerate(lines) if i not in (4, 9, 19, 29)]), "y")
    np.testing.assert_array_equal(table.rows.keys, others.rows.keys)  # the good rows are who they were
    np.testing.assert_array_equal(table.rows.fields["a"], others.rows.fields["a"])


def test_an_open_quote_counts_the_rows_that_it_swallows(tmp_path: Path) -> None:
    lines = rows(100)
    lines[10] = '"5,5,1'
    lines[14] = '7",7,1'
    table = read_table(written(tmp_path, lines), "y")
    assert (table.quarantine.count, len(table.rows)) == (5, 95)
    (row,) = table.quarantine.rows
    assert row.number == 11
    assert row.reason.startswith("'a' holds '5,5,1\\n5.0,")
    assert "the row of line 11 spans 5 lines: look for a quote" in " ".join(table.notes)
    lines[14] = '7",7,1,8'
    table = read_table(written(tmp_path, lines), "y")
    assert (table.quarantine.count, len(table.rows)) == (5, 95)
    assert table.quarantine.rows[0].reason == "4 cells, the header names 3, over 5 lines (an open quote?)"


@pytest.mark.parametrize("unit", ["csv", "jsonl", "frame"])
def test_too_many_bad_rows_are_an_error(unit: str, tmp_path: Path) -> None:
    def source(bad: int) -> Any:
        values: list[Any] = [i * 0.5 for i in range(60)]
        values[:bad] = ["lots"] * bad
        frame = pd.DataFrame({"a": values, "b": range(60), "y": [i % 2 for i in range(60)]}, dtype=object)
        if unit == "frame":
            return frame
        path = tmp_path / f"t{bad}.{unit}"
        path.write_text(frame.to_csv(index=False) if unit == "csv" else frame.to_json(orient="records", lines=True))
        return path

    assert read_table(source(3), "y").quarantine.count == 3
    with pytest.raises(DataError, match=r"3 of 60 rows cannot be read; the first, (line|row) \d: 'a' holds 'lots'"):
        read_table(source(3), "y", read=ReadSpec(bad_rows=0.049))
    with pytest.raises(DataError, match="cannot be read"):
        read_table(source(1), "y", read=ReadSpec(bad_rows=0))
    assert read_table(source(0), "y", read=ReadSpec(bad_rows=0)).notes == ()


def test_broken_json_lines_are_set_aside(tmp_path: Path) -> None:
    lines = [json.dumps({"a": i, "y": i % 2}) for i in range(60)]
    lines[7], lines[20], lines[30] = '{"a": 1, "y"', "[1, 2]", "null"
    table = read_table(written(tmp_path, lines, "t.jsonl"), "y")
    assert [(row.number, row.reason) for row in table.quarantine.rows] == [
        (8, "broken JSON in column 13: Expecting ':' delimiter"),
        (21, "a list instead of an object"),
        (31, "null instead of an object"),
    ]
    assert len(table.rows) == 57


def test_the_place_is_that_of_the_part(tmp_path: Path) -> None:
    written(tmp_path, rows(), "p1.csv")
    lines = rows()
    lines[2] = "x,1,1"
    written(tmp_path, lines, "p2.csv")
    (row,) = read_table(str(tmp_path / "p*.csv"), "y").quarantine.rows
    assert (Path(row.file).name, row.number) == ("p2.csv", 3)


def test_a_quarantine_keeps_so_many_rows_and_counts_all() -> None:
    full = Quarantine("line")
    for i in range(KEPT + 5):
        full.add(BadRow("f", i + 1, "no", "x" * 1000), "cells")
    assert (len(full.rows), full.count) == (KEPT, KEPT + 5)
    assert len(full.rows[0].raw) == LONGEST + 3
    full.check(10**6, 0.1, "f")
    with pytest.raises(DataError) as caught:
        full.check(10**6, 0.001, "f")
    assert caught.value.where == "f, line 1"


# Columns


def column(cells: list[Any], kind: str = "object") -> tuple[Table, Any]:
    n = len(cells)
    frame = pd.DataFrame({"x": pd.Series(cells, dtype=kind), "z": range(n), "y": [i % 2 for i in range(n)]})
    table = read_table(frame, "y")
    return table, table.rows.fields.get("x")


@pytest.mark.parametrize(
    ("write", "note"),
    [
        (lambda v: f"{v:.2f}".replace(".", ","), "decimal commas"),
        (lambda v: f"{v:,.2f}".translate(str.maketrans(",.", ".,")), "decimal commas"),
        (lambda v: f"{v:,.2f}", "commas between thousands"),
        (lambda v: f" {v:.2f} ", ""),
        (lambda v: f"{v:+.2e}", ""),
    ],
)
def test_numbers_as_people_write_them(write: Any, note: str) -> None:
    values = [round(1234.5 * (i + 1) / 3, -1) + 0.25 for i in range(40)]
    table, read = column([write(v) for v in values])
    np.testing.assert_allclose(read, [float(f"{v:+.2e}") if "e" in write(v) else v for v in values])
    assert any(note in said for said in table.notes) if note else table.notes == ()


def test_both_decimal_marks_are_not_guessed() -> None:
    table, read = column([f"{i}.5" for i in range(59)] + ["1,5"])
    assert table.quarantine.rows[0].reason == "'x' holds '1,5', which is no number"
    assert len(read) == 59
    cells = [f"{i},125" for i in range(1, 60)]
    assert column(cells)[1][1] == 2125  # between thousands, as far as anybody can tell
    frame = pd.DataFrame({"x": cells, "y": [i % 2 for i in range(59)]})
    told = read_table(frame, "y", read=ReadSpec(decimal=","))
    assert told.rows.fields["x"][1] == 2.125


def test_few_words_among_many_numbers_are_mistakes_and_many_are_words() -> None:
    numbers = [str(i) for i in range(25)] * 8
    table, read = column([*numbers, "n.k."])
    assert table.quarantine.count == 1
    assert read.dtype == np.float64
    table, read = column([*numbers, *["low", "high"] * 20])
    assert table.quarantine.count == 0
    assert table.fields[0].kind == "category"
    assert "'x' mixes 200 numbers and 40 words: read as words" in table.notes
    table, _ = column(["1", "2", "3", "x"] * 10)  # few different cells: a category
    assert table.fields[0].categories == ("1", "2", "3", "x")


def test_spellings_of_yes_and_no() -> None:
    table, read = column(["Yes", "no", "Y", "N", "TRUE", "f", None] * 8)
    assert table.fields[0].kind == "boolean"
    np.testing.assert_array_equal(read[:7], [1, 0, 1, 0, 1, 0, np.nan])
    assert "spells yes and no in 6 ways" in table.notes[0]
    table, _ = column(["yes", "no"] * 20)  # two spellings are what they are
    assert table.fields[0].categories == ("no", "yes")
    frame = pd.DataFrame({"x": range(40), "y": ["Yes", "no", "y", "No"] * 10})
    assert read_table(frame, "y").classes == ("False", "True")


@pytest.mark.parametrize(
    ("cells", "first", "note"),
    [
        (["2024-02-03", "3.2.2024", "Feb 3, 2024", "3 Feb 2024"], "2024-02-03", "dates in 3 formats"),
        (["03/02/2024", "25/12/2024"], "2024-02-03", ""),
        (["02/03/2024", "12/25/2024"], "2024-02-03", ""),
        (["03/02/2024", "04/02/2024"], "2024-02-03", "'x' may have the day or the month first"),
    ],
)
def test_dates_in_one_form(cells: list[str], first: str, note: str) -> None:
    from pellucid.data.tidy import tidy

    found = tidy("x", pd.Series(cells * 10, dtype=object))
    assert found.series[0] == first
    assert found.bad == {}
    assert any(note in said for said in found.notes) if note else found.notes == []


def test_days_that_no_calendar_has_are_set_aside() -> None:
    days = [f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}" for i in range(60)]
    days[10], days[20], days[30] = "2024-02-30", "31.13.2024", "soon"
    table, _ = column(days)
    assert [(row.number, row.reason) for row in table.quarantine.rows] == [
        (11, "'x' holds '2024-02-30', which is no date"),
        (21, "'x' holds '31.13.2024', which is no date"),
        (31, "'x' holds 'soon', which is no date"),
    ]
    assert set(table.quarantine.kinds) == {"date"}


def test_a_key_is_that_of_the_cells_as_they_stood() -> None:
    frame = pd.DataFrame({"x": [f"{i},5" for i in range(40)], "y": [i % 2 for i in range(40)]})
    told = read_table(frame, "y")
    assert told.fields[0].kind == "numeric"
    longer = pd.concat([frame, pd.DataFrame({"x": ["word"] * 60, "y": [0] * 60})], ignore_index=True)
    np.testing.assert_array_equal(read_table(longer, "y").rows.keys[:40], told.rows.keys)


def test_predict_reads_the_forms_of_training_and_refuses_what_it_cannot_read() -> None:
    frame = pd.DataFrame({"x": [f"{i},5" for i in range(40)], "f": ["Y", "n", "yes", "No"] * 10, "y": [0, 1] * 20})
    table = read_table(frame, "y")
    assert [f.kind for f in table.fields] == ["numeric", "boolean"]
    again = rows_from_frame(frame, table.fields)
    for name, values in table.rows.fields.items():
        np.testing.assert_array_equal(again.fields[name], values)
    frame.loc[3, "x"] = "many"
    with pytest.raises(DataError, match="'x' holds"):
        rows_from_frame(frame, table.fields)
