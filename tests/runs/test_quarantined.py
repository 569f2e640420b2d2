"""Bad rows of a fit: counted in the evidence, told in the notes and on the page, kept in the store."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import pellucid
from pellucid.cli.main import main

QUICK = ["train.updates=5", "evidence.folds=2", "explain.background=4", "explain.evaluations=8", "network.width=8"]


def lines(n: int = 80) -> list[str]:
    rng = np.random.default_rng(0)
    return ["a,b,y", *[f"{x:.3f},{z:.3f},{int(x + z > 0)}" for x, z in rng.normal(size=(n, 2))]]


def test_bad_rows_reach_evidence_page_and_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = lines()
    text[5], text[9] = "1,2", "lots,2,1"
    Path("t.csv").write_text("\n".join(text))
    program = pellucid.fit(data="t.csv", target="y", store="s", overrides=QUICK)
    told = program.evidence["quarantine"]
    assert (told["rows"], told["of"], told["kinds"]) == (2, 80, {"cells": 1, "number": 1})
    assert [row["number"] for row in told["first"]] == [6, 10]
    kept = [json.loads(line) for line in Path("s/quarantine/t.jsonl").read_text().splitlines()]
    assert [row["line"] for row in kept] == [6, 10]
    assert any("s/quarantine/t.jsonl" in note for note in program.evidence["notes"])
    assert main(["report", "t", "--store", "s", "--html", "page.html", "--quiet"]) == 0
    assert "2 of 80 rows were set aside" in Path("page.html").read_text()
    Path("t.csv").write_text("\n".join(lines()))  # mended
    again = pellucid.fit(data="t.csv", target="y", store="s", overrides=QUICK)
    assert "quarantine" not in again.evidence
    assert not Path("s/quarantine/t.jsonl").exists()


def test_check_data_shows_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = lines()
    text[5] = "1,2"
    (tmp_path / "t.csv").write_text("\n".join(text))
    assert main(["check", "data", str(tmp_path / "t.csv"), "--target", "y"]) == 1
    printed = capsys.readouterr()
    said = printed.out + printed.err
    assert "1 of 80 rows cannot be read: 2 cells, the header names 3." in said
    assert "t.csv, line 6" in said


def test_a_program_of_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted from a URL, its rows are found again."""
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("bank.db") as connection:
        connection.execute("create table loans (id integer, a real, b real, y integer)")
        rows = [(i, *map(float, line.split(","))) for i, line in enumerate(lines()[1:])]
        connection.executemany("insert into loans values (?, ?, ?, ?)", rows)
    more = ["data.query=select * from loans", "data.id=id"]
    program = pellucid.fit(data="sqlite:///bank.db", target="y", store="s", overrides=[*QUICK, *more])
    assert program.name == "bank"
    assert len(program.rows()) == 80
    assert program.explain(at="7").keys == ("7",)
