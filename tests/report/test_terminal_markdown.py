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
from pellucid.report.numbers import interval, number, with_error

VIEWS: dict[str, tuple[Callable[[Any], Any], Callable[[ModuleType], Any]]] = {
    "evidence": (terminal.evidence_view, lambda s: s.evidence()),
    "explanation": (terminal.explanation_view, lambda s: s.explanations()[0]),
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
    _print(draw([] if name == "log" else {}))
    printed = _print(draw(samples.poisoned(raw(samples), value=math.nan)), width=200)
    assert "nan" not in printed.split()
    if name in {"evidence", "explanation", "diff"}:
        assert "not available" in printed


def test_evidence_says_the_verdicts_first_and_every_interval(samples: ModuleType) -> None:
    evidence = samples.evidence()
    printed = _flat(terminal.evidence_view(evidence))
    assert printed.startswith("forecast: equivalent to the best baseline")
    for task in evidence["tasks"]:
        for b in task["baselines"]:
            assert interval(b["low"], b["high"]) in printed
            assert interval(b["difference_low"], b["difference_high"], signed=True) in printed
    assert "n = 1,257" in printed
    assert "looks at the review set 3" in printed


def test_explanation_lists_players_by_size(samples: ModuleType) -> None:
    one = samples.explanations()[1]
    printed = _print(terminal.explanation_view(one))
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
    assert "stocks~3f2a is better than stocks@1." in printed
    assert comment.startswith("### ▲ better: `stocks@1` → `stocks~3f2a`\n")
    for task in diff["tasks"]:
        for shown in (printed, comment):
            assert interval(task["low"], task["high"], signed=True) in shown
            assert "1,257" in shown
    for gate in diff["gates"]:
        assert gate["name"] in printed
        assert gate["name"] in comment
    assert "+0.00310" in printed
    assert "range" not in printed  # its shift lies within the explainer's noise
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
