"""A behaviour diff on the terminal: the claim, its gates, then what changed, task by task."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pellucid.report.markup import clean
from pellucid.report.numbers import count, decimals_for, measured, number, percent
from pellucid.report.terminal.kit import mark, plain, sentences, stack, table, titled
from pellucid.report.units import in_units, metric_unit, target_unit, what_came
from pellucid.report.words import (
    Json,
    budget_of,
    diff_sentences,
    diff_verdict,
    flat,
    items,
    notes_of,
    passed_of,
    promises,
    text,
    verdict_of,
)

EXAMPLES = 3  # decisions shown by name for each task; the page shows all


def diff_view(diff: Json) -> Group:
    """A behaviour diff: sentences, gates, metric changes, flips, shifts. Of a version with itself: one line.

    Args:
        diff: Diff JSON.
    """
    headline, *rest = [*diff_sentences(diff), *notes_of(diff)]
    if diff.get("empty"):
        return stack([sentences([headline, *rest])])
    tasks = items(diff, "tasks")
    because = [f"because: {flat(reason)}" for reason in diff.get("because") or []]
    verdict = Text.assemble(mark(diff_verdict(diff)), "  ", (clean(headline), "bold"))
    return stack(
        [
            Group(verdict, *([sentences(because)] if because else [])),
            _gates(items(diff, "gates")),
            _metrics(diff, tasks),
            sentences(rest),
            _examples(tasks),
            _shifts(tasks),
        ]
    )


def _gates(gates: Sequence[Json]) -> RenderableType | None:
    """Each promise with what was asked, and under it what every task did."""
    if not gates:
        return None
    lines: list[RenderableType] = [titled("Gates", "what was promised, and what came")]
    for title, group in promises(gates):
        asked = {text(gate, "required") for gate in group}
        common = asked.pop() if len(asked) == 1 else ""
        lines.append(Text.assemble(clean(title), (f"   asked: {clean(common)}" if common else "", "dim")))
        lines.append(table(("", "", "", ""), [_gate(gate, bool(common)) for gate in group], indent=2))
    return Group(*lines)


def _gate(gate: Json, common: bool) -> Sequence[object]:
    symbol, word, tone = passed_of(gate)
    seen = plain(text(gate, "seen")) if tone == "good" else plain(f"{word.upper()}: {text(gate, 'seen')}", "bold red")
    asked = "" if common else plain(f"asked: {text(gate, 'required')}", "dim")
    return mark((symbol, "", tone), word=False), plain(text(gate, "task"), "bold"), seen, asked


def _metrics(diff: Json, tasks: Sequence[Json]) -> RenderableType | None:
    if not tasks:
        return None
    rows: list[Sequence[object]] = []
    for raw in tasks:
        task, unit = in_units(raw), metric_unit(raw)
        places = decimals_for(task.get("low"), task.get("high"))
        verdict, budget = mark(verdict_of(task)), budget_of(diff, task)
        sides = (number(task.get(side), decimals=places) for side in ("base", "candidate"))
        rows.append(
            (
                Text.assemble((clean(text(task, "task", "task")), "bold"), f"\n{clean(unit)}"),
                " → ".join(sides),
                measured(task.get("change"), task.get("low"), task.get("high"), signed=True),
                Text.assemble(verdict, "\n", (budget, "dim")) if budget else verdict,
            )
        )
    sizes = {count(task.get("n")) for task in tasks}
    n = f", n = {sizes.pop()}" if len(sizes) == 1 else ""
    if n == "":
        rows = [[*row, f"n = {count(task.get('n'))}"] for row, task in zip(rows, tasks, strict=True)]
    head = ("", "base → candidate", "change [interval]", "", *([""] if not n else []))
    return Group(titled(f"On the same rows{n}"), table(head, rows, numeric=(1, 2)))


def _examples(tasks: Sequence[Json]) -> RenderableType | None:
    """The decisions of largest consequence that changed."""
    shown = [task for task in tasks if items(task.get("flips") or {}, "examples")]
    if not shown:
        return None
    rows: list[Sequence[object]] = []
    for task in shown:
        for i, one in enumerate(items(task["flips"], "examples")[:EXAMPLES]):
            came = what_came(task, one.get("y"))
            rows.append(
                (
                    Text(clean(text(task, "task")), style="bold") if i == 0 else "",
                    text(one, "key"),
                    f"{flat(one.get('from'))} → {flat(one.get('to'))}",
                    f"{target_unit(task)[0]}: {came}" if came else "",
                )
            )
    return Group(titled("Decisions that changed, largest consequence first"), table(("", "", "", ""), rows))


def _shifts(tasks: Sequence[Json]) -> RenderableType | None:
    """What the answers rest on, before and after, where it moved by more than the explainer's noise."""
    rows: list[Sequence[object]] = []
    for task in tasks:
        for i, p in enumerate(p for p in items(task, "attribution") if p.get("shown", True)):
            rows.append(
                (
                    Text(clean(text(task, "task")), style="bold") if i == 0 else "",
                    text(p, "player"),
                    percent(p.get("base")),
                    percent(p.get("candidate")),
                    percent(p.get("shift")),
                    percent(p.get("noise")),
                )
            )
    if not rows:
        return None
    line = "share of all attribution; `moved` is the mean change on a row, shown where it exceeds the explainer's noise"
    return Group(
        titled("What the answers rest on"),
        sentences([line], "dim"),
        table(("", "", "before", "after", "moved", "noise"), rows, numeric=(2, 3, 4, 5)),
    )
