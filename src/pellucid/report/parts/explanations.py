"""Explanations: for each named row a waterfall per task, and the rows beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pellucid.report.blocks import card, details, facts, figure, paragraph, section, table
from pellucid.report.charts import Column, attribution_bars, heat_map, swarm_chart, waterfall_chart
from pellucid.report.explained import at, base_of, main_output, measures, names, output_title, said, shown_of, steps_of
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, number, typeset, typeset_sentence, with_error
from pellucid.report.parts.laid import laid_figures
from pellucid.report.svg import responsive
from pellucid.report.units import explained_in_units
from pellucid.report.words import Json, text

VALUES = {
    "interventional": "interventional: what a coalition leaves out comes from background rows, whatever goes with it",
    "conditional": "conditional: what a coalition leaves out comes from the background rows nearest to this one",
}
_COLUMNS = 40  # rows up to which they stand side by side in a heat map
_ROWS_SHOWN = 6  # rows with waterfalls of their own; all rows are in the overview


def explanations_section(explanations: Sequence[Json], inputs: Mapping[str, str] | None = None) -> Markup:
    """Cards by row (day) over all tasks, then rows side by side per task.

    Args:
        explanations: Explanation JSONs, one per task.
        inputs: what each field is, in a line.
    """
    shown = [explained_in_units(one) for one in explanations]
    keys: list[str] = []
    for one in shown:
        keys += [key for key in names(one, "keys") if key not in keys]
    cards = [_row_card(key, shown) for key in keys[:_ROWS_SHOWN]]
    if len(keys) > _ROWS_SHOWN:
        cards.append(paragraph(f"{count(len(keys) - _ROWS_SHOWN, 'more row')} in the overview below.", classes="soft"))
    overview = [_overview(one) for one in shown if len(one.get("keys") or []) > 1]
    intro = (
        "Why the program said what it said on these rows. A share (an attribution) is what an input contributed to one "
        "prediction, in the unit of the output, averaged over the ways of leaving the other inputs out. The shares add "
        "up from the average row to this one: blue raises the output, orange lowers it; whiskers are standard errors."
    )
    grouped = any("[" in player for one in shown for player in names(one, "players"))
    return section("explanations", "Explanations", intro, *cards, *overview, _glossary(inputs or {}, grouped))


def _glossary(inputs: Mapping[str, str], grouped: bool) -> Markup | None:
    if not inputs:
        return None
    line = (
        "A name with brackets is a part of a series: [t] is the last value, [t-1..4] the four before it. The value "
        "beside such a name is the mean of that part."
    )
    known = facts([(name, about) for name, about in inputs.items()])
    return el("div", {"class": "card"}, details("What the inputs are", paragraph(line) if grouped else None, known))


def short_keys(keys: list[str]) -> list[str]:
    """Keys without the `asset/` that all of them share."""
    heads = {key.rpartition("/")[0] for key in keys}
    return [key.rpartition("/")[2] for key in keys] if len(heads) == 1 else keys


def _row_card(key: str, explanations: Sequence[Json]) -> Markup:
    parts: list[object] = []
    for one in explanations:
        keys = names(one, "keys")
        if key not in keys:
            continue
        row, outputs = keys.index(key), names(one, "outputs")
        if not outputs:
            continue
        main = main_output(one, row)
        task = text(one, "task", "task")
        parts.append(el("h4", None, task))
        told = typeset_sentence(said(one, row))
        parts.append(paragraph(f"{told[:1].upper()}{told[1:]}."))
        parts += laid_figures(one, row, main, f"{task}, {outputs[main]}, {key}")
        parts.append(_waterfall(one, row, main, key))
        others = [k for k in range(len(outputs)) if k != main]
        if others:
            more = [_waterfall(one, row, k, key) for k in others]
            parts.append(details(f"{task}, other outputs: {', '.join(outputs[k] for k in others)}", *more))
        parts.append(_numbers(one, row, key))
    return card(key, (), *parts)


def _waterfall(one: Json, row: int, output: int, key: str) -> Markup:
    task, name = text(one, "task", "task"), names(one, "outputs")[output]
    title = f"{task}, {name}, {key}"
    steps, base = steps_of(one, row, output), base_of(one, row, output)
    prediction = at(one.get("prediction"), row, output)
    picture = responsive(
        lambda width: waterfall_chart(title, steps, base, prediction, unit=text(one, "unit"), width=width), 960
    )
    heading = output_title(one, output)
    heading = heading[:1].upper() + heading[1:] if heading.startswith("the ") else heading
    line = f"From the average over {count(one.get('background_n'), 'row')} to {key}, largest share first."
    return figure(picture, f"{heading}.", line)


def _numbers(one: Json, row: int, key: str) -> Markup:
    """All shares of the row as a table, and how they were computed."""
    outputs = names(one, "outputs")
    rows = [
        (
            name,
            shown_of(one, row, j),
            *(
                typeset(with_error(at(one.get("values"), row, j, k), at(one.get("error"), row, j, k)))
                for k in range(len(outputs))
            ),
        )
        for j, name in enumerate(names(one, "players"))
    ]
    rows.append(("average row", "", *(typeset(number(base_of(one, row, k))) for k in range(len(outputs)))))
    rows.append(("this row", "", *(typeset(number(at(one.get("prediction"), row, k))) for k in range(len(outputs)))))
    caption = f"{text(one, 'task')} on {key}: share ± standard error, in {text(one, 'unit', 'the unit of the output')}"
    shown = table(caption, ("Input", "Value", *outputs), rows, numeric=tuple(range(1, len(outputs) + 2)))
    method = [
        ("Method", text(one, "method", "not recorded")),
        ("Evaluations of the program", count(one.get("evaluations"))),
        ("Background rows", count(one.get("background_n"))),
        ("Seed", text(one, "seed", "not recorded")),
        ("Value function", VALUES.get(text(one, "value", "interventional"), text(one, "value"))),
        *measures(one),
        *(("Note", warning) for warning in names(one, "warnings")),
    ]
    return details(f"{text(one, 'task')}: numbers and method", shown, facts(method))


def _overview(one: Json) -> Markup:
    task, keys, players = text(one, "task", "task"), names(one, "keys"), names(one, "players")
    main = Counter(main_output(one, row) for row in range(len(keys))).most_common(1)[0][0]  # of most rows
    unit = text(one, "unit")
    values = [[at(one.get("values"), i, j, main) for j in range(len(players))] for i in range(len(keys))]
    errors = [[at(one.get("error"), i, j, main) for j in range(len(players))] for i in range(len(keys))]
    title = f"{task}: {output_title(one, main)} on {len(keys)} rows"
    labels = short_keys(keys)
    if len(keys) <= 4:
        columns = [Column(key, values[i], errors[i]) for i, key in enumerate(labels)]
        picture = responsive(lambda width: attribution_bars(title, players, columns, unit=unit, width=width), 820)
        line = "The same input on different rows, one bar per row; whiskers are one standard error."
    elif len(keys) > _COLUMNS:
        inputs = [[at(one.get("inputs"), i, j) for j in range(len(players))] for i in range(len(keys))]
        picture = responsive(lambda width: swarm_chart(title, players, values, inputs, unit=unit, width=width), 980)
        line = (
            "Every row is a mark, where many lie a bar; right of zero an input raises the output. "
            "The darker, the higher the input's own value; grey where it is no number."
        )
    else:
        picture = responsive(
            lambda width: heat_map(title, players, labels, values, errors, unit=unit, width=width), 980
        )
        line = (
            "Stronger colour, larger share: blue and + raise the output, orange and − lower it. "
            "In brackets or unsigned: within two standard errors of zero."
        )
    aside = el("span", {"class": "soft"}, output_title(one, main))
    return card(f"{task}: rows side by side", (aside,), figure(picture, "Side by side.", line))
