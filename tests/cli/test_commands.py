"""Every command, end to end, on two small programs: what it prints, what it writes, its exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from home_folder import Home, fingerprint, three_lines, told
from rich.console import Console

from pellucid.cli.main import COMMANDS, main
from pellucid.report.progress import Progress
from pellucid.store.store import Store

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

LINES = 80


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(LINES))


class Run:
    """A command and what came of it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str, codes: tuple[int, ...] = (0,)) -> None:
        capsys.readouterr()
        self.code = main([*words])
        self.out, self.err = capsys.readouterr()
        assert self.code in codes, self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def readable(text: str) -> None:
    """At most 80 columns, no colours, no blanks at the ends of lines."""
    lines = text.splitlines()
    assert lines
    assert max(map(len, lines)) <= LINES, max(lines, key=len)
    assert "\x1b" not in text
    assert [line for line in lines if line != line.rstrip()] == []


def same_twice(capsys: pytest.CaptureFixture[str], *words: str, codes: tuple[int, ...] = (0,)) -> Run:
    first, second = (Run(capsys, *words, codes=codes) for _ in range(2))
    assert first.out == second.out
    return second


def self_contained(path: Path) -> None:
    page = path.read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "src=" not in page


# Help


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_option_and_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = Run(capsys, name, "--help")
    assert f"usage: pellucid {name}" in done.out
    assert f"  pellucid {name}" in done.out.partition("example:")[2]
    assert done.err == ""
    undescribed = [line for line in done.out.splitlines() if line.strip() in ("--json", "--html FILE", "--quiet")]
    assert undescribed == []


def test_the_help_is_80_columns_wide(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], *([name, "--help"] for name in COMMANDS)):
        wide = [line for line in Run(capsys, *words).out.splitlines() if len(line) > 110]
        assert wide == [], words


# Fit and evaluate


def test_fit_a_table_without_a_spec(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("fit", "--data", "bank.csv", "--target", "paid", "--name", "mine", "--set", "train.updates=20")
    done = Run(capsys, *words, "--set", "evidence.folds=2")
    readable(done.out)
    assert "majority" in done.out
    assert "mine@1 is the head of 'mine'. Next: pellucid explain mine@1" in done.out
    assert "fold 1 of 2" in done.err
    again = Run(capsys, *words, "--set", "evidence.folds=2", "--set", "seed=1", "--because", "another seed", "--quiet")
    assert again.err == ""
    assert "is a candidate. Next: pellucid diff mine@1 mine~" in again.out
    assert "fits and corrections tried: 2" in " ".join(again.out.split())
    assert "another seed" in Run(capsys, "log", "mine").out
    assert Run(capsys, "log", "mine@1").out == Run(capsys, "log", "mine").out


def test_fit_prints_pure_json(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    done = Run(capsys, "fit", "bank.yaml", "--name", "mine", "--json")
    assert done.json["ref"] == "mine@1"
    assert done.json["evidence"]["tasks"][0]["task"] == "paid"
    assert "fold 1 of 2 ..." in done.err
    assert done.json["evidence"] == Run(capsys, "evaluate", "mine", "--json").json


def test_the_same_fit_again_changes_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    done = Run(capsys, "fit", "stocks.yaml")
    assert "stocks@1 is the head of 'stocks'" in done.out
    assert [entry.ref for entry in Store(".pellucid").versions("stocks")] == ["stocks@1"]
    # bank@1 is not the head any more.
    done = Run(capsys, "fit", "bank.yaml", "--quiet", codes=(2,))
    three_lines(done.err)
    assert "nothing changed: this is bank@1" in done.err
    assert "pellucid rollback bank --to 1 --because" in done.err
    assert not (home.store / "runs/bank").exists()


def test_evaluate(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    done = same_twice(capsys, "evaluate", "stocks@1")
    readable(done.out)
    for word in ("forecast", "risk", "trade", "persistence", "momentum", "interval", "n = "):
        assert word in done.out
    evidence = same_twice(capsys, "evaluate", "stocks", "--json").json
    assert [task["task"] for task in evidence["tasks"]] == ["forecast", "risk", "trade"]
    for task in evidence["tasks"]:
        assert task["low"] <= task["value"] <= task["high"]
        assert task["baselines"]


def test_evaluate_on_other_rows(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    before = fingerprint(home.store)
    done = same_twice(capsys, "evaluate", "bank@1", "--data", "bank.csv")
    readable(done.out)
    assert "128 rows were touched by its training and are left out" in " ".join(done.out.split())
    task = Run(capsys, "evaluate", "bank@1", "--data", "bank.csv", "--json").json["tasks"][0]
    assert task["n"] == 32
    assert [b["name"] for b in task["baselines"]][:3] == ["majority", "linear", "hist_gradient_boosting"]
    prices = Run(capsys, "evaluate", "stocks", "--data", "prices.csv", "--json").json
    assert {t["task"] for t in prices["tasks"]} == {"forecast", "risk", "trade"}
    assert fingerprint(home.store) == before  # what a version keeps is not touched


# Explain


def test_explain(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    done = same_twice(capsys, "explain", "stocks@1", "--at", "2000-09-29", "--quiet")
    readable(done.out)
    assert done.err == ""
    for word in ("forecast", "risk", "trade", "PRICES/2000-09-29", "±", "level"):
        assert word in done.out
    one = Run(capsys, "explain", "stocks@1", "--at", "2000-09-28", "--at", "2000-09-29", "--task", "risk", "--json")
    assert [(e["task"], e["keys"]) for e in one.json] == [("risk", ["PRICES/2000-09-28", "PRICES/2000-09-29"])]
    assert "explain risk ..." in one.err


def test_shares_add_up_whatever_the_method_and_the_grain(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for method in ("exact", "permutation", "auto"):
        for grain in ("field", "group"):
            words = ("explain", "stocks", "--task", "risk", "--method", method, "--grain", grain, "--json", "--quiet")
            found = Run(capsys, *words).json[0]
            players = found["players"]
            assert ("volume" in players) == (grain == "field")
            assert ("volume[t]" in players) == (grain == "group")
            total = sum(found["values"][0][i][0] for i in range(len(players)))
            assert total == pytest.approx(found["prediction"][0][0] - found["base"][0], abs=1e-4)
            assert found["method"].startswith(method) or method == "auto"


def test_explain_a_table_by_number_and_on_rows_that_have_no_label_yet(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.folder / "new.csv").write_text("city,debt,income\nbath,3,70\nparis,30,20\n")
    by_number = Run(capsys, "explain", "bank", "--at", "17", "--json", "--quiet").json[0]
    assert len(by_number["keys"]) == 1
    new = Run(capsys, "explain", "bank", "--data", "new.csv", "--at", "0", "--at", "1", "--json", "--quiet").json[0]
    low, high = new["prediction"][1][0], new["prediction"][0][0]  # of "yes"
    assert low < high


def test_explain_says_what_may_be_wrong_and_how_far_to_trust_it(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("explain", "bank", "--at", "17", "--quiet", "--value", "conditional", "--method", "regression", "--checks")
    done = Run(capsys, *words, "--html", "why_far.html")
    assert "Conditional Shapley values, regression" in done.out
    assert "R² of the additive fit" in done.out
    page = (home.folder / "why_far.html").read_text()
    assert "Value function" in page
    assert "insertion area above random orders" in page
    budgeted = Run(capsys, "explain", "bank", "--at", "17", "--quiet", "--error", "0.5", "--json").json[0]
    assert max(e for row in budgeted["error"] for player in row for e in player) <= 0.6
    assert Run(capsys, "explain", "bank", "--at", "17", "--seconds", "0.1", "--quiet").code == 0
    Run(capsys, "explain", "bank", "--at", "17", "--seconds", "1", "--error", "1", "--quiet", codes=(2,))


def test_explain_writes_a_page(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    done = Run(capsys, "explain", "stocks", "--html", "pages/why.html", "--quiet")
    self_contained(home.folder / "pages/why.html")
    assert done.out.splitlines()[-1].startswith("picture: file:///")
    both = Run(capsys, "explain", "stocks", "--html", "why.html", "--json", "--quiet")
    assert len(both.json) == 3  # pure JSON, although a page was written


# Feedback, revise, diff, decide


def test_the_loop(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    why = "volume is revised after the close"
    assert "no feedback yet" in Run(capsys, "feedback", "list", "stocks").out
    done = Run(capsys, "feedback", "add", "stocks@1", "--ignore", "volume", "--because", why)
    assert done.out.startswith("feedback #1 on stocks@1: ignore volume. Next: pellucid revise stocks@1")
    listed = Run(capsys, "feedback", "list", "stocks").out
    assert "(open)" in listed
    assert why in listed

    done = Run(capsys, "revise", "stocks@1", "--share", "0.2", "--updates", "120", "--budget", "0.9")
    readable(done.out)
    assert "effect of do(volume)" in done.out
    assert "correction ..." in done.err
    candidate = Store(".pellucid").candidates("stocks")[-1].ref
    assert f"proposed {candidate}. Next: pellucid diff stocks@1 {candidate}" in done.out
    assert Store(".pellucid").resolve("stocks").ref == "stocks@1"

    diff = same_twice(capsys, "diff", "stocks@1", candidate, codes=(0, 1, 3))
    readable(diff.out)
    for word in ("effect of do(volume)", "correlation", "risk", f"because: {why}"):
        assert word in diff.out
    found = same_twice(capsys, "diff", "stocks@1", candidate, "--json", codes=(diff.code,)).json
    assert {"better": 0, "equivalent": 0, "worse": 1, "undecided": 3}[found["verdict"]] == diff.code
    assert found["parameters"]["share"] <= 0.2
    pages = ("--html", "d/diff.html", "--markdown", "d/diff.md", "--svg", "d/diff.svg")
    Run(capsys, "diff", "stocks@1", candidate, *pages, codes=(diff.code,))
    self_contained(home.folder / "d/diff.html")
    assert Run(capsys, "diff", "stocks@1", candidate, "--json", *pages, codes=(diff.code,)).json == found
    assert candidate in (home.folder / "d/diff.md").read_text()
    assert (home.folder / "d/diff.svg").read_text().startswith("<svg")

    accepted = Run(capsys, "accept", candidate, "--because", "volume no longer matters", "--override-gates")
    assert f"{candidate} is stocks@2 now" in accepted.out
    assert "used by stocks@2" in Run(capsys, "feedback", "list", "stocks").out
    three_lines(Run(capsys, "revise", "stocks", "--quiet", codes=(2,)).err)  # no feedback is open any more

    report = Run(capsys, "report", "stocks@2", "--html", "report.html", "--quiet")
    assert report.out.startswith("report: file:///")
    self_contained(home.folder / "report.html")
    for word in (why, "stocks@2", "volume"):
        assert word in (home.folder / "report.html").read_text()

    rolled = Run(capsys, "rollback", "stocks", "--to", "1", "--because", "the vendor mended the volumes")
    assert "stocks@1 again" in rolled.out
    assert Store(".pellucid").resolve("stocks").ref == "stocks@1"
    log = same_twice(capsys, "log", "stocks")
    readable(log.out)
    for word in ("accepted", "rolled back", "ada", "the vendor mended the volumes"):
        assert word in log.out
    assert [event["what"] for event in Run(capsys, "log", "stocks", "--json").json][-1] == "rolled back"
    assert Run(capsys, "check", "store").out.startswith("The store .pellucid is whole: ")


def test_a_version_against_itself_differs_in_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    looks = Store(".pellucid").looks("stocks")
    done = same_twice(capsys, "diff", "stocks@1", "stocks@1")
    assert done.out.startswith("no difference: stocks@1 and stocks@1 ")
    assert Run(capsys, "diff", "stocks", "stocks@1", "--json").json["empty"] is True
    assert Store(".pellucid").looks("stocks") == looks


def test_adalora(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    Run(capsys, "feedback", "add", "bank", "--ignore", "debt", "--because", "not to be asked for")
    words = ("--method", "adalora", "--share", "0.6", "--updates", "60", "--because", "a fairer program", "--quiet")
    done = Run(capsys, "revise", "bank", *words)
    assert "adalora:" in done.out
    candidate = Store(".pellucid").resolve(done.out.split("proposed ")[1].split(". Next")[0])
    assert candidate.because == "a fairer program"
    assert candidate.manifest["parameters"]["share"] <= 0.6


def test_too_small_a_share_says_how_to_go_on(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    Run(capsys, "feedback", "add", "bank", "--ignore", "debt", "--because", "x")
    done = Run(capsys, "revise", "bank", "--share", "0.001", codes=(2,))
    three_lines(told(done.err))
    assert "--share" in done.err
    assert "network.width" in done.err


def test_a_failed_gate_stops_an_acceptance_with_exit_code_1(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    Run(capsys, "feedback", "add", "stocks@1", "--ignore", "volume", "--because", "late")
    Run(capsys, "revise", "stocks@1", "--share", "0.2", "--updates", "1", "--quiet")  # not learned: the effect remains
    candidate = Store(".pellucid").candidates("stocks")[-1].ref
    assert Run(capsys, "diff", "stocks@1", candidate, codes=(1,)).code == 1
    done = Run(capsys, "accept", candidate, "--because", "hurry", codes=(1,))
    three_lines(done.err)
    assert "does not pass its review" in done.err
    assert "effect of do(volume)" in done.err
    assert "--override-gates" in done.err
    assert Store(".pellucid").resolve("stocks").ref == "stocks@1"
    assert "is rejected" in Run(capsys, "reject", candidate, "--because", "not learned").out


def test_show(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    done = same_twice(capsys, "show", "stocks")
    for word in ("stocks@1", "accepted", "forecast (forecast)", "return, range, volume, level, position", "torch"):
        assert word in done.out
    manifest = same_twice(capsys, "show", home.rejected, "--json").json
    assert (manifest["state"], manifest["parent"]) == ("rejected", "bank@1")


def test_log_of_all_programs(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert Run(capsys, "log").out.splitlines() == [
        "bank@2                   2 versions, 2 waiting for a review",
        "stocks@1                 1 version",
    ]
    assert [one["name"] for one in Run(capsys, "log", "--json").json] == ["bank", "stocks"]


def test_log_of_a_program_that_was_only_tried(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    Store(".pellucid").add_trial("broken_off", "fit")
    assert Run(capsys, "log", "broken_off").out == "no version yet; 1 trial counted\n"
    assert Run(capsys, "log", "broken_off", "--json").json == []
    assert "fit it: tries that were broken off" in Run(capsys, "show", "broken_off", codes=(2,)).err
    assert Run(capsys, "log", "brokenoff", codes=(2,)).err.count("\n") == 3


# Pipes, terminals, missing extras


def test_a_reader_that_has_enough_is_no_error(home: Home) -> None:
    command = f"{sys.executable} -m pellucid.cli.main evaluate stocks --json | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "{"
    assert done.stdout.splitlines()[-1] in ("0", "141")


def test_progress_keeps_its_bar_on_a_narrow_terminal() -> None:
    screen = StringIO()
    with Progress(Console(file=screen, force_terminal=True, width=LINES, color_system=None)) as progress:
        progress.stage("fold 1 of 3", 1500)
        progress.advance(300, "forecast 0.2253  risk 0.1798  trade return -0.01625  and more that does not fit")
    last = next(line for line in reversed(screen.getvalue().splitlines()) if "fold" in line)
    assert "fold 1 of 3" in last
    assert "━" in last
    assert "300/1500" in last
    assert "forecast" in last
    assert len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last).rstrip()) <= LINES


def test_a_missing_extra_is_named_with_the_line_that_installs_it(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "arch" else real(name, *rest))
    done = Run(capsys, "fit", "stocks.yaml", "--name", "other", "--set", "data.source=sp500", codes=(2,))
    three_lines(told(done.err))
    assert done.err.startswith("MissingExtra: the price series 'sp500' needs the package 'arch'")
    assert "pip install 'pellucid[finance]'" in done.err


def test_a_class_that_appears_only_among_the_review_rows(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{i},{'bc'[i % 2]}\n" for i in range(60))
    (home.folder / "rare.csv").write_text(f"x,y\n{rows}99,a\n")  # the first label in order is always in the review set
    words = ("fit", "--data", "rare.csv", "--target", "y", "--set", "train.updates=5", "--set", "evidence.folds=2")
    Run(capsys, *words, "--quiet")
    store = Store(".pellucid")
    blobs = store.resolve("rare").manifest["blobs"]
    seen = store.blobs.get_table(blobs["outputs/y"])
    assert "a" in set(seen["y"])
    assert seen["loss"].notna().all()
    Run(capsys, "explain", "rare", "--quiet")
    Run(capsys, "evaluate", "rare", "--data", "rare.csv")


def test_numbers_too_large_for_a_float_are_read_as_they_are(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{10**30 + i * 10**28},{i % 2}\n" for i in range(40))
    (home.folder / "huge.csv").write_text(f"x,y\n{rows}")
    words = ("--set", "train.updates=5", "--set", "evidence.folds=2", "--quiet")
    Run(capsys, "fit", "--data", "huge.csv", "--target", "y", *words)
    Run(capsys, "explain", "huge", "--quiet")


def test_check_needs_neither_a_store_nor_torch(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a valid spec" in Run(capsys, "check", "spec", "stocks.yaml").out
    assert "160 rows" in Run(capsys, "check", "data", "bank.csv", "--target", "paid").out


# The data behind a version change


def change(path: Path, rows: range) -> None:
    """Other incomes in these lines: without an id column, other rows."""
    lines = path.read_text().splitlines()
    for i in rows:
        first, rest = lines[i].split(",", 1)
        lines[i] = f"{float(first) + 0.005},{rest}"
    path.write_text("\n".join(lines) + "\n")


def test_a_correction_is_not_measured_on_other_rows_than_the_base(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(capsys, "feedback", "add", "bank", "--ignore", "debt", "--because", "x")
    change(home.folder / "bank.csv", range(1, 90))
    done = Run(capsys, "revise", "bank", "--share", "0.6", "--updates", "5", codes=(2,))
    three_lines(told(done.err))
    assert re.search(r"\d+ of the 128 rows that 'bank' was trained on are in these data", done.err)
    change(home.folder / "bank.csv", range(90, 161))
    three_lines(told(Run(capsys, "fit", "bank.yaml", codes=(2,)).err))


def test_lost_review_rows_are_told(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    change(home.folder / "bank.csv", range(1, 81))
    done = Run(capsys, "fit", "bank.yaml")
    assert re.search(r"\d+ of the 32 review rows are not in these data any more", done.err)


def test_a_renamed_price_file_hides_nothing_that_was_trained_on(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (home.folder / "prices.csv").read_text().splitlines()
    (home.folder / "other.csv").write_text("\n".join(lines[:200]) + "\n")
    done = Run(capsys, "evaluate", "stocks", "--data", "other.csv", codes=(2,))
    three_lines(told(done.err))
    assert "every one of these rows was touched by the version's own training" in done.err
    (home.folder / "other.csv").write_text("\n".join(lines) + "\n")
    assert "354 rows were touched by its training" in Run(capsys, "evaluate", "stocks", "--data", "other.csv").out


def test_a_missing_file_behind_a_version(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    (home.folder / "bank.csv").rename(home.folder / "bank_2025.csv")
    for words in (("explain", "bank"), ("report", "bank"), ("fit", "bank.yaml")):
        done = Run(capsys, *words, codes=(2,))
        three_lines(told(done.err))
        assert "did you mean 'bank_2025.csv'?" in done.err
    Run(capsys, "explain", "bank", "--data", "bank_2025.csv")
    Run(capsys, "evaluate", "bank")
    Run(capsys, "diff", "bank@1", "bank@2", codes=(0, 1, 3))
