"""Evidence on the terminal: verdicts, then every task beside its baselines, then the controls."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pellucid.report.markup import clean
from pellucid.report.numbers import count, measured
from pellucid.report.terminal.kit import mark, plain, sentences, stack, table, titled
from pellucid.report.terminal.search import search_view
from pellucid.report.units import in_units, metric_unit
from pellucid.report.words import (
    Json,
    evidence_sentences,
    extra_facts,
    items,
    name_of,
    notes_of,
    passed_of,
    review_facts,
    skill_of,
    table_sentences,
    text,
    verdict_of,
)


def evidence_view(evidence: Json) -> Group:
    """Evidence: a sentence per task, then its table, then controls and what every reader should know.

    Args:
        evidence: Evidence JSON.
    """
    tasks = items(evidence, "tasks")
    told = evidence_sentences(evidence)
    signs = [mark(verdict_of(task), word=False) for task in tasks]
    signs += [mark(("✗", "", "bad"), word=False) for _ in told[len(signs) :]] if tasks else []
    lines = table(("", ""), [(signs[i] if i < len(signs) else "", line) for i, line in enumerate(told)])
    parts: list[RenderableType | None] = [lines]
    notes = [f"note: {note}" for note in notes_of(evidence)]
    parts.append(sentences(notes) if notes else None)
    sizes = {count(task.get("n")) for task in tasks}
    parts += [_task(task, with_n=len(sizes) > 1) for task in tasks]
    parts.append(_controls(items(evidence, "controls")))
    parts.append(search_view(evidence["search"]) if evidence.get("search") else None)
    facts = "; ".join(f"{name.lower()}: {value}" for name, value in review_facts(evidence))
    methods = dict.fromkeys(text(task, "method") for task in tasks if text(task, "method"))
    last = [f"intervals: {', '.join(methods)}"] if methods else []
    if len(sizes) == 1:
        seen = "seeds, judged on what none of them had seen" if evidence.get("seeds") else ""
        last += [f"n = {sizes.pop()} {seen}" if seen else f"n = {sizes.pop()}, none of which the judged fits had seen"]
    last += [facts] if facts else []
    parts.append(sentences(last, "dim") if last else None)
    return stack(parts)


def _task(raw: Json, *, with_n: bool) -> RenderableType:
    task, unit = in_units(raw), metric_unit(raw)
    rows: list[tuple[object, ...]] = [
        (
            Text(text(task, "subject", "this program"), style="bold"),
            measured(task.get("value"), task.get("low"), task.get("high")),
            "",
        )
    ]
    for b in items(task, "baselines"):
        difference = (b.get("difference"), b.get("difference_low"), b.get("difference_high"))
        value = text(b, "note") or measured(b.get("value"), b.get("low"), b.get("high"))
        rows.append((name_of(b), value, "" if text(b, "note") else measured(*difference, signed=True)))
    about = f"{unit}; {unit.better} is better" + (f"; n = {count(task.get('n'))}" if with_n else "")
    title = titled(text(task, "task", "task"), mark(verdict_of(task)), plain(about, "dim"))
    lines: list[RenderableType] = [
        title,
        table(("", "value [interval]", "program minus baseline"), rows, numeric=(1, 2)),
    ]
    seeds = [(f"seed {one['seed']}", measured(*_ends(one)), text(one, "ref")) for one in items(task, "seeds")]
    lines += [table(("", "value [interval of its episodes]", "fit"), seeds, numeric=(1,))] if seeds else []
    extra = "; ".join(f"{name}: {value}" for name, value in extra_facts(task))
    further = [extra] if extra else []
    return Group(*lines, *(Text(clean(line), style="dim") for line in [*further, *table_sentences(task)]))


def _ends(one: Json) -> tuple[Any, Any, Any]:
    return one.get("value"), one.get("low"), one.get("high")


def _controls(controls: list[Json]) -> RenderableType | None:
    """One line a control: what it had to show, and what each task showed."""
    if not controls:
        return None
    rows = []
    for control in controls:
        seen = Text(", ").join(
            Text.assemble(f"{clean(text(t, 'task'))} ", mark(skill_of(t))) for t in items(control, "tasks")
        )
        rows.append((text(control, "name"), f"must show {text(control, 'expect')}", mark(passed_of(control)), seen))
    title = titled("Controls", "the same program on markets whose truth is known")
    return Group(title, table(("", "", "", ""), rows))
