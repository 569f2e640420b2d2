"""Further evidence of a table's task: slices, confusion, ROC and precision-recall, residuals, label errors."""

from __future__ import annotations

from typing import Any

from pellucid.report.blocks import details, figure, listed, table
from pellucid.report.charts import Amount, Bin, Series, confusion_chart, growth_chart, line_chart, residual_chart
from pellucid.report.markup import Markup, el, join
from pellucid.report.numbers import count, measured, number, typeset, typeset_sentence
from pellucid.report.parts.pictures import wrong_pictures
from pellucid.report.words import Json, items, table_sentences, text

SHOWN = 6  # curves in one picture
CURVES = (
    ("roc", "ROC curve", "share of other rows taken for it", "share of its rows found"),
    ("precision_recall", "Precision and recall", "share of its rows found", "share of alarms that are right"),
)


def table_evidence(task: Json, name: str) -> Markup | None:
    """Sentences, then pictures, each with its numbers as a table folded away; nothing for other tasks."""
    extra = task.get("extra") or {}
    told = table_sentences(task)
    if not told:
        return None
    drawn = (_confusion(extra, name), _residuals(extra, name), *_areas(extra, name), _growth(task, name))
    pictures = [p for p in drawn if p is not None]
    tables = [
        found
        for part in (_each_label, _each_class, _counts, _left_over, _slices, _labels, _amounts)
        if (found := part(extra, name)) is not None
    ]
    return join(
        [
            listed(typeset_sentence(sentence) for sentence in told),
            el("div", {"class": "pair"}, *pictures) if pictures else None,
            wrong_pictures(extra),
            *tables,
            *(_fairness(one, name) for one in items(extra, "fairness") if items(one, "groups")),
        ]
    )


def _confusion(extra: Json, name: str) -> Markup | None:
    raw = extra.get("confusion")
    if not raw:
        return None
    picture = confusion_chart(f"{name}: true and predicted classes", raw["classes"], raw["counts"])
    return figure(picture, "Confusion.", "A row is a true class; the darker a cell, the larger its share of the row.")


def _counts(extra: Json, name: str) -> Markup | None:
    raw = extra.get("confusion")
    if not raw:
        return None
    rows = [(true, *map(count, line)) for true, line in zip(raw["classes"], raw["counts"], strict=True)]
    numeric = tuple(range(1, len(raw["classes"]) + 1))
    head = ("True", *(f"said {c}" for c in raw["classes"]))
    return details(
        "Confusion in numbers", table(f"{name}: rows by true and predicted class", head, rows, numeric=numeric)
    )


def _areas(extra: Json, name: str) -> list[Markup]:
    found = []
    several = items(extra, "each_class")[:SHOWN]
    for key, title, x_label, y_label in CURVES:
        raw = extra.get(key)
        if several:
            lines = [Series(text(one, "event"), one[key]["x"], one[key]["y"]) for one in several]
            picture = line_chart(
                f"{name}: {title}", lines, x_label=x_label, y_label=y_label, x_range=(0.0, 1.0), width=330
            )
            line = "Each class against all others; with more than six, those of least area. The table has every area."
            found.append(figure(picture, f"{title} of each class.", line))
        if not raw:
            continue
        lines = [Series(text(raw, "event", "event"), raw.get("x") or [], raw.get("y") or [])]
        picture = line_chart(f"{name}: {title}", lines, x_label=x_label, y_label=y_label, x_range=(0.0, 1.0), width=330)
        area = typeset(measured(raw.get("area"), raw.get("low"), raw.get("high")))
        found.append(figure(picture, f"{title} of {text(raw, 'event')}.", f"Area {area}."))
    return found


def _bins(extra: Json) -> list[Json]:
    return items(extra.get("residuals") or {}, "bins")


def _residuals(extra: Json, name: str) -> Markup | None:
    raw = _bins(extra)
    if not raw:
        return None
    bins = [Bin(b.get("predicted"), b.get("observed"), b.get("low"), b.get("high"), b.get("n")) for b in raw]
    line = "Mean residual of rows of similar prediction, with its interval; away from zero, something is left to learn."
    return figure(residual_chart(f"{name}: residuals", bins), "Residuals.", line)


def _left_over(extra: Json, name: str) -> Markup | None:
    raw = _bins(extra)
    if not raw:
        return None
    rows = [
        (
            number(b.get("predicted")),
            measured(b.get("observed"), b.get("low"), b.get("high"), signed=True),
            count(b.get("n")),
        )
        for b in raw
    ]
    shown = table(f"{name}: residuals", ("Predicted", "Mean residual [interval]", "n"), rows, numeric=(0, 1, 2))
    return details("Residuals in numbers", shown)


def _slices(extra: Json, name: str) -> Markup | None:
    raw: Any = extra.get("slices") or {}
    rows = [
        (text(s, "name"), number(s.get("value")), number(s.get("rest")), number(s.get("q")), count(s.get("n")))
        for s in items(raw, "found")
    ]
    if not rows:
        return None
    head = ("Slice", "Mean loss", "Elsewhere", "Adjusted p", "n")
    return details(f"Worst slices ({len(rows)})", table(f"{name}: worst slices", head, rows, numeric=(1, 2, 3, 4)))


def _fairness(one: Json, name: str) -> Markup:
    shown = ("selected", "found", "alarms", "calibration")
    rows = [
        (
            text(group, "name"),
            *(measured(*((group.get(key) or {}).get(end) for end in ("value", "low", "high"))) for key in shown),
            count(group.get("n")),
        )
        for group in items(one, "groups")
    ]
    head = ("Group", "Called positive", "Found of the positive", "False alarms", "Came less predicted", "n")
    caption = f"{name}: groups of {text(one, 'field')}"
    return details(f"Groups of {text(one, 'field')}", table(caption, head, rows, numeric=(1, 2, 3, 4, 5)))


def _each_label(extra: Json, name: str) -> Markup | None:
    rows = [
        (
            text(one, "name"),
            measured(*(one.get(end) for end in ("auc", "low", "high"))) if one.get("auc") is not None else "",
            number(one.get("f1")),
            count(one.get("n")),
        )
        for one in items(extra, "labels")
    ]
    if not rows:
        return None
    head = ("Label", "Area under the ROC curve [interval]", "F1", "Rows that have it")
    return details(f"Labels ({len(rows)})", table(f"{name}: label by label", head, rows, numeric=(1, 2, 3)))


def _each_class(extra: Json, name: str) -> Markup | None:
    rows = [
        (
            text(one, "event"),
            *(measured(*(one[key].get(end) for end in ("area", "low", "high"))) for key, *_ in CURVES),
            count(one.get("n")),
        )
        for one in items(extra, "each_class")
    ]
    if not rows:
        return None
    head = ("Class", "Area under the ROC curve [interval]", "Under precision and recall [interval]", "n")
    return details(f"Classes ({len(rows)})", table(f"{name}: class by class", head, rows, numeric=(1, 2, 3)))


def _growth(task: Json, name: str) -> Markup | None:
    points = items((task.get("extra") or {}).get("learning_curve") or {}, "points")
    if not points:
        return None
    amounts = [Amount(p.get("rows"), p.get("value"), p.get("low"), p.get("high")) for p in points]
    label = text(task, "label") or text(task, "metric")
    line = "The same spec on a part of every fold's training rows, judged on the same test rows, before calibration."
    return figure(growth_chart(f"{name}: loss by training rows", amounts, y_label=label), "Rows.", line)


def _amounts(extra: Json, name: str) -> Markup | None:
    points = items(extra.get("learning_curve") or {}, "points")
    if not points:
        return None
    rows = [(count(p.get("rows")), measured(p.get("value"), p.get("low"), p.get("high"))) for p in points]
    head = ("Training rows", "Mean loss [interval]")
    return details("Rows in numbers", table(f"{name}: loss by training rows", head, rows, numeric=(0, 1)))


def _labels(extra: Json, name: str) -> Markup | None:
    raw: Any = extra.get("label_errors") or {}
    rows = [
        (text(r, "key"), text(r, "label"), text(r, "suggested"), number(r.get("quality"))) for r in items(raw, "rows")
    ]
    if not rows:
        return None
    head = ("Row", "Label", "Perhaps", "Probability of the label")
    return details("Labels to look at", table(f"{name}: likely label errors", head, rows, numeric=(3,)))
