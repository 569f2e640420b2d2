"""Rows that could not be read: set aside with their place and the reason, counted, never dropped unseen."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pellucid.core.errors import DataError

MOST = 0.1  # share of bad rows above which the source is refused
KEPT = 10_000  # rows whose text is kept; the others are counted
SHOWN = 3  # rows named in a note
LONGEST = 500  # characters kept of a row


@dataclass(frozen=True)
class BadRow:
    """One row that was set aside.

    Args:
        file: name of the file or source.
        number: its line, record or row, counted from 1.
        reason: why, without the place: "3 cells, the header names 4".
        raw: its text, cut after 500 characters.
        column: the column that is to blame, "" when the whole row is.
    """

    file: str
    number: int
    reason: str
    raw: str
    column: str = ""


@dataclass
class Quarantine:
    """The bad rows of a source.

    Args:
        unit: what the numbers count: "line", "record" or "row".
    """

    unit: str = "row"
    rows: list[BadRow] = field(default_factory=list)
    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, row: BadRow, kind: str, lines: int = 1) -> None:
        """Set a row aside.

        Args:
            kind: the reason without its particulars, for counting: "cells", "number", "JSON".
            lines: how many lines of the file it spans: an open quote swallows what were rows.
        """
        self.count += lines
        self.kinds[kind] += lines
        if len(self.rows) < KEPT:
            raw = row.raw if len(row.raw) <= LONGEST else row.raw[:LONGEST] + "..."
            self.rows.append(BadRow(row.file, row.number, row.reason, raw, row.column))

    def check(self, good: int, most: float, where: str) -> None:
        """Refuse a source of which too large a share is bad.

        Raises:
            DataError: with the first bad row.
        """
        if not self.count or self.count <= most * (good + self.count):
            return
        first = self.rows[0]
        place = f"{self.unit} {first.number}" + (f" of {first.file}" if first.file != where else "")
        raise DataError(
            f"{self.count} of {good + self.count} rows cannot be read; the first, {place}: {first.reason}.",
            where=f"{where}, {place}",
            mend=f"mend these rows, or allow more of them: data.read.bad_rows (now {most:g})",
        )

    def notes(self, good: int) -> list[str]:
        """One sentence with the count and the first places; none when nothing was set aside."""
        if not self.count:
            return []
        shown = "; ".join(f"{self.unit} {row.number}: {row.reason}" for row in self.rows[:SHOWN])
        more = "; ..." if len(self.rows) > SHOWN else ""
        return [f"{self.count} of {good + self.count} rows were set aside (quarantine): {shown}{more}"]

    def to_json(self, good: int) -> dict[str, Any]:
        """Counts for the evidence."""
        return {
            "rows": self.count,
            "of": good + self.count,
            "unit": self.unit,
            "kinds": dict(sorted(self.kinds.items())),
            "first": [vars(row) for row in self.rows[:SHOWN]],
        }

    def lines(self) -> str:
        """JSON Lines, one object a bad row: what the quarantine's file holds."""
        return "".join(
            json.dumps({self.unit: row.number, **{k: v for k, v in vars(row).items() if k != "number"}}) + "\n"
            for row in self.rows
        )

    def write(self, path: Path) -> None:
        """Write the file whole, or remove an older one when nothing was set aside."""
        if not self.count:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(self.lines(), encoding="utf-8")
        temporary.replace(path)
