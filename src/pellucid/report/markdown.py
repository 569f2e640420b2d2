"""The behaviour diff, and evidence, as GitHub Markdown for a pull-request comment: short, details folded.

Labels stand in code spans, where GitHub renders neither markup nor mentions; free text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pellucid.report.markup import clean
from pellucid.report.numbers import count, decimals_for, measured, number, percent
from pellucid.report.units import in_units, metric_unit, target_unit, what_came
from pellucid.report.words import (
    Json,
    budget_of,
    diff_sentences,
    diff_verdict,
    evidence_sentences,
    extra_facts,
    flat,
    items,
    name_of,
    notes_of,
    passed_of,
    table_sentences,
    text,
    verdict_of,
)

_SPECIAL = re.compile(r"([\\`*_\[\]#!|~])")
_OPENING = re.compile(r"^([-+=]|\d+(?=[.)]))")  # what starts a list or a heading when it stands first
_BREAK = "\N{ZERO WIDTH SPACE}"


def code(value: object) -> str:
    """A label as a code span of one line, with a fence that the label cannot close."""
    line = re.sub(r"\s+", " ", clean(value)).strip()
    if not line:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    room = " " if longest else ""
    return f"{fence}{room}{line}{room}{fence}".replace("|", "\\|")


def prose(value: object) -> str:
    """Free text of one line: no markup, no mention, no reference, no link."""
    line = re.sub(r"\s+", " ", clean(value)).strip()
    line = _OPENING.sub(rf"{_BREAK}\1", line)
    line = _SPECIAL.sub(r"\\\1", line.replace("&", "&amp;")).replace("<", "&lt;").replace(">", "&gt;")
    line = line.replace("@", f"@{_BREAK}").replace("://", f":{_BREAK}//").replace("www.", f"www{_BREAK}.")
    return re.sub(r"\\#(?=\d)", rf"\\#{_BREAK}", line)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """A pipe table of cells that are Markdown already."""
    rule = ["---:" if i in numeric else "---" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def diff_comment(diff: Json) -> str:
    """The comment.

    Args:
        diff: Diff JSON.
    Returns:
        Markdown that ends with a newline; the verdict is its first line.
    """
    headline, *rest = [*diff_sentences(diff), *notes_of(diff)]
    if diff.get("empty"):
        return (
            "\n\n".join(
                f"**{prose(sentence)}**" if i == 0 else prose(sentence) for i, sentence in enumerate([headline, *rest])
            )
            + "\n"
        )
    symbol, verdict, _ = diff_verdict(diff)
    pair = f"{code(text(diff, 'base', 'base'))} → {code(text(diff, 'candidate', 'candidate'))}"
    parts = [f"### {symbol} {prose(verdict)}: {pair}"]
    parts.append("\n".join(f"- {prose(sentence)}" for sentence in rest or [headline]))
    tasks, gates = items(diff, "tasks"), items(diff, "gates")
    if gates:
        rows = [
            (_sign(passed_of(g)), code(text(g, "name")), prose(text(g, "seen")), prose(text(g, "required")))
            for g in gates
        ]
        parts.append(table(("", "Gate", "Seen", "Asked for"), rows))
    if tasks:
        head = ("Task", "Metric", "Base", "Candidate", "Change [interval]", "n", "")
        parts.append(table(head, [_change(diff, task) for task in tasks], numeric=(2, 3, 4, 5)))
    for task in tasks:
        parts += _details(task)
    parts += [f"> {prose(flat(reason))}" for reason in diff.get("because") or []]
    return "\n\n".join(parts) + "\n"


def evidence_comment(evidence: Json) -> str:
    """Evidence as Markdown: a sentence per task, then its table and its further figures.

    Args:
        evidence: Evidence JSON.
    """
    parts = ["\n".join(f"- {prose(sentence)}" for sentence in [*evidence_sentences(evidence), *notes_of(evidence)])]
    for raw in items(evidence, "tasks"):
        task, unit = in_units(raw), metric_unit(raw)
        rows = [
            (
                prose(text(task, "subject", "this program")),
                measured(task.get("value"), task.get("low"), task.get("high")),
                "",
            )
        ]
        for b in items(task, "baselines"):
            ends = (b.get("difference"), b.get("difference_low"), b.get("difference_high"))
            value = prose(text(b, "note")) or measured(b.get("value"), b.get("low"), b.get("high"))
            rows.append((prose(name_of(b)), value, "" if text(b, "note") else measured(*ends, signed=True)))
        head = (
            code(text(task, "task")),
            prose(f"{unit} [interval]; {unit.better} is better"),
            "program minus baseline",
        )
        parts.append(f"{_sign(verdict_of(raw))}, n = {count(task.get('n'))}")
        parts.append(table(head, rows, numeric=(1, 2)))
        seeds = [
            (str(s["seed"]), code(text(s, "ref")), measured(s.get("value"), s.get("low"), s.get("high")))
            for s in items(task, "seeds")
        ]
        parts += [table(("Seed", "Fit", "Value [interval]"), seeds, numeric=(2,))] if seeds else []
        told = [f"- {prose(name)}: {prose(value)}" for name, value in extra_facts(task)]
        told += [f"- {prose(sentence)}" for sentence in table_sentences(task)]
        parts += ["\n".join(told)] if told else []
        parts += _confusion(task)
    search = evidence.get("search")
    if search:
        parts.append(prose(text(search, "sentence")))
    return "\n\n".join(parts) + "\n"


def _confusion(task: Json) -> list[str]:
    raw = (task.get("extra") or {}).get("confusion")
    if not raw:
        return []
    classes = [code(c) for c in raw["classes"]]
    rows = [(true, *map(count, line)) for true, line in zip(classes, raw["counts"], strict=True)]
    grid = table(("true", *(f"said {c}" for c in classes)), rows, numeric=range(1, len(classes) + 1))
    return [f"<details><summary>Confusion</summary>\n\n{grid}\n\n</details>"]


def _sign(sign: tuple[str, str, str]) -> str:
    return f"{sign[0]} {prose(sign[1])}"


def _change(diff: Json, raw: Json) -> tuple[str, ...]:
    task, unit, budget = in_units(raw), metric_unit(raw), budget_of(diff, raw)
    places = decimals_for(task.get("low"), task.get("high"))
    return (
        code(text(task, "task")),
        prose(f"{unit}; {unit.better} is better"),
        number(task.get("base"), decimals=places),
        number(task.get("candidate"), decimals=places),
        measured(task.get("change"), task.get("low"), task.get("high"), signed=True),
        count(task.get("n")),
        _sign(verdict_of(task)) + (f", {prose(budget)}" if budget else ""),
    )


def _details(task: Json) -> list[str]:
    examples = items(task.get("flips") or {}, "examples")
    moved = [p for p in items(task, "attribution") if p.get("shown", True)]
    blocks = []
    if examples:
        rows = [
            (
                code(text(e, "key")),
                code(flat(e.get("from"))),
                code(flat(e.get("to"))),
                code(what_came(task, e.get("y"))),
            )
            for e in examples
        ]
        came = target_unit(task)[0]
        blocks.append(table(("Row", "From", "To", came[:1].upper() + came[1:]), rows))
    if moved:
        numbers = [
            (code(text(p, "player")), *(percent(p.get(key)) for key in ("base", "candidate", "shift", "noise")))
            for p in moved
        ]
        blocks.append(
            table(
                ("Share of all attribution", "Base", "Candidate", "Mean shift", "Noise"), numbers, numeric=(1, 2, 3, 4)
            )
        )
    if not blocks:
        return []
    parts = [
        name for name, there in (("decisions that changed", examples), ("explanations that moved", moved)) if there
    ]
    summary = f"<summary>{prose(text(task, 'task', 'task'))}: {' and '.join(parts)}</summary>"
    return [f"<details>{summary}", *blocks, "</details>"]
