"""The change: a person's corrections, and the behaviour diff that they led to."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.report.blocks import card, chip, details, estimate, facts, figure, paragraph, section, table
from pellucid.report.charts import Estimate, Shift, flip_chart, interval_chart, share_bar, shift_chart
from pellucid.report.markup import Markup, el, join
from pellucid.report.numbers import count, decimals_for, finite, number, percent, typeset
from pellucid.report.svg import responsive
from pellucid.report.words import (
    Json,
    cost_sentence,
    diff_sentences,
    flat,
    flip_sentence,
    items,
    notes_of,
    passed_of,
    text,
    verdict_of,
)


def corrections_section(corrections: Sequence[Json]) -> Markup:
    """What a person asked for, why, and who it was."""
    cards = []
    for one in corrections:
        asked = " ".join(p for p in (text(one, "kind", "feedback"), text(one, "target")) if p)
        who = ", ".join(p for p in (text(one, "who"), text(one, "when")) if p)
        reason = text(one, "reason") or text(one, "because")
        known = [("Applies to", text(one, "scope")), ("Task", text(one, "task")), ("State", text(one, "state"))]
        cards.append(
            card(
                asked,
                (el("span", {"class": "soft"}, who),) if who else (),
                el("blockquote", None, reason) if reason else paragraph("No reason was given.", classes="soft"),
                facts([(name, value) for name, value in known if value]),
            )
        )
    intro = "What a person said after reading the explanations. The change below was trained to honour it."
    return section("correction", "Correction", intro, *cards)


def diff_section(diff: Json) -> Markup:
    """The behaviour diff of two versions."""
    intro = "Both versions were asked about the same review rows and are compared row by row."
    headline, *rest = diff_sentences(diff)
    top = card(
        headline,
        (chip(*verdict_of(diff)),) if not diff.get("empty") else (),
        *(paragraph(sentence) for sentence in rest),
        *(paragraph(flat(note), classes="soft") for note in notes_of(diff)),
        _because(diff),
    )
    if diff.get("empty"):
        return section("diff", "Behaviour diff", intro, top)
    tasks = items(diff, "tasks")
    return section(
        "diff",
        "Behaviour diff",
        intro,
        top,
        _gates(items(diff, "gates")),
        _metrics(tasks) if tasks else None,
        *(_decisions(task) for task in tasks if task.get("flips")),
        *(_attribution(task) for task in tasks if task.get("attribution")),
        _parameters(diff.get("parameters") or {}),
        _provenance(diff.get("provenance") or {}),
    )


def _because(diff: Json) -> Markup | None:
    because = [flat(reason) for reason in diff.get("because") or []]
    return (
        join([el("h4", None, "Because"), *(el("blockquote", None, reason) for reason in because)]) if because else None
    )


def _gates(gates: list[Json]) -> Markup | None:
    if not gates:
        return None
    kinds = {"change": "must change", "keep": "must stay", "budget": "may cost at most", "control": "control"}
    rows = [
        (
            text(g, "name"),
            chip(*passed_of(g)),
            kinds.get(text(g, "kind"), text(g, "kind")),
            text(g, "required"),
            text(g, "seen"),
        )
        for g in gates
    ]
    line = "What was promised before the change was trained, and what was seen. Every gate must pass."
    return card("Gates", (), paragraph(line), table("Checklist", ("Gate", "Result", "Kind", "Required", "Seen"), rows))


def _metrics(tasks: list[Json]) -> Markup:
    pictures = []
    for task in tasks:
        name, metric = text(task, "task", "task"), text(task, "metric")
        rows = [Estimate(name, task.get("change"), task.get("low"), task.get("high"))]
        title = f"{name}: change of {metric}"

        picture = interval_chart(title, rows, unit=f"change of {metric}", zero=True, width=330)
        line = "Candidate minus base on the same rows; left of zero is better. The bar is the interval."
        pictures.append(figure(picture, f"{title}.", line))
    rows_ = []
    for task in tasks:
        places = decimals_for(task.get("low"), task.get("high"))
        rows_.append(
            (
                text(task, "task"),
                text(task, "metric"),
                typeset(number(task.get("base"), decimals=places)),
                typeset(number(task.get("candidate"), decimals=places)),
                estimate(task.get("change"), task.get("low"), task.get("high"), signed=True),
                count(task.get("n")),
                chip(*verdict_of(task)),
            )
        )
    head = ("Task", "Metric", "Base", "Candidate", "Change [interval]", "n", "Verdict")
    body = table("Metric changes; lower is better", head, rows_, numeric=(2, 3, 4, 5))
    return card("Metric changes", (), el("div", {"class": "trio"}, *pictures), body, _outputs(tasks))


def _outputs(tasks: list[Json]) -> Markup | None:
    rows = [
        (
            f"{text(task, 'task')}: {text(o, 'name')}",
            *(typeset(number(o.get(k))) for k in ("correlation", "mean_abs_change")),
        )
        for task in tasks
        for o in items(task, "outputs")
    ]
    head = ("Output", "Correlation with the base", "Mean absolute change")
    return (
        details(f"Outputs ({len(rows)})", table("How far raw outputs moved", head, rows, numeric=(1, 2)))
        if rows
        else None
    )


def _decisions(task: Json) -> Markup:
    flips: Json = task.get("flips") or {}
    name = text(task, "task", "task")
    numbers = (flips.get("n"), flips.get("to_better"), flips.get("to_worse"), flips.get("changed"))
    picture = responsive(lambda width: flip_chart(f"{name}: decisions that changed", *numbers, width=width), 480)
    rows = [
        (text(e, "key"), flat(e.get("from")), flat(e.get("to")), flat(e.get("y"))) for e in items(flips, "examples")
    ]
    body = table(f"{name}: examples", ("Row", "From", "To", "What came"), rows) if rows else None
    shown = figure(
        picture, "Decisions that changed.", "The bar holds only the decisions that differ between base and candidate."
    )
    return card(f"{name}: decisions", (), paragraph(flip_sentence(task)), shown, body)


def _attribution(task: Json) -> Markup:
    name, players = text(task, "task", "task"), items(task, "attribution")
    shown = [p for p in players if p.get("shown", True)]
    rows = [
        Shift(text(p, "player"), p.get("shift"), p.get("noise"), bool(p.get("shown", True))) for p in (shown or players)
    ]
    title = f"{name}: shift of attributions"
    picture = responsive(lambda width: shift_chart(title, rows, width=width), 480)
    line = "How far each input's share moved. The grey band is what the explainer itself moves under another seed."
    table_rows = [
        (
            text(p, "player"),
            *(typeset(number(p.get(key))) for key in ("base", "candidate")),
            typeset(number(p.get("shift"), signed=True)),
            typeset(number(p.get("noise"))),
            "moved" if p.get("shown", True) else "within noise",
        )
        for p in players
    ]
    head = ("Input", "Base", "Candidate", "Shift", "Noise", "Reading")
    body = table(f"{name}: attributions of base and candidate", head, table_rows, numeric=(1, 2, 3, 4))
    return card(f"{name}: explanations moved", (), figure(picture, "Shift against noise.", line), body)


def _parameters(parameters: Json) -> Markup | None:
    if not parameters:
        return None
    share = parameters.get("share")
    picture = share_bar("Share of the parameters that the change touches", share) if finite(share) else None
    line = f"{percent(share)} of the parameters; the rest is bit-identical to the base."
    return card(
        "What the change touches",
        (),
        paragraph(cost_sentence(parameters)),
        figure(picture, "Share.", line) if picture else None,
    )


def _provenance(provenance: Json) -> Markup | None:
    tables = []
    for side in ("base", "candidate"):
        raw = provenance.get(side) or {}
        if raw:
            rows = [(str(key), el("code", None, flat(value))) for key, value in raw.items()]
            tables.append(table(f"Provenance of the {side}", ("What", "Value"), rows))
    return el("div", {"class": "card"}, details("Provenance", *tables)) if tables else None


def history_section(history: Sequence[Json]) -> Markup:
    """Who changed the program, when, why."""
    entries = []
    for one in history:
        who = ", ".join(p for p in (text(one, "who"), text(one, "when")) if p)
        ref = text(one, "ref")
        because = text(one, "because")
        entries.append(
            el(
                "li",
                None,
                paragraph(el("strong", None, text(one, "what")), join([" ", el("code", None, ref)]) if ref else None),
                paragraph(because) if because else None,
                paragraph(who, classes="soft") if who else None,
            )
        )
    intro = "Every change of the program, in order; nothing is ever deleted."
    return section("history", "History", intro, el("ol", {"class": "history"}, *entries))
