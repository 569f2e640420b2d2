"""Evidence: every task beside its baselines, its folds, and the controls."""

from __future__ import annotations

from typing import Any

from pellucid.report.blocks import card, chip, details, estimate, facts, figure, paragraph, section, table
from pellucid.report.charts import Bin, Estimate, interval_chart, reliability_chart
from pellucid.report.charts.intervals import Role
from pellucid.report.markup import Markup, el, join
from pellucid.report.numbers import count, finite, number, typeset, typeset_sentence
from pellucid.report.parts.tables import table_evidence
from pellucid.report.svg import responsive
from pellucid.report.units import Unit, in_units, metric_unit
from pellucid.report.words import (
    CONTROLS,
    INTERVAL,
    Json,
    extra_facts,
    items,
    name_of,
    notes_of,
    passed_of,
    skill_of,
    task_sentence,
    text,
    verdict_of,
)


def evidence_section(evidence: Json) -> Markup:
    """The section on all tasks and controls."""
    tasks = [task_card(task) for task in items(evidence, "tasks")]
    controls = items(evidence, "controls")
    intro = (
        "Each task was judged on rows that the judged fit had never seen, beside baselines that know nothing of the "
        f"program. {INTERVAL}"
    )
    notes = [paragraph(el("strong", None, "Note: "), f"{note.rstrip('.')}.") for note in notes_of(evidence)]
    shown = tasks or [paragraph("No evidence is recorded.", classes="soft")]
    return section("evidence", "Evidence", intro, *notes, *shown, controls_card(controls) if controls else None)


def task_card(raw: Json) -> Markup:
    """One task: the verdict, two charts; folded away, the same as a table, and the folds."""
    task, unit = in_units(raw), metric_unit(raw)
    name, baselines = text(task, "task", "task"), items(task, "baselines")
    aside = (chip(*verdict_of(task)), el("span", {"class": "soft"}, f"{unit.label}, n = {count(task.get('n'))}"))
    return card(
        name,
        aside,
        paragraph(typeset_sentence(task_sentence(task)), classes="lead"),
        el("div", {"class": "pair"}, _values(task, name, unit, baselines), _differences(task, name, unit, baselines)),
        _extra(task),
        table_evidence(task, name),
        _reliability(task, name),
        _table(task, name, unit, baselines),
        _folds(task, name, unit),
        _seeds(task, name, unit),
    )


def _role(raw: Json) -> Role:
    return "model" if raw.get("role") == "model" else "naive"


def _values(task: Json, name: str, unit: Unit, baselines: list[Json]) -> Markup:
    rows = [Estimate(text(task, "subject", "this program"), task.get("value"), task.get("low"), task.get("high"))]
    rows += [Estimate(name_of(b), b.get("value"), b.get("low"), b.get("high"), _role(b)) for b in baselines]
    title = f"{name}: the program among its baselines"
    axis = str(unit)
    picture = responsive(lambda width: interval_chart(title, rows, unit=axis, better=unit.better, width=width), 480)
    line = "Circle: the program; diamond: a fitted model; square: a simple rule. The bar is the interval."
    return figure(picture, f"{unit.label[:1].upper()}{unit.label[1:]}.", line)


def _differences(task: Json, name: str, unit: Unit, baselines: list[Json]) -> Markup | None:
    rows = [
        Estimate(
            f"against {name_of(b)}", b.get("difference"), b.get("difference_low"), b.get("difference_high"), _role(b)
        )
        for b in baselines
    ]
    if not rows:
        return None
    title = f"{name}: program minus baseline, row by row"
    side = "left" if unit.better == "lower" else "right"
    picture = responsive(lambda width: interval_chart(title, rows, unit=str(unit), zero=True, width=width), 480)
    line = f"Compared row by row; {side} of zero the program is better. A bar across the zero line shows no difference."
    return figure(picture, "Program minus baseline.", line)


def _table(task: Json, name: str, unit: Unit, baselines: list[Json]) -> Markup:
    rows: list[tuple[object, ...]] = [
        (
            text(task, "subject", "this program"),
            estimate(task.get("value"), task.get("low"), task.get("high")),
            "",
            count(task.get("n")),
        )
    ]
    for b in baselines:
        under = text(b, "note") or text(b, "about")
        rows.append(
            (
                join([name_of(b), el("span", {"class": "under"}, under) if under else None]),
                estimate(b.get("value"), b.get("low"), b.get("high")),
                estimate(b.get("difference"), b.get("difference_low"), b.get("difference_high"), signed=True),
                count(b.get("n", task.get("n"))),
            )
        )
    head = ("", "Value [interval]", "Program minus baseline [interval]", "n")
    caption = f"{name}: {unit}; {unit.better} is better"
    method = text(task, "method")
    return details(
        "The same in numbers, and what each baseline is",
        table(caption, head, rows, numeric=(1, 2, 3)),
        paragraph(f"Intervals: {method}.", classes="soft") if method else None,
    )


def _extra(task: Json) -> Markup | None:
    return facts([(name, typeset_sentence(value)) for name, value in extra_facts(task)])


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


def _folds(task: Json, name: str, unit: Unit) -> Markup | None:
    folds = items(task, "folds")
    if not folds:
        return None
    rows = [(*(_span(f, key) for key in ("train", "test")), count(f.get("n")), _value(f.get("value"))) for f in folds]
    line = (
        "For every line the program was fitted anew, on the first span only, and judged on the second. "
        "It does well when it does so in every fold, not in one."
    )
    caption = f"{name}, fold by fold"
    head = ("Fitted on", "Judged on", "n", str(unit))
    return details(f"Folds ({len(folds)})", paragraph(line), table(caption, head, rows, numeric=(2, 3)))


def _seeds(task: Json, name: str, unit: Unit) -> Markup | None:
    """Every training seed, none left out: a picture and a table."""
    seeds = items(task, "seeds")
    if not seeds:
        return None
    rows = [Estimate(f"seed {text(s, 'seed', '0')}", s.get("value"), s.get("low"), s.get("high")) for s in seeds]
    title = f"{name}: every seed"
    picture = responsive(
        lambda width: interval_chart(title, rows, unit=str(unit), better=unit.better, width=width), 480
    )
    cells = [
        (text(s, "seed", "0"), text(s, "ref"), estimate(s.get("value"), s.get("low"), s.get("high"))) for s in seeds
    ]
    shown = table(f"{title}; {unit}", ("Seed", "Fit", "Value [interval]"), cells, numeric=(2,))
    line = "A line is one fit; its bar holds the chance of its episodes or rows, not that of its seed."
    return join([figure(picture, "Every seed.", line), details(f"Seeds ({len(seeds)})", shown)])


def _span(fold: Json, key: str) -> str:
    return text(fold, key).replace("..", " to ")


def _value(value: Any) -> str:
    return typeset(number(value))


def controls_card(controls: list[Json]) -> Markup:
    """The same program on markets whose truth is known: skill where there is some, none where there is none."""
    tasks = list(dict.fromkeys(text(task, "task") for control in controls for task in items(control, "tasks")))
    rows: list[tuple[object, ...]] = []
    for control in controls:
        seen = {text(task, "task"): chip(*skill_of(task)) for task in items(control, "tasks")}
        name = text(control, "name")
        about = CONTROLS.get(name)
        rows.append(
            (
                join([name, el("span", {"class": "under"}, about) if about else None]),
                text(control, "expect"),
                *(seen.get(task, "") for task in tasks),
                chip(*passed_of(control)),
            )
        )
    line = (
        "The same program, fitted in the same way on data whose truth is known. Where there is something to learn "
        "it must show skill (beat every simple rule); on pure chance it must not. If either fails, the evidence above "
        "is not to be trusted."
    )
    head = ("Market", "Must show", *tasks, "Result")
    return card("Controls", (), paragraph(line), table("Controls", head, rows), _control_numbers(controls))


def _control_numbers(controls: list[Json]) -> Markup | None:
    rows: list[tuple[object, ...]] = []
    for control in controls:
        for raw in items(control, "tasks"):
            task = in_units(raw)
            values = (task.get("value"), task.get("low"), task.get("high"))
            rows.append(
                (
                    f"{text(control, 'name')}: {text(task, 'task')}",
                    str(metric_unit(raw)),
                    chip(*verdict_of(raw)),
                    estimate(*values),
                    _against(raw),
                )
            )
    if not rows:
        return None
    head = ("Control", "Metric", "Verdict", "Value [interval]", "Minus the best baseline [interval]")
    told = [paragraph(typeset_sentence(task_sentence(t)), classes="soft") for c in controls for t in items(c, "tasks")]
    shown = table("Controls in numbers", head, rows, numeric=(3, 4))
    return details("The same in numbers and in words", shown, *told)


def _against(raw: Json) -> Markup:
    known = [i for i, b in enumerate(items(raw, "baselines")) if finite(b.get("value"))]
    if not known:
        return join([""])
    losses = items(raw, "baselines")
    best = items(in_units(raw), "baselines")[min(known, key=lambda i: float(losses[i]["value"]))]
    return estimate(best.get("difference"), best.get("difference_low"), best.get("difference_high"), signed=True)
