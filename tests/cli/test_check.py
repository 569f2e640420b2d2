"""`pellucid check`: what it prints and its exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pellucid.cli.main import main

ROOT = Path(__file__).parents[2]


def write(file: Path, n: int = 300, **columns: Any) -> str:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"c{i}" for i in range(n)], "income": rng.normal(size=n)})
    frame["city"], frame["same"] = rng.choice(["Ulm", "Bern"], n), 1
    frame["risk"] = rng.choice(["low", "mid", "high"], n)
    frame["seen"] = pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d")
    frame["y"] = (frame["income"] + rng.normal(size=n) > 0).astype(int)
    for name, make in columns.items():
        frame[name] = make(frame, rng)
    frame.to_csv(file, index=False)
    return str(file)


def test_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "my.csv")
    assert main(["check", "data", file, "--target", "y", "--id", "id"]) == 0
    out = capsys.readouterr().out
    assert "300 rows, 1 numeric, 2 category" in out
    assert re.search(r"^  risk +ordinal +input +3  ", out, re.MULTILINE)
    assert re.search(r"^  seen +date +left out +300  2020-01-01, ", out, re.MULTILINE)
    assert re.search(r"^  same +constant +left out +1  1$", out, re.MULTILINE)
    assert re.search(r"^target y: classify: 0 \d+ \(\d\d\.\d%\), 1 ", out, re.MULTILINE)
    assert "note: 'same' was left out: it is '1' in every row" in out
    assert "note: 'risk' seems to have an order (low < mid < high): data.fields.risk.order makes it a number" in out
    assert "note: 'seen' holds dates: data.fields.seen.kind=date" in out
    assert out.count(": passed\n") == 6
    assert main(["check", "data", file, "--target", "Y"]) == 2
    assert "no column 'Y'" in capsys.readouterr().err


LEAKS: dict[str, tuple[Any, list[str], str]] = {
    "target leakage": (lambda f, rng: np.where(f.y == 1, "done", "open"), [], "'z' is the target under other names"),
    "reading": (lambda f, rng: ["?!" if i == 7 else str(v) for i, v in enumerate(rng.normal(size=300))], [], "line 9"),
    "split": (
        lambda f, rng: rng.integers(0, 40, 300),
        ["--group", "z", "--set", "evidence.split=random"],
        "40 groups stand on both sides",
    ),
    "shuffled target": (
        lambda f, rng: np.arange(300) // 10,
        ["--group", "z", "--set", "evidence.split=random"],
        "still shows skill",
    ),
    "a class": (
        lambda f, rng: 0,
        ["--time", "seen"],
        "1 classes are tested in a fold whose training rows lack them: '2'.",
    ),
    "future": (lambda f, rng: f.income.shift(-1), ["--time", "seen"], "'z' is, 1 row ahead, 'income'"),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_what_is_planted_is_found(leak: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, options, said = LEAKS[leak]
    columns = {"z": make}
    if leak == "shuffled target":  # who a row belongs to can be told by its income
        columns |= {"income": lambda f, rng: f.z + 0.01 * rng.normal(size=300), "y": lambda f, rng: f.z % 2}
    if leak == "a class":  # that comes up late
        columns = {"y": lambda f, rng: np.where(np.arange(300) < 200, f.y, 2)}
        leak = "split"
    file = write(tmp_path / "my.csv", **columns)
    assert main(["check", "data", file, "--target", "y", "--id", "id", *options]) == 1
    out = capsys.readouterr().out
    assert said in out
    assert f"\n{leak}: " in out
    assert "\n  where: " in out
    assert "\n  mend:  " in out
    assert out.strip().endswith(("problem.", "problems."))


def test_all_problems_at_once_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(
        tmp_path / "my.csv",
        copy=lambda f, rng: f.y,
        after=lambda f, rng: np.where(f.y == 1, rng.normal(size=300), np.nan),
        torn=lambda f, rng: ["?!" if i == 7 else str(v) for i, v in enumerate(rng.normal(size=300))],
    )
    assert main(["check", "data", file, "--target", "y", "--id", "id", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 299
    assert found["quarantine"]["rows"] == 1
    assert [p["check"] for p in found["problems"]] == ["reading", "target leakage", "target leakage"]
    assert all(p["what"] and p["where"] and p["mend"] for p in found["problems"])
    assert {c["name"]: c["kind"] for c in found["columns"]}["seen"] == "date"
    assert sum(found["target"]["classes"].values()) == 299


def test_a_spec_says_how_its_table_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "my.csv", z=lambda f, rng: np.where(f.y == 1, "done", "open"))
    spec = tmp_path / "my.yaml"
    spec.write_text("name: my\ndata: {kind: table, source: my.csv, target: y, id: id, drop: [z]}\n")
    assert main(["check", "data", str(spec)]) == 0
    assert f"Next: pellucid fit {spec}" in capsys.readouterr().out
    assert main(["check", "data", str(spec), "--set", "data.drop=[]"]) == 1
    assert "'z' is the target under other names" in capsys.readouterr().out
    spec.write_text(
        "name: my\ndata:\n  {kind: table, source: my.csv, target: y, id: id, drop: [z], fields: {income: {unit: EUR,"
        " description: a year}, seen: {kind: date}, risk: {order: [low, mid, high]}}}\n"
    )
    assert main(["check", "data", str(spec)]) == 0
    out = capsys.readouterr().out
    assert "300 rows, 4 numeric, 1 category, 1 ordinal" in out
    assert re.search(r"^  income \[EUR\] +numeric +input ", out, re.MULTILINE)
    assert "\n  income: a year\n" in out
    assert "seems to have an order" not in out
    spec.write_text("name: my\ndata: {kind: prices, source: planted}\ntasks: {next: {kind: forecast}}\n")
    assert main(["check", "data", str(spec)]) == 0
    assert "truncation invariance: passed at 4 cuts" in capsys.readouterr().out


def test_env(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "env", "CartPole-v1"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("CartPole-v1: obeys the conventions.\nNext: pellucid fit --env CartPole-v1\n")
    assert "autoreset    NEXT_STEP" in out
    assert main(["check", "env", "CartPool-v1"]) == 2
    assert "CartPole" in capsys.readouterr().err


def test_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pellucid.store.store import Store

    folder = str(tmp_path / ".pellucid")
    assert main(["check", "store", "--store", folder]) == 2
    assert capsys.readouterr().err.startswith("StoreError: ")
    Store(folder)
    assert main(["check", "store", "--store", folder]) == 0
    assert "is whole: 0 blobs" in capsys.readouterr().out
