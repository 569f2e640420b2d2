"""`verify`: a check of everything that the store needs, as `git fsck` does for a repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from pellucid.core.errors import StoreError
from pellucid.store import history
from pellucid.store.model import FeedbackRow, FeedbackUseRow, ProgramRow, ReviewSetRow
from pellucid.store.revisions import blobs_of, ref_of, rows

if TYPE_CHECKING:
    from pellucid.store.store import Store


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: who needs it, and the error that reading it gives."""

    needed_by: tuple[str, ...]
    error: StoreError


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Args:
        checked: blobs that were read and compared with their SHA-256.
        problems: what is wrong.
        unused: blobs that no record needs, e.g. of a proposal that was never finished.
        leftovers: temporary files of writers that were killed, or that are writing now.
    """

    checked: int
    problems: tuple[Problem, ...]
    unused: tuple[str, ...]
    leftovers: tuple[Path, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(store: Store) -> Report:
    """Check the database, every history and every needed blob. Reads only."""
    problems: list[Problem] = []
    needs: dict[str, list[str]] = {}
    try:
        store.database.check()
        needs = _needs(store)
    except StoreError as error:
        problems.append(Problem(("the whole store",), error))
    checked = 0
    for sha, users in sorted(needs.items()):
        try:
            store.blobs.get_bytes(sha)
            checked += 1
        except StoreError as error:
            problems.append(Problem(tuple(users), error))
    unused = tuple(sha for sha in store.blobs if sha not in needs)
    return Report(checked, tuple(problems), unused, tuple(store.blobs.leftovers()))


def _needs(store: Store) -> dict[str, list[str]]:
    """Blob -> the records that need it; loads every row, so that every seal is checked."""
    needs: dict[str, list[str]] = {}
    with store.database.read() as session:
        for program in session.scalars(select(ProgramRow).order_by(ProgramRow.name)).all():
            history.events(session, program)
            for row in rows(session, program):
                for sha in (row.sha, row.diff, *blobs_of(row)):
                    if sha:
                        needs.setdefault(sha, []).append(ref_of(program, row))
            frozen = session.scalar(select(ReviewSetRow).where(ReviewSetRow.program_id == program.id))
            if frozen is not None:
                needs.setdefault(frozen.sha, []).append(f"the review set of '{program.name}'")
        for table in (FeedbackRow, FeedbackUseRow):
            session.scalars(select(table)).all()
    return needs
