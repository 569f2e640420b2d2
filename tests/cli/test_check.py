"""`pellucid check`: what it prints and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pellucid.cli.main import main

ROOT = Path(__file__).parents[2]


def test_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my.csv"
    file.write_text("id,income,city,same,y\n" + "".join(f"{i},{i * 1.5},{'ab'[i % 2]},1,{i % 2}\n" for i in range(40)))
    assert main(["check", "data", str(file), "--target", "y", "--id", "id"]) == 0
    out = capsys.readouterr().out
    assert "40 rows, 1 numeric, 1 category" in out
    assert "target y: classify: 0, 1" in out
    assert "note: 'same' was left out: it is '1' in every row" in out
    assert main(["check", "data", str(file), "--target", "Y"]) == 2
    assert "no column 'Y'" in capsys.readouterr().err


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
