"""A search on the terminal: what it shows, and its best trials."""

from __future__ import annotations

from rich.console import Group

from pellucid.report.numbers import number
from pellucid.report.terminal.kit import sentences, stack, table, titled
from pellucid.report.words import Json, finite_loss, flat, items, text

SHOWN = 5


def search_view(search: Json) -> Group:
    """The sentence, then the spec as it stands and the best trials.

    Args:
        search: JSON of a search (see `runs.searching`).
    """
    trials = items(search, "trials")
    done = sorted((t for t in trials if t.get("state") == "done"), key=finite_loss)
    first = [t for t in trials if not t.get("number") and t not in done[:SHOWN]]
    paths = list(search.get("space") or {})
    rows = [
        (
            "as it stands" if not t.get("number") else f"trial {t['number']}",
            *(flat((t.get("params") or {}).get(path)) for path in paths),
            number(t.get("loss")),
        )
        for t in [*done[:SHOWN], *first]
    ]
    ended = sum(t.get("state") == "pruned" for t in trials)
    failed = sum(t.get("state") == "failed" for t in trials)
    last = [f"{len(trials)} trials, {ended} ended early, {failed} failed; loss on held-out training rows"]
    head = ("", *paths, "loss")
    return stack(
        [
            sentences([text(search, "sentence")]),
            Group(titled("Search", text(search, "task")), table(head, rows, numeric=tuple(range(1, len(head))))),
            sentences(last, "dim"),
        ]
    )
