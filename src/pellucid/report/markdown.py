"""The behaviour diff as GitHub Markdown for a pull-request comment: short, details folded.

Labels stand in code spans, where GitHub renders neither markup nor mentions; free text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pellucid.report.markup import clean
from pellucid.report.numbers import count, decimals_for, measured, number
from pellucid.report.words import Json, diff_sentences, flat, items, notes_of, passed_of, text, verdict_of

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
    symbol, verdict, _ = verdict_of(diff)
    pair = f"{code(text(diff, 'base', 'base'))} → {code(text(diff, 'candidate', 'candidate'))}"
    parts = [f"### {symbol} {prose(verdict)}: {pair}"]
    parts.append("\n".join(f"- {prose(sentence)}" for sentence in rest or [headline]))
    tasks, gates = items(diff, "tasks"), items(diff, "gates")
    if gates:
        rows = [
            (_sign(passed_of(g)), code(text(g, "name")), prose(text(g, "required")), prose(text(g, "seen")))
            for g in gates
        ]
        parts.append(table(("", "Gate", "Required", "Seen"), rows))
    if tasks:
        head = ("Task", "Metric (lower is better)", "Base", "Candidate", "Change [interval]", "n", "")
        parts.append(table(head, [_change(task) for task in tasks], numeric=(2, 3, 4, 5)))
    for task in tasks:
        parts += _details(task)
    parts += [f"> {prose(flat(reason))}" for reason in diff.get("because") or []]
    return "\n\n".join(parts) + "\n"


def _sign(sign: tuple[str, str, str]) -> str:
    return f"{sign[0]} {prose(sign[1])}"


def _change(task: Json) -> tuple[str, ...]:
    places = decimals_for(task.get("low"), task.get("high"))
    return (
        code(text(task, "task")),
        prose(text(task, "metric")),
        number(task.get("base"), decimals=places),
        number(task.get("candidate"), decimals=places),
        measured(task.get("change"), task.get("low"), task.get("high"), signed=True),
        count(task.get("n")),
        _sign(verdict_of(task)),
    )


def _details(task: Json) -> list[str]:
    examples = items(task.get("flips") or {}, "examples")
    moved = [p for p in items(task, "attribution") if p.get("shown", True)]
    blocks = []
    if examples:
        rows = [
            (code(text(e, "key")), code(flat(e.get("from"))), code(flat(e.get("to"))), code(flat(e.get("y"))))
            for e in examples
        ]
        blocks.append(table(("Row", "From", "To", "What came"), rows))
    if moved:
        numbers = [
            (
                code(text(p, "player")),
                number(p.get("base")),
                number(p.get("candidate")),
                number(p.get("shift"), signed=True),
                number(p.get("noise")),
            )
            for p in moved
        ]
        blocks.append(table(("Input", "Base", "Candidate", "Shift", "Noise"), numbers, numeric=(1, 2, 3, 4)))
    if not blocks:
        return []
    parts = [
        name for name, there in (("decisions that changed", examples), ("explanations that moved", moved)) if there
    ]
    summary = f"<summary>{prose(text(task, 'task', 'task'))}: {' and '.join(parts)}</summary>"
    return [f"<details>{summary}", *blocks, "</details>"]
