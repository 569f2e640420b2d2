"""Every command ends with the next sensible step, as it can be typed; `explain --output` shows the output asked for."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest
from home_folder import Home, three_lines

from pellucid.cli.common import then
from pellucid.cli.demo import _quoted
from pellucid.cli.main import main


def _last(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main([*words]) == code
    lines = capsys.readouterr().out.splitlines()
    return next(line for line in reversed(lines) if "Next: " in line).partition("Next: ")[2]


def test_a_step_names_the_store_when_it_is_not_the_usual_one() -> None:
    assert then(argparse.Namespace(store=".pellucid"), "log bank") == "Next: pellucid log bank"
    assert then(argparse.Namespace(store="my store"), "log bank") == "Next: pellucid log bank --store 'my store'"
    assert then(argparse.Namespace(), "log bank") == "Next: pellucid log bank"


def test_each_step_leads_to_one_that_works(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert _last(capsys, "evaluate", "bank") == "pellucid explain bank@2"
    assert _last(capsys, "explain", "bank", "--quiet") == "pellucid feedback add bank@2 --ignore FIELD --because WHY"
    assert _last(capsys, "show", "bank@1") == "pellucid evaluate bank@1"
    assert _last(capsys, "log", "bank") == "pellucid show bank@2"
    assert _last(capsys, "diff", "bank@1", "bank@2", code=main(["diff", "bank@1", "bank@2"])) == "pellucid log bank"
    code = main(["diff", "bank@2", home.open])
    verb = {0: "accept", 1: "reject", 3: "accept"}[code]
    step = _last(capsys, "diff", "bank@2", home.open, code=code)
    assert step == f"pellucid {verb} {home.open} --because WHY"
    assert _last(capsys, "reject", home.open, "--because", "no better") == "pellucid log bank"
    assert _last(capsys, "rollback", "bank", "--to", "1", "--because", "a test") == "pellucid log bank"
    assert _last(capsys, "check", "spec", "bank.yaml", "--set", "seed=3") == "pellucid fit bank.yaml --set seed=3"
    assert (
        _last(capsys, "check", "data", "bank.csv", "--target", "paid") == "pellucid fit --data bank.csv --target paid"
    )


def test_explain_shows_the_median_first_and_another_output_on_request(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", "stocks", "--task", "forecast", "--quiet"]
    assert main(words) == 0
    usual = capsys.readouterr().out
    assert "shares of q50, the median, in bp (other outputs: q05, q25, q75, q95)" in " ".join(usual.split())
    assert "Another output is shown with --output NAME." in usual
    assert main([*words, "--output", "q95"]) == 0
    assert "shares of q95, the 95 % quantile, in bp" in " ".join(capsys.readouterr().out.split())
    # A task without that output shows its usual one.
    assert main(["explain", "stocks", "--output", "q95", "--quiet"]) == 0
    assert "log variance" in capsys.readouterr().out


def test_an_output_that_no_task_has_is_refused_before_anything_is_computed(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "stocks", "--output", "q96"]) == 2
    err = capsys.readouterr().err
    three_lines(err)
    assert "no output 'q96': forecast returns q05" in err
    assert "did you mean 'q9" in err
    assert "explain forecast ..." not in err
    assert main(["explain", "stocks", "--task", "risk", "--output", "q95", "--quiet"]) == 2


def test_the_tour_shows_commands_as_a_person_types_them() -> None:
    words = ["diff", "stocks@1", "stocks~3f2a", "--because", "it's late", "~home"]
    assert _quoted(words) == """diff stocks@1 stocks~3f2a --because 'it'"'"'s late' '~home'"""


def test_the_log_is_read_without_torch_or_pandas(home: Home) -> None:
    code = "import sys; from pellucid.cli.main import main; main(['log', 'bank']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "accepted" in done.stdout
    assert not {"torch", "pandas", "sklearn", "pyarrow"} & set(done.stderr.split())
