"""`pellucid inspect`: every question on the terminal, as JSON, and as a page that is well formed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pellucid.cli.inspect import ASKED, QUESTIONS
from pellucid.cli.main import main
from pellucid.report.parts.inspections import DRAWN
from tiny_programs import Home

WORDS = {
    "counterfactual": ["--keep", "leak", "--range", "a=-2:2", "--range", "city=Graz", "--answers", "2"],
    "lime": ["--at", "0", "--at", "1", "--samples", "400"],
    "rules": ["--at", "3", "--precision", "0.8"],
    "dependence": ["--field", "leak"],
    "interactions": ["--at", "0"],
    "importance": ["--repeats", "2"],
    "surrogate": ["--leaves", "4"],
}


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main([*words]) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_every_question_has_an_example_an_answer_and_a_picture() -> None:
    assert set(ASKED) == set(QUESTIONS) == set(WORDS)
    assert len(DRAWN) == len(QUESTIONS)


@pytest.mark.parametrize("question", WORDS)
def test_a_table(question: str, bank: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    common = ["inspect", question, "bank@1", *bank.flag, *WORDS[question]]
    shown = told(capsys, *common, "--html", str(page))
    assert "evaluations" in shown or "held out" in shown or "local R²" in shown
    assert "picture:" in shown
    found = json.loads(told(capsys, *common, "--json"))
    assert all(one["kind"] in DRAWN for one in found)
    text = page.read_text()
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "<desc>" in picture
    assert pictures or question in ("counterfactual", "rules", "surrogate")
    assert "nan" not in re.sub(r"<[^>]*>", "", text.partition("<main")[2]).lower().split()


def test_a_market(market: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flag, page = market.flag, str(tmp_path / "why.html")
    words = ["inspect", "counterfactual", "market@1", *flag, "--task", "forecast", "--below", "-0.0005", "--html", page]
    assert "<= -0.0005" in told(capsys, *words)
    assert "action" in told(capsys, "inspect", "counterfactual", "market@1", *flag, "--task", "trade")
    ale = told(capsys, "inspect", "dependence", "market@1", *flag, "--task", "risk", "--field", "level", "--ale")
    assert "accumulated local effects" in ale
    assert "q05" in told(capsys, "inspect", "lime", "market@1", *flag, "--task", "forecast", "--output", "q05")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["counterfactual", "bank@1", "--keep", "leek"], "did you mean 'leak'"),
        (["counterfactual", "bank@1", "--to", "yess"], "did you mean 'yes'"),
        (["counterfactual", "bank@1", "--range", "a"], "FIELD=LOW:HIGH"),
        (["counterfactual", "bank@1", "--to", "yes", "--above", "1"], "give one kind"),
        (["counterfactual", "bank@1", "--range", "city=Wien"], "no category 'Wien'"),
        (["dependence", "bank@1", "--field", "leek"], "did you mean 'leak'"),
        (["dependence", "bank@1", "--field", "city", "--ale"], "no order"),
        (["lime", "bank@1", "--output", "nope"], "no output"),
        (["rules", "bank@1", "--precision", "1"], "precision"),
        (["lime", "bank@1", "--task", "nope"], "no task"),
    ],
)
def test_what_is_wrong_is_told_in_three_lines(
    words: list[str], said: str, bank: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    error = told(capsys, "inspect", *words, *bank.flag, code=2)
    assert said in error
    assert len(error.strip().splitlines()) == 3
    assert "Traceback" not in error


@pytest.mark.parametrize("question", ["counterfactual", "lime", "rules", "interactions", "importance"])
def test_progress_is_told_and_can_be_silenced(
    question: str, bank: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    common = ["inspect", question, "bank@1", *bank.flag, *WORDS[question]]
    capsys.readouterr()
    assert main([*common, "--quiet"]) == 0
    silent = capsys.readouterr()
    assert silent.err == ""
    assert main(common) == 0
    loud = capsys.readouterr()
    assert loud.err != ""
    assert loud.out == silent.out
