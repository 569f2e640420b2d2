"""`pellucid demo`: the whole loop runs to its end on other data, in a folder of its own and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from home_folder import Home, prices_csv, three_lines, told

from pellucid.cli.main import main
from pellucid.store.store import Store

SMALL = (
    "train.updates=30",
    "network.width=96",
    "evidence.folds=1",
    "evidence.controls=false",
    "explain.background=16",
    "explain.evaluations=64",
)
STEPS = ["check", "fit", "explain", "feedback", "revise", "diff", "accept|reject", "diff", "report", "rollback", "log"]


def typed(out: str) -> list[str]:
    """The commands that were shown."""
    return re.findall(r"^\$ pellucid (\w+)", out, flags=re.MULTILINE)


@pytest.mark.slow
def test_the_tour_runs_to_its_end_and_begins_anew_in_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = [word for value in SMALL for word in ("--set", value)]
    words = ["demo", "--folder", "tour", "--source", "planted", *sets]
    assert main(words) == 0
    out, err = capsys.readouterr()
    shown = typed(out)
    assert len(shown) == len(STEPS)
    assert all(re.fullmatch(step, name) for step, name in zip(STEPS, shown, strict=True)), shown
    assert "every parameter, buffer and prediction equals version 1's, bit by bit" in out
    assert "no difference: stocks@1 and stocks@1" in out
    assert re.search(r"\d+ s in all", out)
    for name in ("report", "diff", "explain"):
        page = tmp_path / "tour" / f"{name}.html"
        assert page.resolve().as_uri() in out
        assert "<svg" in page.read_text()
    assert "Traceback" not in err
    store = Store(tmp_path / "tour/store", create=False)
    assert store.resolve("stocks").ref == "stocks@1"
    assert store.verify().ok
    (tmp_path / "tour/rest").write_text("of the first tour")

    # A user's own file, named from here; it is too short for the tour's spec, and one error says so.
    (tmp_path / "my.csv").write_text(prices_csv(200))
    assert main(["demo", "--folder", "tour", "--source", "my.csv"]) == 2
    out, err = capsys.readouterr()
    three_lines(told(err))
    assert "200 rows are too few" in err
    assert typed(out) == ["check", "fit"]
    assert not (tmp_path / "tour/rest").exists()


def test_a_source_that_is_no_file_here_ends_it_with_that_one_error(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--folder", "tour", "--source", "prces.csv"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert "did you mean 'prices.csv'?" in err
    assert str(home.folder / "prces.csv") in err


def test_it_empties_no_folder_that_it_did_not_make(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(home.folder.rglob("*"))
    assert main(["demo", "--folder", "."]) == 2
    three_lines(capsys.readouterr().err)
    assert sorted(home.folder.rglob("*")) == before
