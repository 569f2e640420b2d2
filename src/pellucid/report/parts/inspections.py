"""Answers beside Shapley values: counterfactuals, linear fits, rules, dependence, interactions, importance, a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pellucid.core.schema import DAYS
from pellucid.report.blocks import card, chip, facts, figure, listed, paragraph, section, table
from pellucid.report.charts import Column, Estimate, attribution_bars, dependence_chart, heat_map, interval_chart
from pellucid.report.explained import at, names
from pellucid.report.markup import Markup
from pellucid.report.numbers import count, finite, number, percent, typeset
from pellucid.report.svg import responsive
from pellucid.report.words import Json, text

_MOST = 12  # players drawn


def inspections_section(found: Sequence[Json]) -> Markup:
    """A card for every answer.

    Args:
        found: JSON of `explain`'s results; `kind` says which, `main` may name the output to show.
    """
    intro = "What else was asked about the program. Every number was found by calling the program itself."
    cards = [draw(one) for one in found if (draw := DRAWN.get(text(one, "kind"))) is not None]
    return section("inspections", "Questions", intro, *cards)


def _main(one: Json) -> int:
    outputs = names(one, "outputs")
    return outputs.index(str(one["main"])) if one.get("main") in outputs else int(one.get("at") or 0)


def _counterfactuals(one: Json) -> Markup:
    rows: list[Sequence[object]] = []
    for i, answer in enumerate(one.get("answers") or []):
        for j, change in enumerate(answer.get("changes") or []):
            first = (str(i + 1), typeset(number(answer.get("distance"))), percent(answer.get("support")))
            before, after = (_value(change.get(side)) for side in ("before", "after"))
            rows.append(((*first,) if j == 0 else ("", "", "")) + (text(change, "name"), before, after))
    head = ("Answer", "Distance", "Support", "What changes", "From", "To")
    shown = table(f"{text(one, 'key')}, to {text(one, 'goal')}", head, rows, numeric=(1, 2, 4, 5))
    line = (
        "Each answer was given to the program and has the result that is asked for. Distance: in median absolute "
        "deviations, another category counts 1. Support: share of real rows that are at least as far from the next one."
    )
    told = facts([("Reference rows", count(one.get("reference_n"))), ("Evaluations", count(one.get("evaluations")))])
    note = paragraph(text(one, "note").capitalize() + ".") if text(one, "note") else None
    return card(f"{text(one, 'task')}: what would have to be different", (), note, shown, paragraph(line), told)


def _lime(one: Json) -> Markup:
    k, players, keys = _main(one), names(one, "players"), names(one, "keys")
    parts: list[object] = []
    for i, key in enumerate(keys[:6]):
        weights = [at(one.get("weights"), i, j, k) for j in range(len(players))]
        errors = [at(one.get("error"), i, j, k) for j in range(len(players))]
        order = sorted(range(len(players)), key=lambda j: -abs(weights[j] or 0))[:_MOST]
        column = Column(key, [weights[j] for j in order], [errors[j] for j in order])
        shown = [players[j] for j in order]
        title = f"{text(one, 'task')}, linear fit around {key}"
        picture = _bars(title, shown, column, text(one, "unit"))
        r2, change = at(one.get("r2"), i, k), at(one.get("seed_change"), i, k)
        line = f"Local R² {typeset(number(r2))}; another seed would change the weights by about {percent(change)}."
        parts.append(figure(picture, f"{key}.", line))
    return card(f"{text(one, 'task')}: linear fits ({names(one, 'outputs')[k]})", (), *parts)


def _bars(title: str, players: list[str], column: Column, unit: str) -> Markup:
    return responsive(lambda width: attribution_bars(title, players, [column], unit=unit, width=width), 820)


def _rule(one: Json) -> Markup:
    found = bool(one.get("found"))
    mark = chip("✓", "holds", "good") if found else chip("–", "not precise enough", "bad")
    conditions = names(one, "conditions")
    low, sure = percent(one.get("low")), percent(one.get("confidence"))
    told = facts(
        [
            ("Then", text(one, "answer")),
            ("Precision", f"{percent(one.get('precision'))}, at least {low} at {sure}"),
            ("Met by", f"{percent(one.get('coverage'))} of {count(one.get('reference_n'), 'row')}"),
        ]
    )
    lead = paragraph("If all of these hold:" if conditions else "Nearly everywhere:")
    return card(f"{text(one, 'task')}: {text(one, 'key')}", (mark,), lead, listed(conditions), told)


def _dependence(one: Json) -> Markup:
    k = _main(one)
    output, field, method = names(one, "outputs")[k], text(one, "field"), text(one, "method")
    title = f"{text(one, 'task')}, {output} over {field}"
    values = [at(one.get("values"), i, k) for i in range(len(one.get("values") or []))]
    errors = [at(one.get("error"), i, k) for i in range(len(values))]
    unit = f" ({text(one, 'unit')})" if text(one, "unit") else ""
    words = names(one, "words")
    if words:
        rows = [
            Estimate(w, v, v - 2 * e, v + 2 * e)
            for w, v, e in zip(words, values, errors, strict=False)
            if finite(v) and finite(e)
        ]
        picture = responsive(lambda width: interval_chart(title, rows, unit=f"{output}{unit}", width=width), 680)
        line = "Mean output with every row set to the category; whiskers are two standard errors."
        return card(title, (), figure(picture, f"{method.capitalize()}.", line))
    curves = [[at(curve, i, k) for i in range(len(values))] for curve in one.get("curves") or []]
    dated = text(one, "field_unit") == DAYS
    x_label = f"{field} ({text(one, 'field_unit')})" if text(one, "field_unit") and not dated else field

    def draw(width: int) -> Markup:
        grid, seen = one.get("grid") or [], one.get("seen") or []
        y_label = f"{output}{unit}"
        return dependence_chart(
            title, grid, values, errors, curves, seen=seen, x_label=x_label, y_label=y_label, dated=dated, width=width
        )

    line = "Ticks on the axis are tenths of the rows; whiskers are two standard errors."
    if curves:
        line = "Pale: what single rows do; of many the bands that hold half and nine tenths. " + line
    return card(title, (), figure(responsive(draw, 820), f"{method.capitalize()}.", line))


def _interactions(one: Json) -> Markup:
    k, players, keys = _main(one), names(one, "players"), names(one, "keys")
    n, d = len(keys), len(players)

    def mean(i: int, j: int, name: str) -> Any:
        cells = [at(one.get(name), r, i, j, k) for r in range(n)]
        known = [c for c in cells if finite(c)]
        if not known:
            return None
        if name == "error":
            return float(sum(c * c for c in known)) ** 0.5 / len(known)
        return known[0] if n == 1 else sum(abs(c) for c in known) / len(known)

    size = {i: sum(abs(mean(i, j, "values") or 0) for j in range(d)) for i in range(d)}
    order = sorted(sorted(range(d), key=lambda i: -size[i])[:_MOST])
    values = [[None if i == j else mean(i, j, "values") for i in order] for j in order]
    errors = [[mean(i, j, "error") for i in order] for j in order]
    shown = [players[i] for i in order]
    title = f"{text(one, 'task')}, {names(one, 'outputs')[k]}: what pairs add beside each alone"
    unit = text(one, "unit")
    picture = responsive(lambda width: heat_map(title, shown, shown, values, errors, unit=unit, width=width), 820)
    of = keys[0] if n == 1 else f"mean size over {count(n, 'row')}"
    line = f"Shapley interaction index, {of}. {text(one, 'method').capitalize()}."
    return card(title, (), figure(picture, "Interactions.", line))


def _importance(one: Json) -> Markup:
    players, values, errors = names(one, "players"), one.get("values") or [], one.get("error") or []
    title = f"{text(one, 'task')}: {text(one, 'method')}"
    column = Column("", values[:_MOST], errors[:_MOST])
    picture = _bars(title, players[:_MOST], column, text(one, "unit"))
    line = f"Over {count(one.get('rows_n'), 'row')}; whiskers are one standard error."
    return card(title, (), figure(picture, "Importance.", line))


def _surrogate(one: Json) -> Markup:
    outputs = names(one, "outputs")
    rows = []
    for leaf in one.get("leaves") or []:
        said = (typeset(number(v)) for v in leaf.get("outputs") or [])
        conditions = " and ".join(str(c) for c in leaf.get("if") or []) or "always"
        rows.append((conditions, text(leaf, "decision", "–"), *said, percent(leaf.get("share"))))
    head = ("If", "Decision", *outputs, "Share of rows")
    shown = table("The rules of the tree", head, rows, numeric=tuple(range(2, len(outputs) + 3)))
    r2 = ", ".join(f"{o} {typeset(number(at(one.get('r2'), i)))}" for i, o in enumerate(outputs))
    told = [("R² on rows held out", r2), ("Rows held out", count(one.get("held_out_n")))]
    if finite(one.get("agreement")):
        told.insert(0, ("Decides as the program on", percent(one.get("agreement"))))
    return card(f"{text(one, 'task')}: a tree in the place of the program", (), shown, facts(told))


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"{typeset(number(value[0]))} … {typeset(number(value[-1]))}"
    return typeset(number(value)) if finite(value) else str(value)


DRAWN: dict[str, Callable[[Json], Markup]] = {
    "counterfactuals": _counterfactuals,
    "dependence": _dependence,
    "importance": _importance,
    "interactions": _interactions,
    "lime": _lime,
    "rule": _rule,
    "surrogate": _surrogate,
}
