"""Self-contained HTML pages: one file, no requests, no script; light, dark and print; readable from 360 px on.

The same input gives the same bytes: nothing here asks a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid.report.blocks import chip, facts, paragraph
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, typeset_sentence
from pellucid.report.parts.change import corrections_section, diff_section
from pellucid.report.parts.curves import learning_section, wealth_section
from pellucid.report.parts.episode import episode_section, outcome_section
from pellucid.report.parts.evidence import evidence_section
from pellucid.report.parts.explanations import explanations_section
from pellucid.report.parts.film import film_section
from pellucid.report.parts.history import history_section
from pellucid.report.parts.inspections import inspections_section
from pellucid.report.parts.search import search_section
from pellucid.report.parts.texts import texts_section
from pellucid.report.theme import MONO, PICTURE, SANS, SERIF, variables
from pellucid.report.words import (
    Json,
    diff_headline,
    diff_verdict,
    evidence_sentences,
    flat,
    items,
    review_facts,
    task_sentence,
    text,
    verdict_of,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
Part = tuple[str, str, Markup]  # anchor, title in the contents, section


def style_sheet() -> str:
    """The whole style sheet: colours, page, pictures. The studio serves the same one."""
    fonts = f":root {{ --sans: {SANS}; --serif: {SERIF}; --mono: {MONO}; }}\n"
    return variables(":root") + fonts + Path(__file__).with_name("page.css").read_text(encoding="utf-8") + PICTURE


def page(title: str, head: Markup, parts: Sequence[Part]) -> str:
    """A page from its masthead and sections."""
    links = [el("li", None, el("a", {"href": f"#{name}"}, label)) for name, label, _ in parts]
    contents = el("nav", {"class": "contents", "aria-label": "Contents"}, el("ul", None, *links))
    body = el(
        "body",
        None,
        el("a", {"class": "skip", "href": "#main"}, "Skip to the report"),
        el(
            "div",
            {"class": "page"},
            head,
            contents if len(parts) > 1 else None,
            el("main", {"id": "main"}, *(part for _, _, part in parts)),
            el("footer", None, "Made by Pellucid. This page is one file: it loads nothing and sends nothing."),
        ),
    )
    meta = [
        el("meta", {"charset": "utf-8"}),
        el("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        el("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        el("meta", {"name": "color-scheme", "content": "light dark"}),
        el("title", None, title),
        el("style", None, Markup("\n" + style_sheet())),
    ]
    return "<!doctype html>\n" + el("html", {"lang": "en"}, el("head", None, *meta), body) + "\n"


def masthead(eyebrow: str, title: str, verdicts: Sequence[tuple[str, Markup | None]], known: Sequence[Any]) -> Markup:
    """Name, verdicts in words, facts."""
    lines = [el("li", None, mark or el("span", None), el("span", None, sentence)) for sentence, mark in verdicts]
    return el(
        "header",
        {"class": "masthead"},
        paragraph(eyebrow, classes="eyebrow"),
        el("h1", None, title),
        el("ul", {"class": "verdicts"}, *lines) if lines else None,
        facts(known),
    )


def evidence_page(evidence: Json) -> str:
    """The evidence of one version as a page of its own.

    Args:
        evidence: Evidence JSON.
    """
    name = text(evidence, "program", "program")
    head = masthead("Evidence", name, _evidence_verdicts(evidence), review_facts(evidence))
    return page(f"{name}: evidence", head, _evidence_parts(evidence))


def diff_page(diff: Json) -> str:
    """The behaviour diff of two versions as a page of its own.

    Args:
        diff: Diff JSON.
    """
    names = f"{text(diff, 'base', 'base')} → {text(diff, 'candidate', 'candidate')}"
    head = masthead("Behaviour diff", names, [_diff_verdict(diff)], [])
    return page(f"{names}: behaviour diff", head, [("diff", "Behaviour diff", diff_section(diff, alone=True))])


def explanation_page(
    explanations: Sequence[Json], *, program: str = "program", inputs: Mapping[str, str] | None = None
) -> str:
    """Explanations of one or several tasks as a page of its own.

    Args:
        explanations: Explanation JSONs, one per task.
        program: name of the program or version.
        inputs: what each field is, in a line.
    """
    head = masthead("Explanations", program, [], [])
    return page(
        f"{program}: explanations",
        head,
        [("explanations", "Explanations", explanations_section(explanations, inputs))],
    )


def policy_page(episode: Json | None, outcome: Json | None, *, program: str = "program") -> str:
    """A policy's episode explained, and what its return rests on, as a page of its own; either may be missing.

    Args:
        episode, outcome: JSON of `explain.EpisodeExplanation` and of `explain.Outcome`.
        program: name of the program or version.
    """
    parts: list[Part] = []
    if episode is not None:
        parts.append(("episode", "An episode explained", episode_section([episode])))
    if outcome is not None:
        parts.append(("outcome", "What the return rests on", outcome_section(outcome)))
    return page(f"{program}: a policy explained", masthead("A policy explained", program, [], []), parts)


def words_page(texts: Sequence[Json], *, program: str = "program") -> str:
    """Explanations by words as a page of its own. Args: texts: TextExplanation JSONs. program: its name."""
    head = masthead("Explanations", program, [], [])
    return page(f"{program}: words", head, [("words", "Explanations by words", texts_section(texts))])


def inspection_page(found: Sequence[Json], *, program: str = "program") -> str:
    """Answers to questions beside Shapley values as a page of its own.

    Args:
        found: JSON of `explain`'s results, each with its `kind`.
        program: name of the program or version.
    """
    head = masthead("Questions", program, [], [])
    return page(f"{program}: questions", head, [("inspections", "Questions", inspections_section(found))])


def program_report(sections: Mapping[str, Any]) -> str:
    """Everything about a program in one self-contained HTML file.

    Args:
        sections: every key may be missing.
            program, version: names. facts: {label: value} for the masthead (dates, versions of packages).
            summary: sentences for the masthead before the verdicts.
            evidence: Evidence JSON. curves: list as in the evidence (default: the evidence's own).
            wealth: [{title, unit, start, log, x, series: [{name, y, x}]}], x days or numbers
                (default: the evidence's own).
            films: [{task, env, seed, steps, return, whole, gif, still}], pictures in base64, or {task, note}.
            episodes: JSON of `explain.EpisodeExplanation`, one per policy, or {task, note}.
            inspections: list of JSON of other answers of `explain`, each with its `kind`.
            explanations: list of Explanation JSON. inputs: {field: what it is}.
            corrections: [{kind, target, scope, who, when, reason}].
            diff: Diff JSON. history: [{when, who, what, ref, because}].
    """
    evidence: Json = sections.get("evidence") or {}
    diff: Json = sections.get("diff") or {}
    name = text(sections, "program") or text(evidence, "program", "program")
    version = text(sections, "version")
    verdicts: list[tuple[str, Markup | None]] = [(str(s), None) for s in sections.get("summary") or []]
    verdicts += _evidence_verdicts(evidence) if evidence else []
    verdicts += [_diff_verdict(diff)] if diff else []
    known = [("Version", version)] if version else []
    known += review_facts(evidence)
    known += [(str(label), flat(value)) for label, value in (sections.get("facts") or {}).items()]
    parts = _evidence_parts(evidence, items(sections, "curves"), items(sections, "wealth"))
    history = items(sections, "history")
    inputs: Mapping[str, str] = sections.get("inputs") or {}
    films = items(sections, "films")
    if films:
        parts.append(("film", "An episode", film_section(films)))
    episodes = items(sections, "episodes")
    if episodes:
        parts.append(("episode", "An episode explained", episode_section(episodes, whole=False)))
    for anchor, title, draw, found in (
        (
            "explanations",
            "Explanations",
            lambda found: explanations_section(found, inputs),
            items(sections, "explanations"),
        ),
        ("inspections", "Questions", inspections_section, items(sections, "inspections")),
        ("correction", "Correction", corrections_section, items(sections, "corrections")),
    ):
        if found:
            parts.append((anchor, title, draw(found)))
    if diff:
        parts.append(("diff", "Behaviour diff", diff_section(diff)))
    if history:
        parts.append(("history", f"History ({count(len(history))})", history_section(history)))
    title = f"{name}: report" + (f" on {version}" if version else "")
    return page(title, masthead("Program report", name, verdicts, known), parts)


def _evidence_parts(evidence: Json, curves: Sequence[Json] = (), wealth: Sequence[Json] = ()) -> list[Part]:
    curves, wealth = curves or items(evidence, "curves"), wealth or items(evidence, "wealth")
    parts: list[Part] = [("evidence", "Evidence", evidence_section(evidence))] if evidence else []
    parts += [("search", "Search", search_section(evidence["search"]))] if evidence.get("search") else []
    parts += [("learning", "Learning", learning_section(curves))] if curves else []
    return parts + ([("wealth", "Out of sample", wealth_section(wealth))] if wealth else [])


def _evidence_verdicts(evidence: Json) -> list[tuple[str, Markup | None]]:
    tasks = items(evidence, "tasks")
    told: list[tuple[str, Markup | None]] = [
        (typeset_sentence(task_sentence(task)), chip(*verdict_of(task))) for task in tasks
    ]
    failed = evidence_sentences(evidence)[len(tasks) or 1 :]
    return told + [(sentence, chip("✗", "control failed", "bad")) for sentence in failed]


def _diff_verdict(diff: Json) -> tuple[str, Markup | None]:
    return diff_headline(diff), chip(*diff_verdict(diff))


__all__ = ["diff_page", "evidence_page", "explanation_page", "inspection_page", "page", "program_report", "style_sheet"]
