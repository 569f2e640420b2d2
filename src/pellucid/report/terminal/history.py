"""The history of a program on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from pellucid.report.markup import clean
from pellucid.report.terminal.kit import table
from pellucid.report.words import Json, event_of, moment, text


def log_view(history: Sequence[Json]) -> RenderableType:
    """Who changed the program, when and why.

    Args:
        history: [{when, who, what, ref, because}], in the order in which it is to be shown.
    """
    if not history:
        return Text("No history yet.")
    rows = []
    for one in history:
        what = Text.assemble(clean(event_of(one)), "  ", (clean(text(one, "ref")), "bold"))
        because = clean(text(one, "because"))
        rows.append((moment(one), text(one, "who"), what.append(f"\n{because}", "dim") if because else what))
    return table(("when (UTC)", "who", "what, and why"), rows)
