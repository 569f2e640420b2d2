"""`pellucid explain --episode` and `--outcome`: what is printed, written and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from home_folder import Home, three_lines, told

from pellucid.cli.main import main
from pellucid.explain import EpisodeExplanation, Outcome


def test_an_episode_of_days_and_its_outcome(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "explain",
        "stocks",
        "--task",
        "trade",
        "--episode",
        "3",
        "--outcome",
        "2",
        "--quiet",
        "--html",
        "why.html",
    ]
    assert main(words) == 0
    out = capsys.readouterr().out
    for part in ("trade in pellucid/StockTrading-v0, seed 3: return", "days before the review rows", "return of a day",
                 "hidden: at every step"):  # fmt: skip
        assert part in out
    page = Path("why.html").read_text()
    assert "An episode explained" in page
    assert "What the return rests on" in page


def test_json_is_what_python_reads(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    day = "2000-06-01"
    words = ["explain", "stocks", "--task", "trade", "--episode", "3", "--at", day, "--grain", "field", "--json"]
    assert main([*words, "--quiet", "--outcome", "2", "--together", "noise=range,volume"]) == 0
    found = json.loads(capsys.readouterr().out)
    episode = EpisodeExplanation.from_json(found["episode"])
    assert episode.outputs.keys[0].endswith(day)
    assert episode.players == ("return", "noise", "level", "position")
    assert episode.names == ("short", "flat", "long", "value", "margin")
    assert {one.feature for one in Outcome.from_json(found["outcome"]).hidden} == set(episode.players)
    assert main([*words, "--quiet"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"episode"}


@pytest.mark.parametrize(
    ("words", "said", "mend"),
    [
        (["stocks", "--task", "trade", "--episode", "3", "--output", "margni"], "no output 'margni'", "'margin'"),
        (["stocks", "--task", "trad", "--episode", "3"], "no task 'trad'", "'trade'"),
        (["stocks", "--task", "risk", "--episode", "3"], "'risk' takes no actions", "trade"),
        (["bank", "--outcome", "5"], "takes no actions", "explain rows"),
        (["stocks", "--episode", "3", "--at", "1990-01-01"], "no row for 1990-01-01", "the first row"),
        (["stocks", "--episode", "3", "--at", "2000-06-01", "--at", "2000-06-02"], "--at does not go", "once"),
        (["stocks", "--outcome", "3", "--checks"], "--checks does not go with an outcome", "give --episode"),
        (["stocks", "--episode", "3", "--method", "tree"], "tree", ""),
        (["stocks", "--episode", "3", "--together", "a=return,volum"], "'volum' is no field", "'volume'"),
    ],
)
def test_what_is_refused(
    home: Home, capsys: pytest.CaptureFixture[str], words: list[str], said: str, mend: str
) -> None:
    assert main(["explain", *words]) == 2
    err = told(capsys.readouterr().err)
    three_lines(err)
    assert said in err
    assert mend in err


def test_numbers_that_are_none(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--episode", "-1"], ["--episode", "x"], ["--outcome", "1"]):
        assert main(["explain", "stocks", *words]) == 2
        assert "give a whole number" in capsys.readouterr().err
