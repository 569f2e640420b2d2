"""Pages: one file, well-formed, nothing loaded, everything escaped, every number there, the same bytes each time."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

from pellucid.report import html
from pellucid.report.numbers import interval, measured, number, percent, typeset, typeset_sentence, with_error
from pellucid.report.units import explained_in_units, in_units, what_came

PIXELS = re.compile(r"data:image/png;base64,[\w+/]+=*")  # a picture within the page
PAGES: dict[str, Callable[[ModuleType], tuple[Callable[[Any], str], Any]]] = {
    "report": lambda s: (html.program_report, s.report()),
    "evidence": lambda s: (html.evidence_page, s.evidence()),
    "diff": lambda s: (html.diff_page, s.diff()),
    "self-diff": lambda s: (html.diff_page, s.self_diff()),
    "explanations": lambda s: (html.explanation_page, s.explanations()),
    "parts": lambda s: (html.explanation_page, s.parts()),
    "policy": lambda s: (lambda raw: html.policy_page(raw.get("episode"), raw.get("outcome")), s.policy()),
}


class _Outline(HTMLParser):
    """Tags, ids and headings as a browser's parser meets them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _outline(page: str) -> _Outline:
    outline = _Outline()
    outline.feed(page)
    return outline


def _root(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))


@pytest.mark.parametrize("name", PAGES)
def test_page_is_one_well_formed_file_that_loads_nothing(name: str, samples: ModuleType) -> None:
    draw, raw = PAGES[name](samples)
    page = draw(raw)
    root, outline = _root(page), _outline(page)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in outline.attributes
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(outline.tags)
    assert not {key for key, _ in outline.attributes if key.startswith("on") or key in {"src", "srcset", "style"}}
    links = [value or "" for key, value in outline.attributes if key == "href" and not PIXELS.fullmatch(value or "")]
    assert all(value.startswith("#") for value in links)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", PIXELS.sub("", page))
    ids = [value for key, value in outline.attributes if key == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in links} <= set(ids)
    assert root.get("lang") == "en"


@pytest.mark.parametrize("name", PAGES)
def test_headings_tables_and_figures_are_accessible(name: str, samples: ModuleType) -> None:
    draw, raw = PAGES[name](samples)
    root = _root(draw(raw))
    levels = [int(e.tag[1]) for e in root.iter() if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    for table in root.iter("table"):
        assert table.find("caption") is not None
        assert all(th.get("scope") in {"col", "row"} for th in table.iter("th"))
        widths = {len(row) for row in table.iter("tr")}
        assert len(widths) == 1
    for figure in root.iter("figure"):
        assert figure.find("figcaption") is not None
        assert all(svg.get("role") == "img" and svg[0].tag == "title" for svg in figure.iter("svg"))
    assert next(iter(root.iter("a"))).get("class") == "skip"


@pytest.mark.parametrize("name", PAGES)
def test_same_input_same_bytes_and_input_untouched(name: str, samples: ModuleType) -> None:
    draw, raw = PAGES[name](samples)
    before = copy.deepcopy(raw)
    assert draw(raw) == draw(before)
    assert raw == before


@pytest.mark.parametrize("name", PAGES)
def test_hostile_text_stays_text(name: str, samples: ModuleType) -> None:
    draw, raw = PAGES[name](samples)
    plain = _outline(draw(raw))
    for hostile in (samples.HOSTILE, samples.LONG, "\x00\x1b[2J\u202e"):
        page = draw(samples.poisoned(raw, text=hostile))
        _root(page)
        outline = _outline(page)
        assert set(outline.tags) <= set(plain.tags) | {"p"}
        assert not {key for key, _ in outline.attributes if key.startswith("on")}
        assert not re.search("[\x00\x1b\u202e]", page)
    assert samples.HOSTILE in "".join(_outline(draw(samples.poisoned(raw, text=samples.HOSTILE))).text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_finite_is_not_available(name: str, value: float, samples: ModuleType) -> None:
    draw, raw = PAGES[name](samples)
    page = draw(samples.poisoned(raw, value=value))
    told = "".join(_root(page).itertext())
    assert not re.search(r"\b(nan|NaN|inf|Infinity)\b", told)
    if name != "self-diff":
        assert "not available" in told


def _text(page: str) -> str:
    """What a reader sees, without tooltips, descriptions and style."""
    root = _root(page)
    for parent in root.iter():
        for child in list(parent):
            if child.tag in {"title", "desc", "style"}:
                parent.remove(child)
    return " ".join(part.strip() for part in root.itertext() if part.strip())


def test_every_number_of_the_evidence_is_shown(samples: ModuleType) -> None:
    evidence = samples.evidence()
    shown = _text(html.evidence_page(evidence))
    for task in map(in_units, evidence["tasks"]):
        for entry in (task, *task["baselines"]):
            assert typeset(interval(entry["low"], entry["high"])) in shown
        for b in task["baselines"]:
            assert typeset(interval(b["difference_low"], b["difference_high"], signed=True)) in shown
            assert b["name"] in shown
        for fold in task["folds"]:
            assert typeset(number(fold["value"])) in shown
            assert fold["train"] in shown
        assert typeset_sentence(task["sentence"]) in shown
        assert task["verdict"] in shown
        assert task["method"] in shown
    for control in evidence["controls"]:
        assert control["name"] in shown
    for fact in (
        "1,257",
        "2014-01-02 to 2018-12-31",
        "2 min 14 s",
        "Sharpe ratio 0.41 [−0.11, 0.93]",
        "Net return a year 5.3\u00a0%",
        "Largest fall from a peak 14\u00a0%",
        "Traded a year 20.9 times the notional",
        "Hit rate 0.083 [0.071, 0.096]",
    ):
        assert fact in shown


def test_every_number_of_the_diff_is_shown(samples: ModuleType) -> None:
    diff = samples.diff()
    shown = _text(html.diff_page(diff))
    for raw in diff["tasks"]:
        task = in_units(raw)
        assert typeset(interval(task["low"], task["high"], signed=True)) in shown
        for player in task["attribution"]:
            for key in ("base", "candidate", "shift", "noise"):
                assert percent(player[key]) in shown
        for example in task["flips"]["examples"]:
            assert example["key"] in shown
            assert typeset_sentence(what_came(raw, example["y"])) in shown
        for output in task["outputs"]:
            assert number(output["correlation"]) in shown
    for gate in diff["gates"]:
        assert typeset_sentence(gate["required"]) in shown
        assert typeset_sentence(gate["seen"]) in shown
    for fact in (
        "2,816 of 68,412 parameters (4.1\u00a0%), 11.3 KB",
        "47 of 1,257",
        "p = 0.76",
        "9f86d081884c7d65",
        "5 of 5 gates passed",
    ):
        assert fact in shown


def test_every_number_of_an_outcome_is_shown_and_predictions_stand_apart(samples: ModuleType) -> None:
    raw = samples.policy()
    shown = _text(html.policy_page(raw["episode"], raw["outcome"]))
    for one in raw["outcome"]["hidden"]:
        assert one["feature"] in shown
        assert typeset(measured(one["change"], one["low"], one["high"], signed=True)) in shown
    for fact in (
        "a prediction, not what it earns",
        "an experiment in its environment, not an attribution",
        raw["episode"]["background"],
        raw["outcome"]["hiding"],
        "50: episodes on seeds 1000003 to 1000052",
        "3 episodes with a hidden feature",
    ):
        assert fact in shown
    alone = _text(html.policy_page(None, raw["outcome"]))
    assert "An episode explained" not in alone


def test_every_share_of_an_explanation_is_shown(samples: ModuleType) -> None:
    raw = samples.explanations()[0]
    one, shown = explained_in_units(raw), _text(html.explanation_page([raw]))
    for i in range(len(one["keys"])):
        for k in range(len(one["outputs"])):
            assert typeset(number(one["prediction"][i][k])) in shown
            for j in range(len(one["players"])):
                assert typeset(with_error(one["values"][i][j][k], one["error"][i][j][k])) in shown
    assert "204,800" in shown


def test_self_diff_says_no_difference_and_nothing_else(samples: ModuleType) -> None:
    shown = _text(html.diff_page(samples.self_diff()))
    assert "no difference: stocks@1 and stocks@1 give the same outputs on 1,257 review rows." in shown
    assert "Gates" not in shown
    assert "decisions changed" not in shown


def test_gates_that_fail_or_cannot_be_decided_are_named(samples: ModuleType) -> None:
    diff = samples.diff()
    diff["gates"][0]["passed"], diff["gates"][3]["passed"], diff["verdict"] = False, None, "worse"
    shown = _text(html.diff_page(diff))
    assert "stocks~3f2a breaks its claim: 1 of 5 gates failed." in shown
    assert "Failed: risk: effect of do(volume)." in shown
    assert "Undecided: risk: cost on ordinary data." in shown
    assert "in budget" not in shown


def test_notes_and_what_could_not_be_computed_are_said(samples: ModuleType) -> None:
    evidence = samples.evidence()
    evidence["tasks"][1]["baselines"][2] |= {"value": None, "low": None, "high": None, "note": "did not converge"}
    shown = _text(html.evidence_page(evidence))
    assert "GARCH(1,1) did not converge" in shown
    assert "12 days without volume were left out" in shown
    assert "68,412" in shown


def test_contamination_and_failed_controls_are_said(samples: ModuleType) -> None:
    assert "contaminated: 12 review rows left out" in _text(html.diff_page({**samples.diff(), "contaminated": 12}))
    evidence = samples.evidence()
    evidence["controls"][1]["passed"] = False
    assert "The control random walk failed (expected: no skill)" in _text(html.evidence_page(evidence))


@pytest.mark.parametrize("name", PAGES)
def test_missing_parts_are_left_out(name: str, samples: ModuleType) -> None:
    draw, raw = PAGES[name](samples)
    if isinstance(raw, list):
        assert "Explanations" in draw([])
        return
    raw = {**raw, "explanations": raw.get("explanations", [])[1:2]}  # the shortest one is enough
    _root(draw({}))
    for key in raw:
        _root(draw({k: v for k, v in raw.items() if k != key}))
        _root(draw({**raw, key: None}))


def test_tasks_without_anything_still_render() -> None:
    _root(html.evidence_page({"tasks": [{}], "controls": [{}], "curves": [{}]}))
    _root(html.diff_page({"tasks": [{"flips": {}, "attribution": [{}]}], "gates": [{}], "parameters": {"touched": 1}}))
    _root(html.explanation_page([{}, {"keys": ["a"], "outputs": ["y"], "players": ["p", "q"]}]))
    _root(html.program_report({"history": [{}], "corrections": [{}], "wealth": [{"series": [{}]}]}))


def test_raw_inputs_are_shown_when_there_is_nothing_nicer(samples: ModuleType) -> None:
    one = samples.explanations()[1]
    del one["shown"]
    one["inputs"] = [[0.123456, "technology", None, 7.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]] * 2
    shown = _text(html.explanation_page([one]))
    assert "return[t] = 0.123" in shown
    assert "return[t-1..4] = technology" in shown


def test_base_may_differ_by_row(samples: ModuleType) -> None:
    one = samples.explanations()[1]
    one["base"] = [[11.25], [13.75]]
    shown = _text(html.explanation_page([one]))
    assert "average 11.3" in shown or "average 11.2" in shown
    assert "average 13.8" in shown or "average 13.7" in shown


def test_an_accepted_correction_is_said_to_keep_its_claim_not_to_be_better(samples: ModuleType) -> None:
    """Its loss on ordinary data may have risen, within the budget: `better` would be untrue."""
    diff = samples.diff()
    diff["tasks"][1]["verdict"] = "worse"
    shown = _text(html.diff_page(diff))
    assert "claim kept stocks~3f2a keeps its claim: 5 of 5 gates passed." in shown
    assert "better than" not in shown
    assert "worse in budget" in shown


def test_the_gates_of_several_tasks_share_a_line_and_what_was_asked(samples: ModuleType) -> None:
    diff = samples.diff()
    first = diff["gates"][0]
    diff["gates"].insert(1, {**first, "task": "trade", "name": "trade: effect", "seen": "down 81 %"})
    page = html.diff_page(diff)
    wide, narrow = _tables(page, "Gates, task by task"), _tables(page, "effect of do(volume): ")
    assert wide[0] == ["Promise", "risk", "trade", "forecast"]
    assert wide[1][0] == f"effect of do(volume){typeset_sentence(first['required'])}"
    assert wide[1][1].endswith(typeset_sentence(first["seen"]))
    assert wide[1][2].endswith("down 81\u00a0%")
    assert wide[1][3] == ""
    assert [row[0] for row in narrow] == ["Task", "risk", "trade"]
    diff["gates"][1]["required"] = "down at least 60 %"
    wide = _tables(html.diff_page(diff), "Gates, task by task")
    assert wide[1][0] == "effect of do(volume)"  # what was asked stands in the cells
    assert wide[1][1].endswith(typeset_sentence(first["required"]))
    assert wide[1][2].endswith("down at least 60\u00a0%")


def _tables(page: str, caption: str) -> list[list[str]]:
    """Cells of the first table with that caption."""
    for table in _root(page).iter("table"):
        head = table.find("caption")
        if head is not None and "".join(head.itertext()).startswith(caption):
            return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    raise AssertionError(caption)


def test_controls_say_skill_for_every_task_and_what_each_market_is(samples: ModuleType) -> None:
    evidence = samples.evidence()
    evidence["controls"][1]["tasks"][0]["verdict"] = "worse"  # without skill: as it must be
    rows = _tables(html.evidence_page(evidence), "Controls")
    assert rows[0] == ["Market", "Must show", "forecast", "trade", "Result"]
    assert [cell[1:] for cell in rows[1][2:]] == ["skill", "skill", "passed"]
    assert [cell[1:] for cell in rows[2][2:]] == ["no skill", "no skill", "passed"]
    assert "there is something to find" in rows[1][0]


def test_a_return_is_shown_as_a_gain_and_higher_is_better(samples: ModuleType) -> None:
    shown = _text(html.evidence_page(samples.evidence()))
    assert "net return after costs, bp a day; higher is better" in shown
    assert "2.1 [−2.3, 6.5]" in shown  # minus a loss of -0.00021 a day
    assert "27.9" not in shown


def test_curves_say_what_they_are_and_the_return_comes_before_the_entropy(samples: ModuleType) -> None:
    shown = _text(html.evidence_page(samples.evidence()))
    assert "trade: return of training episodes" in shown
    assert shown.index("trade: return of training episodes") < shown.index("More curves (1)")
    assert shown.index("More curves (1)") < shown.index("trade: entropy of the policy")


def test_inputs_are_described_where_they_are_known(samples: ModuleType) -> None:
    page = html.explanation_page(samples.explanations(), inputs={"volume": "log volume as a rolling z-score"})
    shown = _text(page)
    assert "volume log volume as a rolling z-score" in shown[shown.index("What the inputs are") :]
    assert "[t] is the last value" in shown  # the players are parts of series
    assert "What the inputs are" not in html.explanation_page(samples.explanations())


def test_history_is_short(samples: ModuleType) -> None:
    history = [{"when": "2026-03-01T09:02:31+00:00", "who": "ada", "what": "looked", "ref": "", "because": "diff a b"}]
    shown = _text(html.program_report({"history": history}))
    assert "looked at the review rows diff a b ada, 2026-03-01 09:02" in shown


@pytest.mark.parametrize(("name", "most"), [("report", 1_500_000), ("explanations", 1_000_000), ("diff", 300_000)])
def test_pages_are_light(name: str, most: int, samples: ModuleType) -> None:
    draw, raw = PAGES[name](samples)
    assert len(draw(raw).encode()) < most


def test_parts_are_drawn_where_they_lie(samples: ModuleType) -> None:
    """Both fields of both rows; a picture that cannot be read leaves the numbers."""
    raw = samples.parts()
    page = html.explanation_page(raw)
    assert page.count("<image ") == 2 * 2 * 2  # plain and coloured, wide and narrow, two rows
    assert page.count("in 3 segments") == 2
    raw[0]["laid"][0]["raw"] = ["AAAA", "no picture"]
    broken = html.explanation_page(raw)
    assert "<image " not in broken
    assert broken.count("in 3 segments") == 2
