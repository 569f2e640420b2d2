"""Terminal renderings with rich: sentences first, then tables; readable at 80 columns and without colour.

Data go into `Text`, never into rich's markup, and are cleaned of control characters: a label can neither colour the
terminal nor move its cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pellucid.report.markup import clean
from pellucid.report.numbers import count, decimals_for, finite, measured, number, percent, with_error
from pellucid.report.parts.explanations import at, base_of, main_output, names, steps_of
from pellucid.report.words import (
    Json,
    diff_sentences,
    evidence_sentences,
    flat,
    items,
    metric_of,
    notes_of,
    passed_of,
    review_facts,
    text,
    verdict_of,
)

_STYLES = {"good": "green", "bad": "bold red", "wait": "yellow", "quiet": "dim"}


def _mark(sign: tuple[str, str, str]) -> Text:
    symbol, word, tone = sign
    return Text(f"{symbol} {clean(word)}", style=_STYLES.get(tone, ""))


def _plain(value: object) -> Text:
    return value if isinstance(value, Text) else Text(clean(value))


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> Table:
    table = Table(
        title=_plain(title), title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for i, name in enumerate(head):
        right = i in numeric
        table.add_column(_plain(name), justify="right" if right else "left", overflow="fold", header_style="dim")
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    return table


def _stack(parts: Iterable[RenderableType | None]) -> Group:
    shown = [part for part in parts if part is not None]
    return Group(*(Padding(part, (0, 0, 1, 0)) if i < len(shown) - 1 else part for i, part in enumerate(shown)))


def _sentences(sentences: Iterable[str]) -> Text:
    return Text("\n").join([Text(clean(sentence)) for sentence in sentences])


def evidence_view(evidence: Json) -> Group:
    """Evidence: the verdict of each task, then its table, then controls.

    Args:
        evidence: Evidence JSON.
    """
    known = ", ".join(f"{name.lower()} {value}" for name, value in review_facts(evidence))
    parts: list[RenderableType | None] = [_sentences(evidence_sentences(evidence))]
    parts += [_task_table(task) for task in items(evidence, "tasks")]
    controls = items(evidence, "controls")
    if controls:
        rows = [
            (
                text(c, "name"),
                text(c, "expect"),
                _mark(passed_of(c)),
                "; ".join(f"{text(t, 'task')}: {verdict_of(t)[1]}" for t in items(c, "tasks")),
            )
            for c in controls
        ]
        parts.append(_table("Controls", ("control", "expected", "result", "seen"), rows))
    parts += [Text(clean(note), style="dim") for note in notes_of(evidence)]
    parts.append(Text(clean(known), style="dim") if known else None)
    return _stack(parts)


def _task_table(task: Json) -> RenderableType:
    rows: list[Sequence[object]] = [
        (Text("this program", style="bold"), measured(task.get("value"), task.get("low"), task.get("high")), "")
    ]
    for b in items(task, "baselines"):
        difference = (b.get("difference"), b.get("difference_low"), b.get("difference_high"))
        rows.append(
            (text(b, "name"), measured(b.get("value"), b.get("low"), b.get("high")), measured(*difference, signed=True))
        )
    better = text(task, "better", "lower")
    unit = ", ".join(p for p in (metric_of(task), text(task, "unit"), f"{better} is better") if p)
    title = Text.assemble(Text(clean(text(task, "task", "task")), style="bold"), "  ", _mark(verdict_of(task)))
    table = _table("", ("", "value [interval]", "program minus baseline"), rows, numeric=(1, 2))
    table.title = None
    method = f"{unit}; n = {count(task.get('n'))}" + (f"; {text(task, 'method')}" if text(task, "method") else "")
    extra: Any = task.get("extra") or {}
    told = ", ".join(f"{key} {flat(value)}" for key, value in extra.items() if not isinstance(value, list))
    lines: list[RenderableType] = [title, table, Text(clean(method), style="dim")]
    return Group(*lines, *([Text(clean(told), style="dim")] if told else []))


def explanation_view(explanation: Json) -> Group:
    """One explanation: per row, the shares from base to prediction, largest first, with standard errors.

    Args:
        explanation: Explanation JSON.
    """
    output = main_output(explanation)
    task, name = text(explanation, "task", "task"), at(names(explanation, "outputs"), output) or ""
    method = (
        f"{text(explanation, 'method', 'method not recorded')}; in {text(explanation, 'unit', 'units of the output')}; "
        f"± one standard error; background n = {count(explanation.get('background_n'))}; "
        f"{count(explanation.get('evaluations'), 'evaluation')}; seed {text(explanation, 'seed', '?')}"
    )
    parts: list[RenderableType | None] = []
    for row, key in enumerate(names(explanation, "keys")):
        steps = steps_of(explanation, row, output)
        base, prediction = base_of(explanation, row, output), at(explanation.get("prediction"), row, output)
        known = sorted(steps, key=lambda s: -abs(s.value) if finite(s.value) else 1.0)
        biggest = max((abs(s.value) for s in known if finite(s.value)), default=0.0)
        rows: list[Sequence[object]] = [("base", "", number(base), "")]
        rows += [(s.player, s.shown, with_error(s.value, s.error), _bar(s.value, biggest)) for s in known]
        rows.append((Text("prediction", style="bold"), "", Text(number(prediction), style="bold"), ""))
        told = f"{task} {name} at {key}: {number(base)} on average, {number(prediction)} here"
        top = known[0].player if known else ""
        sentence = (
            f"{told}; {top} moves it most ({with_error(known[0].value, known[0].error)})." if known else f"{told}."
        )
        table = _table("", ("input", "value", "share", ""), rows, numeric=(1, 2))
        table.title = None
        parts.append(Group(_sentences([sentence]), table))
    parts.append(Text(clean(method), style="dim"))
    return _stack(parts)


def _bar(value: Any, biggest: float) -> Text:
    if not finite(value) or not biggest:
        return Text("")
    length = round(12 * abs(value) / biggest)
    return Text(("+" if value > 0 else "-") * length, style="blue" if value > 0 else "yellow")


def diff_view(diff: Json) -> Group:
    """A behaviour diff: sentences, gates, metric changes, flips, shifts. Of a version with itself: one line.

    Args:
        diff: Diff JSON.
    """
    headline, *rest = [*diff_sentences(diff), *notes_of(diff)]
    if diff.get("empty"):
        return _stack([_sentences([headline, *rest])])
    symbol = _mark(verdict_of(diff))
    parts: list[RenderableType | None] = [Group(Text.assemble(symbol, "  ", clean(headline)), _sentences(rest))]
    gates = items(diff, "gates")
    if gates:
        rows = [(_mark(passed_of(g)), text(g, "name"), text(g, "required"), text(g, "seen")) for g in gates]
        parts.append(_table("Gates", ("", "gate", "required", "seen"), rows))
    tasks = items(diff, "tasks")
    if tasks:
        parts.append(
            _table(
                "Metric changes (lower is better)",
                ("task", "base", "candidate", "change [interval]", "n", ""),
                [_change(t) for t in tasks],
                numeric=(1, 2, 3, 4),
            )
        )
    parts += [_flips(task) for task in tasks if items(task.get("flips") or {}, "examples")]
    parts.append(_shifts(tasks))
    reasons = [f"because: {flat(reason)}" for reason in diff.get("because") or []]
    parts.append(_sentences(reasons) if reasons else None)
    return _stack(parts)


def _change(task: Json) -> Sequence[object]:
    places = decimals_for(task.get("low"), task.get("high"))
    return (
        f"{text(task, 'task')}, {text(task, 'metric')}",
        number(task.get("base"), decimals=places),
        number(task.get("candidate"), decimals=places),
        measured(task.get("change"), task.get("low"), task.get("high"), signed=True),
        count(task.get("n")),
        _mark(verdict_of(task)),
    )


def _flips(task: Json) -> Table:
    flips: Json = task.get("flips") or {}
    rows = [
        (text(e, "key"), flat(e.get("from")), flat(e.get("to")), flat(e.get("y"))) for e in items(flips, "examples")
    ]
    share = f"{percent(flips.get('share'))} of n = {count(flips.get('n'))}"
    title = f"{text(task, 'task', 'task')}: decisions that changed ({share})"
    return _table(title, ("row", "from", "to", "what came"), rows)


def _shifts(tasks: Sequence[Json]) -> Table | None:
    rows = [
        (
            f"{text(task, 'task')}: {text(p, 'player')}",
            number(p.get("base")),
            number(p.get("candidate")),
            number(p.get("shift"), signed=True),
            number(p.get("noise")),
        )
        for task in tasks
        for p in items(task, "attribution")
        if p.get("shown", True)
    ]
    head = ("input", "base", "candidate", "shift", "noise")
    return (
        _table("Explanations that moved more than the explainer's noise", head, rows, numeric=(1, 2, 3, 4))
        if rows
        else None
    )


def log_view(history: Sequence[Json]) -> RenderableType:
    """The history of a program.

    Args:
        history: [{when, who, what, ref, because}], in the order in which it is to be shown.
    """
    if not history:
        return Text("No history yet.")
    rows = [
        (text(one, "ref"), text(one, "what"), _minute(text(one, "when")), text(one, "who"), text(one, "because"))
        for one in history
    ]
    return _table("", ("version", "what", "when (UTC)", "who", "because"), rows)


def _minute(when: str) -> str:
    """2026-11-24T06:28:53+00:00 as 2026-11-24 06:28: the JSON has the seconds."""
    return when[:16].replace("T", " ") if when.endswith("+00:00") else when
