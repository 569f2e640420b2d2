"""Terminal and Markdown: verdict first, numbers with interval and n, narrow, colourless, nothing injected."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from pellucid.report import markdown, terminal
from pellucid.report.numbers import interval, number, percent, with_error
from pellucid.report.units import explained_in_units, in_units

VIEWS: dict[str, tuple[Callable[[Any], Any], Callable[[ModuleType], Any]]] = {
    "evidence": (terminal.evidence_view, lambda s: s.evidence()),
    "explanation": (terminal.explanation_view, lambda s: s.explanations()[0]),
    "explanations": (terminal.explanations_view, lambda s: s.explanations()),
    "diff": (terminal.diff_view, lambda s: s.diff()),
    "self-diff": (terminal.diff_view, lambda s: s.self_diff()),
    "log": (terminal.log_view, lambda s: s.history()),
}


def _print(view: Any, *, width: int = 80, colour: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=colour, no_color=not colour, legacy_windows=False).print(view)
    return out.getvalue()


def _flat(view: Any) -> str:
    return " ".join(_print(view, width=400).split())


@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize("name", VIEWS)
def test_fits_and_is_plain_without_colour(name: str, width: int, samples: ModuleType) -> None:
    draw, raw = VIEWS[name]
    printed = _print(draw(raw(samples)), width=width)
    assert "\x1b" not in printed
    assert all(cell_len(line) <= width for line in printed.splitlines())


@pytest.mark.parametrize("name", VIEWS)
def test_labels_cannot_colour_or_move_the_cursor(name: str, samples: ModuleType) -> None:
    draw, raw = VIEWS[name]
    for hostile in ("\x1b[2J\x1b[31mred", "[bold red]x[/]", samples.HOSTILE, samples.LONG):
        printed = _print(draw(samples.poisoned(raw(samples), text=hostile)), width=80)
        assert "\x1b" not in printed
    if name != "self-diff":
        assert "[bold red]x[/]" in _flat(draw(samples.poisoned(raw(samples), text="[bold red]x[/]")))


@pytest.mark.parametrize("name", VIEWS)
def test_missing_and_not_finite(name: str, samples: ModuleType) -> None:
    draw, raw = VIEWS[name]
    _print(draw([] if name in {"log", "explanations"} else {}))
    printed = _print(draw(samples.poisoned(raw(samples), value=math.nan)), width=200)
    assert "nan" not in printed.split()
    if name in {"evidence", "explanation", "diff"}:
        assert "not available" in printed


def test_evidence_says_the_verdicts_first_and_every_interval(samples: ModuleType) -> None:
    evidence = samples.evidence()
    printed = _flat(terminal.evidence_view(evidence))
    assert printed.startswith("= forecast: equivalent to the best baseline")
    for task in map(in_units, evidence["tasks"]):
        for b in task["baselines"]:
            assert interval(b["low"], b["high"]) in printed
            assert interval(b["difference_low"], b["difference_high"], signed=True) in printed
    assert "n = 1,257, none of which the judged fits had seen" in printed
    assert "looks at what is set aside: 3" in printed
    assert "planted market must show skill ✓ passed forecast ▲ skill, trade ▲ skill" in printed
    assert "note: 12 days without volume were left out" in printed


def test_methods_and_sizes_that_differ_are_not_merged(samples: ModuleType) -> None:
    evidence = samples.evidence()
    evidence["tasks"][0]["n"], evidence["tasks"][1]["method"] = 99, "another bootstrap"
    printed = _flat(terminal.evidence_view(evidence))
    assert "pinball, bp; lower is better; n = 99" in printed
    assert f"{samples.METHOD}, another bootstrap" in printed
    assert "none of which" not in printed


def test_explanation_lists_players_by_size(samples: ModuleType) -> None:
    one = samples.explanations()[1]
    printed = _print(terminal.explanation_view(one), width=100)
    shares = [abs(one["values"][0][j][0]) for j in range(len(one["players"]))]
    first = one["players"][shares.index(max(shares))]
    assert f"{first} moves it most" in " ".join(printed.split())
    order = [
        line.split()[0]
        for line in printed.splitlines()
        if "±" in line and "moves" not in line and line.split()[0] in one["players"]
    ]
    assert order[:10] == [one["players"][j] for j in sorted(range(10), key=lambda j: -shares[j])]
    assert with_error(one["values"][0][0][0], one["error"][0][0][0]) in printed
    assert number(one["prediction"][1][0]) in printed


def test_diff_in_both(samples: ModuleType) -> None:
    diff = samples.diff()
    printed, comment = _flat(terminal.diff_view(diff)), markdown.diff_comment(diff)
    assert printed.startswith(
        "✓ claim kept stocks~3f2a keeps its claim: 5 of 5 gates passed. because: volume is revised"
    )
    assert comment.startswith("### ✓ claim kept: `stocks@1` → `stocks~3f2a`\n")
    for task in map(in_units, diff["tasks"]):
        for shown in (printed, comment):
            assert interval(task["low"], task["high"], signed=True) in shown
            assert "1,257" in shown
    for gate in diff["gates"]:
        assert gate["name"] in comment
        assert f"✓ {gate['task']} {gate['seen']}" in printed
        assert f"{gate['title']} asked: {gate['required']}" in printed
    assert f"volume 12 % 0.19 % 12 % {percent(diff['tasks'][0]['attribution'][2]['noise'])}" in printed
    assert "range" not in printed  # its shift lies within the explainer's noise
    assert "SP500/2015-08-24 long → flat next return: +227 bp" in printed
    assert "SP500/2015-08-24 long → flat log-variance that came: -10.12" in printed
    assert comment == markdown.diff_comment(samples.diff())
    assert comment.count("<details>") == comment.count("</details>") == 3


def test_self_diff_is_one_line(samples: ModuleType) -> None:
    sentence = "no difference: stocks@1 and stocks@1 give the same outputs on 1,257 review rows."
    assert _flat(terminal.diff_view(samples.self_diff())) == sentence
    assert markdown.diff_comment(samples.self_diff()).replace("\u200b", "") == f"**{sentence}**\n"


def test_markdown_is_not_injectable(samples: ModuleType) -> None:
    hostile = "@everyone <img src=x> **x** | `y` [a](javascript:1) http://evil.example #12 </details>\n# head"
    comment = markdown.diff_comment(samples.poisoned(samples.diff(), text=hostile))
    outside = "".join(part for i, part in enumerate(_code_spans(comment)) if i % 2 == 0)
    assert "@everyone" not in outside
    assert "<img" not in outside
    assert "://" not in outside
    assert "](" not in outside.replace("\\](", "")
    assert outside.count("</details>") == 3
    assert "\n# head" not in comment
    rows = [line for line in comment.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} <= {5, 6, 8}


def _code_spans(comment: str) -> list[str]:
    """Text and code spans in turn, fences of any length."""
    parts, rest = [], comment
    while "`" in rest.replace("\\`", "  "):
        i = rest.replace("\\`", "  ").index("`")
        fence = rest[i : i + len(rest[i:]) - len(rest[i:].lstrip("`"))]
        j = rest.index(fence, i + len(fence))
        parts += [rest[:i], rest[i : j + len(fence)]]
        rest = rest[j + len(fence) :]
    return [*parts, rest]


@pytest.mark.parametrize("label", ["`", "a``b", "|", "", "  ", "plain", "\n`\n"])
def test_code_span_closes_only_where_it_should(label: str) -> None:
    span = markdown.code(label)
    inner = span.strip("`")
    fence = len(span) - len(span.lstrip("`"))
    assert not label.strip() or "`" * fence not in inner


def test_a_gate_that_fails_is_loud_and_a_cost_says_its_budget(samples: ModuleType) -> None:
    diff = samples.diff()
    diff["gates"][0]["passed"], diff["verdict"] = False, "worse"
    printed = _flat(terminal.diff_view(diff))
    assert printed.startswith("✗ claim broken stocks~3f2a breaks its claim: 1 of 5 gates failed.")
    assert f"✗ risk FAILED: {diff['gates'][0]['seen']}" in printed
    assert "Failed: risk: effect of do(volume)." in printed
    assert "in budget" in printed
    diff["gates"][3]["passed"] = False
    assert "over budget" in _flat(terminal.diff_view(diff))


def test_gates_of_one_promise_share_what_was_asked_where_it_is_the_same(samples: ModuleType) -> None:
    diff = samples.diff()
    first = diff["gates"][0]
    diff["gates"].append({**first, "task": "trade"})
    assert _flat(terminal.diff_view(diff)).count(first["required"]) == 1
    diff["gates"][-1]["required"] = "down at least 60 %"
    printed = _flat(terminal.diff_view(diff))
    assert f"asked: {first['required']}" in printed
    assert "asked: down at least 60 %" in printed


def test_without_a_claim_the_verdict_is_that_of_the_metrics(samples: ModuleType) -> None:
    diff = {**samples.diff(), "gates": []}
    assert _flat(terminal.diff_view(diff)).startswith("▲ better stocks~3f2a is better than stocks@1.")
    assert "claim" not in markdown.diff_comment(diff)


def test_forecasts_show_their_median_first_in_basis_points(samples: ModuleType) -> None:
    raw = samples.explanations()[0]
    one = explained_in_units(raw)
    printed = _flat(terminal.explanation_view(raw))
    low, middle, high = (number(v, signed=True) for v in one["prediction"][0])
    said = f"median {middle} bp; 80 % of outcomes expected between {low} and {high} bp"
    assert f"forecast on SP500/2018-02-05: {said}" in printed
    assert "shares of q50, the median, in bp (other outputs: q10, q90)" in printed
    asked = _flat(terminal.explanation_view({**raw, "main": "q90"}))
    assert "shares of q90, the 90 % quantile, in bp (other outputs: q10, q50)" in asked


def test_many_players_are_summed_and_the_sum_holds(samples: ModuleType) -> None:
    one = samples.explanations()[1]
    more = 30
    one["players"] = [f"p{i}" for i in range(more)]
    one["keys"] = one["keys"][:1]
    one["values"] = [[[2.0**-i] for i in range(more)]]
    one["error"] = [[[0.0]] * more]
    one["shown"] = [[""] * more]
    printed = _flat(terminal.explanation_view(one))
    assert "19 smaller ones" in printed
    assert with_error(sum(2.0**-i for i in range(11, more)), 0.0) in printed
    assert "p11" not in printed


def test_how_it_was_computed_is_said_once(samples: ModuleType) -> None:
    several = samples.explanations()
    printed = _flat(terminal.explanations_view(several))
    assert printed.count("Shapley values") == 1
    assert f"{3 * 204_800:,} evaluations" in printed
    several[0]["method"] = "another way"
    assert _flat(terminal.explanations_view(several)).count("Shapley values") == 3


def test_history_in_short(samples: ModuleType) -> None:
    printed = _flat(terminal.log_view(samples.history()))
    assert "2026-03-01 09:02 Ada Quant fitted stocks@1 first fit on 1999-2013" in printed
    assert "09:02:31" not in printed
