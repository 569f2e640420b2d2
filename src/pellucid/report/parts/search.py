"""How a program's settings were chosen: what was tried, and whether the choice is better."""

from __future__ import annotations

from typing import Any

from pellucid.report.blocks import card, chip, details, figure, paragraph, section, table
from pellucid.report.charts import Estimate, Tried, interval_chart, trials_chart
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, finite, number, typeset, typeset_sentence
from pellucid.report.svg import responsive
from pellucid.report.words import Json, flat, items, text, verdict_of

STATES = {"done": "to its end", "pruned": "ended early", "failed": "failed"}


def settings(trial: Json) -> str:
    """`train.lr 0.01, network.width 64`."""
    return ", ".join(f"{path} {flat(value)}" for path, value in (trial.get("params") or {}).items())


def search_section(search: Json) -> Markup:
    """Sentence, losses over trials, a picture a setting, the confirming interval, every trial in a table."""
    rows: Any = search.get("rows") or {}
    trials = items(search, "trials")
    intro = (
        f"{count(len(trials))} settings were tried. Each was learned from {count(rows.get('train'))} training rows and "
        f"compared on {count(rows.get('choose'))} others; the best was then compared with the spec as it stands on "
        f"{count(rows.get('confirm'))} that no choice had seen. The review rows took no part."
    )
    over = responsive(lambda width: _over(trials, width), 680)
    slices = [_slice(path, given, trials) for path, given in (search.get("space") or {}).items()]
    head = ("Trial", "Settings", "Loss", "Ended")
    cells = [
        (
            count(t.get("number")),
            settings(t) + (f": {text(t, 'why')}" if text(t, "why") else ""),
            number(t.get("loss")),
            STATES.get(text(t, "state"), text(t, "state")),
        )
        for t in trials
    ]
    confirmed = search.get("confirm")
    return section(
        "search",
        "Search",
        intro,
        card(
            text(search, "task", "task"),
            (chip(*verdict_of(confirmed)),) if confirmed else (),
            paragraph(typeset_sentence(text(search, "sentence")), classes="lead"),
            figure(
                over,
                "Trials.",
                "Held-out loss of each trial; the line is the best so far. Trial 0 is the spec as it stands.",
            ),
            el("div", {"class": "trio"}, *slices),
            _confirmed(confirmed) if confirmed else None,
            details(f"Trials ({len(trials)})", table("Every trial", head, cells, numeric=(0, 2))),
        ),
    )


def _tried(trial: Json, x: Any) -> Tried:
    hint = f"trial {count(trial.get('number'))}: {settings(trial)}: {number(trial.get('loss'))}"
    return Tried(x, trial.get("loss"), trial.get("state") == "done", hint)


def _over(trials: list[Json], width: int) -> Markup:
    tried = [_tried(t, t.get("number")) for t in trials]
    return trials_chart("Trials", tried, x_label="trial", y_label="held-out loss", best=True, width=width)


def _slice(path: str, given: Json, trials: list[Json]) -> Markup:
    choices: list[Any] = list(given.get("choices") or [])
    tried = []
    for trial in trials:
        value = (trial.get("params") or {}).get(path)
        if choices:
            value = choices.index(value) if value in choices else None
        tried.append(_tried(trial, value))
    log = bool(given.get("log")) and all(t.x > 0 for t in tried if finite(t.x))
    picture = trials_chart(
        path, tried, x_label=path, y_label="held-out loss", log=log, words=[flat(c) for c in choices], width=330
    )
    return figure(picture, f"{path}.", "Loss by this setting; the other settings differ as well.")


def _confirmed(found: Json) -> Markup:
    row = [Estimate("chosen minus spec as it stands", found.get("change"), found.get("low"), found.get("high"))]
    title = "Chosen settings minus the spec as it stands"
    picture = responsive(lambda width: interval_chart(title, row, unit="mean loss", zero=True, width=width), 480)
    seen = f"On {count(found.get('n'))} that no choice had seen"
    line = f"{seen}; left of zero the choice is better. {text(found, 'method')}."
    return figure(picture, "Confirmed?", typeset(line))
