"""Explanations by words: the text itself highlighted, one card per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.report.blocks import card, details, facts, figure, paragraph, section, table
from pellucid.report.charts.highlight import Piece, highlight_chart
from pellucid.report.explained import at, base_of, kind_of, main_output, measures, names, output_title, said
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, number, typeset, typeset_sentence, with_error
from pellucid.report.svg import responsive
from pellucid.report.units import explained_in_units
from pellucid.report.words import Json, text

INTRO = (
    "What each word of a text adds to what the program says of it, in the unit of the output: blue and + raise it, "
    "orange and − lower it; in brackets: within two standard errors of zero. The shares add up from the masked text to "
    "this one, the other inputs as they are. How words are masked is part of the question: it is said beside each text."
)


def texts_section(texts: Sequence[Json]) -> Markup:
    """A card per text. Args: texts: TextExplanation JSONs."""
    return section("words", "Explanations by words", INTRO, *(_card(one) for one in texts))


def in_shown_units(one: Json) -> Json:
    """The explanation within, in the units in which it is shown."""
    values: Any = one.get("values")
    return explained_in_units(values if isinstance(values, dict) else {})


def said_of_text(values: Json) -> str:
    """What the program said, beside what it says of the masked text."""
    told = said(values, 0)
    return told.replace("the average row", "the masked text").replace(" on average", " for the masked text")


def pieces_of(one: Json, values: Json, output: int) -> list[Piece]:
    """The players in the order of the text, with their shares of one output."""
    whole = str(one.get("text") or "")
    found, before = [], 0
    for j, (start, stop) in enumerate(one.get("spans") or []):
        value, error = at(values.get("values"), 0, j, output), at(values.get("error"), 0, j, output)
        found.append(Piece(whole[start:stop], value, error, "\n" in whole[before:start]))
        before = stop
    return found


def _card(one: Json) -> Markup:
    values = in_shown_units(one)
    outputs, key = names(values, "outputs"), (names(values, "keys") or [""])[0]
    main = main_output(values)
    told = typeset_sentence(said_of_text(values))
    parts: list[object] = [paragraph(f"{text(values, 'task')}: {told[:1]}{told[1:]}.")]
    parts += [paragraph(warning, classes="soft") for warning in names(values, "warnings")]
    parts.append(_picture(one, values, main, key))
    others = [k for k in range(len(outputs)) if k != main]
    if others and names(values, "players"):
        more = [_picture(one, values, k, key) for k in others]
        parts.append(details(f"Other outputs: {', '.join(outputs[k] for k in others)}", *more))
    parts.append(_numbers(one, values))
    return card(key, (el("span", {"class": "soft"}, text(one, "field")),), *parts)


def _picture(one: Json, values: Json, output: int, key: str) -> Markup:
    title = f"{text(values, 'task')}, {output_title(values, output)}, {key}"
    pieces = pieces_of(one, values, output)
    picture = responsive(lambda width: highlight_chart(title, pieces, unit=text(values, "unit"), width=width), 960)
    line = f"From the masked text to this one; {text(one, 'mask')}."
    heading = output_title(values, output)
    return figure(picture, f"{heading[:1].upper()}{heading[1:]}.", line)


def _numbers(one: Json, values: Json) -> Markup:
    outputs, players = names(values, "outputs"), names(values, "players")
    rows = [
        (name, *(typeset(with_error(at(values.get("values"), 0, j, k), at(values.get("error"), 0, j, k)))
                 for k in range(len(outputs))))
        for j, name in enumerate(players)
    ]  # fmt: skip
    rows.append(("masked text", *(typeset(number(base_of(values, 0, k))) for k in range(len(outputs)))))
    rows.append(("this text", *(typeset(number(at(values.get("prediction"), 0, k))) for k in range(len(outputs)))))
    caption = f"Share ± standard error, in {text(values, 'unit', 'the unit of the output')}"
    shown = table(caption, (text(one, "grain").capitalize(), *outputs), rows, numeric=range(1, len(outputs) + 1))
    method = [
        ("Values", kind_of(values)),
        ("Method", text(values, "method", "not recorded")),
        ("Masking", text(one, "mask", "not recorded")),
        ("Texts that the program was asked about", count(values.get("evaluations"))),
        ("Seed", text(values, "seed", "not recorded")),
        *measures(values),
    ]
    return details("Numbers and method", shown, facts(method))
