"""Explanations: for each named row a waterfall per task, and the rows beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pellucid.report.blocks import card, details, facts, figure, paragraph, section, table
from pellucid.report.charts import Column, Step, attribution_bars, heat_map, waterfall_chart
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, finite, number, typeset, with_error
from pellucid.report.svg import responsive
from pellucid.report.words import Json, text

_ROWS_SHOWN = 6  # rows with waterfalls of their own; all rows are in the heat map
_WATERFALL = (
    "From the mean over the background, each input's share leads to the prediction: blue raises it, orange lowers it; "
    "the whisker is one standard error."
)


def explanations_section(explanations: Sequence[Json]) -> Markup:
    """Cards by row (day) over all tasks, then rows side by side per task."""
    keys: list[str] = []
    for one in explanations:
        keys += [str(key) for key in one.get("keys") or [] if str(key) not in keys]
    cards = [_row_card(key, explanations) for key in keys[:_ROWS_SHOWN]]
    if len(keys) > _ROWS_SHOWN:
        cards.append(paragraph(f"{count(len(keys) - _ROWS_SHOWN, 'more row')} in the overview below.", classes="soft"))
    overview = [_overview(one) for one in explanations if len(one.get("keys") or []) > 1]
    intro = (
        "Why the program said what it said on these rows. A share (an attribution) is what an input contributed to one "
        "prediction, in the unit of the output, averaged over the ways of leaving the other inputs out."
    )
    return section("explanations", "Explanations", intro, *cards, *overview)


def at(raw: Any, *path: int) -> Any:
    """`raw[i][j]...`, or None where something is missing."""
    for i in path:
        if not isinstance(raw, (list, tuple)) or i >= len(raw):
            return None
        raw = raw[i]
    return raw


def names(raw: Json, key: str) -> list[str]:
    """A list of names."""
    return [str(name) for name in raw.get(key) or []]


def short_keys(keys: list[str]) -> list[str]:
    """Keys without the `asset/` that all of them share."""
    heads = {key.rpartition("/")[0] for key in keys}
    return [key.rpartition("/")[2] for key in keys] if len(heads) == 1 else keys


def base_of(one: Json, row: int, output: int) -> Any:
    """The base of a row and output; `base` has shape [k] or [n][k]."""
    base = one.get("base")
    return at(base, row, output) if isinstance(at(base, 0), (list, tuple)) else at(base, output)


def main_output(one: Json) -> int:
    """The output shown first: `main` when given, else the one that the inputs move most (not a critic's value)."""
    outputs = names(one, "outputs")
    if one.get("main") in outputs:
        return outputs.index(str(one["main"]))
    rows, players = len(one.get("keys") or []), len(names(one, "players"))

    def moved(k: int) -> float:
        values = (at(one.get("values"), i, j, k) for i in range(rows) for j in range(players))
        return math.fsum(abs(v) for v in values if finite(v))

    decisions = [k for k, name in enumerate(outputs) if name != "value"]
    return max(decisions or range(len(outputs)), key=moved, default=0)


def steps_of(one: Json, row: int, output: int) -> list[Step]:
    """The players of one row and output."""
    return [
        Step(
            name,
            at(one.get("values"), row, j, output),
            at(one.get("error"), row, j, output),
            shown_of(one, row, j),
        )
        for j, name in enumerate(names(one, "players"))
    ]


def shown_of(one: Json, row: int, player: int) -> str:
    """The raw value of a player for display: `shown` when given, else `inputs`."""
    return _shown(at(one.get("shown") or one.get("inputs"), row, player))


def _shown(raw: Any) -> str:
    return "" if raw is None else typeset(number(raw)) if isinstance(raw, float) else str(raw)


def _row_card(key: str, explanations: Sequence[Json]) -> Markup:
    parts: list[object] = []
    for one in explanations:
        keys = names(one, "keys")
        if key not in keys:
            continue
        row, outputs, main = keys.index(key), names(one, "outputs"), main_output(one)
        if not outputs:
            continue
        parts.append(el("h4", None, f"{text(one, 'task', 'task')}: {outputs[main]}"))
        parts.append(_waterfall(one, row, main, key))
        parts.append(_numbers(one, row, key))
        others = [k for k in range(len(outputs)) if k != main]
        if others:
            more = [_waterfall(one, row, k, key) for k in others]
            parts.append(details(f"{text(one, 'task')}, other outputs: {', '.join(outputs[k] for k in others)}", *more))
    return card(key, (), *parts)


def _waterfall(one: Json, row: int, output: int, key: str) -> Markup:
    task, name = text(one, "task", "task"), names(one, "outputs")[output]
    title = f"{task}, {name}, {key}"
    steps, base, prediction = (
        steps_of(one, row, output),
        base_of(one, row, output),
        at(one.get("prediction"), row, output),
    )
    picture = responsive(
        lambda width: waterfall_chart(title, steps, base, prediction, unit=text(one, "unit"), width=width), 820
    )
    return figure(picture, f"{name} on {key}.", _WATERFALL)


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
    rows.append(("base", "", *(typeset(number(base_of(one, row, k))) for k in range(len(outputs)))))
    rows.append(("prediction", "", *(typeset(number(at(one.get("prediction"), row, k))) for k in range(len(outputs)))))
    caption = f"{text(one, 'task')} on {key}: share ± standard error, in {text(one, 'unit', 'the unit of the output')}"
    shown = table(caption, ("Input", "Value", *outputs), rows, numeric=tuple(range(1, len(outputs) + 2)))
    method = [
        ("Method", text(one, "method", "not recorded")),
        ("Evaluations of the program", count(one.get("evaluations"))),
        ("Background rows", count(one.get("background_n"))),
        ("Seed", text(one, "seed", "not recorded")),
    ]
    return details(f"{text(one, 'task')}: numbers and method", shown, facts(method))


def _overview(one: Json) -> Markup:
    task, keys, players, main = text(one, "task", "task"), names(one, "keys"), names(one, "players"), main_output(one)
    output, unit = at(names(one, "outputs"), main) or "", text(one, "unit")
    values = [[at(one.get("values"), i, j, main) for j in range(len(players))] for i in range(len(keys))]
    errors = [[at(one.get("error"), i, j, main) for j in range(len(players))] for i in range(len(keys))]
    title = f"{task}: {output} over {len(keys)} rows"
    labels = short_keys(keys)
    if len(keys) <= 4:
        columns = [Column(key, values[i], errors[i]) for i, key in enumerate(labels)]
        picture = responsive(lambda width: attribution_bars(title, players, columns, unit=unit, width=width), 820)
        line = "The same input on different rows, one bar per row; whiskers are one standard error."
    else:
        picture = responsive(
            lambda width: heat_map(title, players, labels, values, errors, unit=unit, width=width), 980
        )
        line = (
            "Stronger colour, larger share: blue and + raise the output, orange and − lower it. "
            "In brackets or unsigned: within two standard errors of zero."
        )
    return card(
        f"{task}: rows side by side", (el("span", {"class": "soft"}, output),), figure(picture, "Side by side.", line)
    )
