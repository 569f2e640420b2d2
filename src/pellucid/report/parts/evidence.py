"""Evidence: every task beside its baselines, its folds, and the controls."""

from __future__ import annotations

from typing import Any

from pellucid.report.blocks import card, chip, details, estimate, facts, figure, paragraph, section, table
from pellucid.report.charts import Bin, Estimate, interval_chart, reliability_chart
from pellucid.report.charts.intervals import Role
from pellucid.report.markup import Markup, el, join
from pellucid.report.numbers import count, finite, number, typeset
from pellucid.report.svg import responsive
from pellucid.report.words import (
    INTERVAL,
    Json,
    flat,
    items,
    metric_of,
    notes_of,
    passed_of,
    task_sentence,
    text,
    verdict_of,
)

_METHOD = "Intervals: {method}."


def evidence_section(evidence: Json) -> Markup:
    """The section on all tasks and controls."""
    tasks = [task_card(task) for task in items(evidence, "tasks")]
    controls = items(evidence, "controls")
    intro = (
        "Every number below was computed on review rows that no fit was allowed to see, beside baselines that know "
        f"nothing of the program. {INTERVAL}"
    )
    shown = tasks or [paragraph("No evidence is recorded.", classes="soft")]
    shown += [paragraph(note, classes="soft") for note in notes_of(evidence)]
    return section("evidence", "Evidence", intro, *shown, controls_card(controls) if controls else None)


def task_card(task: Json) -> Markup:
    """One task: the verdict, two charts, the table, the folds."""
    name, unit = text(task, "task", "task"), _unit(task)
    aside = (chip(*verdict_of(task)), el("span", {"class": "soft"}, _subtitle(task)))
    baselines = items(task, "baselines")
    method = text(task, "method")
    return card(
        name,
        aside,
        paragraph(task_sentence(task), classes="lead"),
        el("div", {"class": "pair"}, _values(task, name, unit, baselines), _differences(task, name, unit, baselines)),
        _table(task, name, baselines),
        paragraph(_METHOD.format(method=method), classes="soft") if method else None,
        _extra(task),
        _reliability(task, name),
        _folds(task, name),
    )


def _subtitle(task: Json) -> str:
    return ", ".join(p for p in (text(task, "kind"), metric_of(task), count(task.get("n"), "review row")) if p)


def _unit(task: Json) -> str:
    return ", ".join(p for p in (metric_of(task), text(task, "unit")) if p)


def _role(raw: Json) -> Role:
    return "model" if raw.get("role") == "model" else "naive"


def _values(task: Json, name: str, unit: str, baselines: list[Json]) -> Markup:
    rows = [Estimate("this program", task.get("value"), task.get("low"), task.get("high"))]
    rows += [Estimate(text(b, "name"), b.get("value"), b.get("low"), b.get("high"), _role(b)) for b in baselines]
    title = f"{name}: the program among its baselines"
    better = text(task, "better", "lower")
    picture = responsive(lambda width: interval_chart(title, rows, unit=unit, better=better, width=width), 480)
    line = (
        "A mark is the value on the review set, its bar the interval. "
        "Circle: the program; diamond: a fitted model; square: a simple rule."
    )
    return figure(picture, "Among its baselines.", line)


def _differences(task: Json, name: str, unit: str, baselines: list[Json]) -> Markup | None:
    rows = [
        Estimate(
            f"against {text(b, 'name')}",
            b.get("difference"),
            b.get("difference_low"),
            b.get("difference_high"),
            _role(b),
        )
        for b in baselines
    ]
    if not rows:
        return None
    title = f"{name}: program minus baseline, row by row"
    side = "left" if text(task, "better", "lower") == "lower" else "right"
    picture = responsive(lambda width: interval_chart(title, rows, unit=unit, zero=True, width=width), 480)
    line = (
        f"Compared row by row; {side} of zero the program is better. "
        "An interval across the zero line shows no difference."
    )
    return figure(picture, "Program minus baseline.", line)


def _table(task: Json, name: str, baselines: list[Json]) -> Markup:
    rows: list[tuple[object, ...]] = [
        ("this program", estimate(task.get("value"), task.get("low"), task.get("high")), "", count(task.get("n")))
    ]
    for b in baselines:
        difference = estimate(b.get("difference"), b.get("difference_low"), b.get("difference_high"), signed=True)
        name_or_note = f"{text(b, 'name')} ({text(b, 'note')})" if text(b, "note") else text(b, "name")
        rows.append(
            (
                name_or_note,
                estimate(b.get("value"), b.get("low"), b.get("high")),
                difference,
                count(b.get("n", task.get("n"))),
            )
        )
    head = (name, "Value [interval]", "Program minus baseline [interval]", "n")
    caption = f"{_unit(task)}; {text(task, 'better', 'lower')} is better"
    return table(caption, head, rows, numeric=(1, 2, 3))


def _extra(task: Json) -> Markup | None:
    extra: Any = task.get("extra") or {}
    return facts(
        [(str(key).replace("_", " "), typeset_value(value)) for key, value in extra.items() if key != "reliability"]
    )


def typeset_value(value: Any) -> str:
    """A small JSON value for a page: true minus signs on numbers, text left alone."""
    return flat(value) if isinstance(value, str) else typeset(flat(value))


def _reliability(task: Json, name: str) -> Markup | None:
    raw = items(task.get("extra") or {}, "reliability")
    if not raw:
        return None
    bins = [Bin(b.get("predicted"), b.get("observed"), b.get("low"), b.get("high"), b.get("n")) for b in raw]
    title = f"{name}: predicted against observed"
    line = (
        "Rows are grouped by prediction; a point on the dotted diagonal came out as predicted, its bar is the interval."
    )
    return figure(reliability_chart(title, bins), "Reliability.", line)


def _folds(task: Json, name: str) -> Markup | None:
    folds = items(task, "folds")
    if not folds:
        return None
    rows = [(text(f, "train"), text(f, "test"), count(f.get("n")), num_cell(f.get("value"))) for f in folds]
    caption = f"{name}, fold by fold: fitted on the first span, judged on the second"
    return details(
        f"Folds ({len(folds)})", table(caption, ("Fitted on", "Judged on", "n", _unit(task)), rows, numeric=(2, 3))
    )


def num_cell(value: Any) -> str:
    """A number for a cell."""
    return typeset(number(value))


def controls_card(controls: list[Json]) -> Markup:
    """The same program on markets whose truth is known."""
    rows: list[tuple[object, ...]] = []
    for control in controls:
        for i, task in enumerate(items(control, "tasks") or [{}]):
            head = (
                (text(control, "name"), text(control, "expect"), chip(*passed_of(control))) if i == 0 else ("", "", "")
            )
            seen = chip(*verdict_of(task)) if task.get("verdict") else ""
            values = estimate(task.get("value"), task.get("low"), task.get("high")) if "value" in task else ""
            rows.append((*head, text(task, "task"), seen, values, _against(task)))
    table_head = (
        "Control",
        "Expected",
        "Result",
        "Task",
        "Verdict",
        "Value [interval]",
        "Minus best baseline [interval]",
    )
    line = (
        "The same program, fitted in the same way on data whose truth is known. Where there is something to learn "
        "it must show skill; on a random walk it must not. If either fails, the evidence above is not to be trusted."
    )
    sentences = [
        paragraph(task_sentence(t), classes="soft") for c in controls for t in items(c, "tasks") if t.get("sentence")
    ]
    more = details("In words", *sentences) if sentences else None
    caption = "Controls and what came out"
    return card("Controls", (), paragraph(line), table(caption, table_head, rows, numeric=(5, 6)), more)


def _against(task: Json) -> Markup:
    known = [b for b in items(task, "baselines") if finite(b.get("value"))]
    if not known:
        return join([""])
    best = min(known, key=lambda b: float(b["value"]))
    return estimate(best.get("difference"), best.get("difference_low"), best.get("difference_high"), signed=True)
