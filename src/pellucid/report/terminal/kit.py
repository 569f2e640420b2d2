"""Pieces of every view: marks, tables, sentences, and what stands between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pellucid.report.markup import clean

STYLES = {"good": "green", "bad": "bold red", "wait": "yellow", "quiet": "dim"}
Sign = tuple[str, str, str]  # symbol, word, tone


def mark(sign: Sign, word: bool = True) -> Text:
    """A verdict: its symbol and its word, in its colour."""
    symbol, name, tone = sign
    return Text(f"{symbol} {clean(name)}" if word else symbol, style=STYLES.get(tone, ""))


def plain(value: object, style: str = "") -> Text:
    """Data as text."""
    return value if isinstance(value, Text) else Text(clean(value), style=style)


def titled(name: object, *rest: object) -> Text:
    """A bold name, and what belongs to it."""
    parts: list[Text | str] = [plain(name, "bold")]
    for one in rest:
        if str(one):
            parts += ["  ", plain(one)]
    return Text.assemble(*parts)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[int] = (), indent: int = 0) -> Table:
    """A table without lines; numbers to the right.

    Args:
        head: names of the columns; all empty means no head.
        rows: cells, data or `Text`.
        numeric: columns that are set to the right.
        indent: blanks before the first column.
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(head))
    if indent:
        made.add_column("", width=max(indent - 2, 0))
    for i, name in enumerate(head):
        made.add_column(plain(name), justify="right" if i in numeric else "left", overflow="fold", header_style="dim")
    for row in rows:
        made.add_row(*([""] if indent else []), *(plain(cell) for cell in row))
    return made


def stack(parts: Iterable[RenderableType | None]) -> Group:
    """Parts with an empty line between them."""
    shown: list[RenderableType] = []
    for part in parts:
        if part is not None:
            shown += [Text(""), part] if shown else [part]
    return Group(*shown)


def sentences(told: Iterable[str], style: str = "") -> Text:
    """A sentence a line."""
    return Text("\n").join([Text(clean(sentence), style=style) for sentence in told])
