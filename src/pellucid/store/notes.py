"""What people said and what was looked at: feedback and the frozen review set. Inside one transaction each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pellucid.core.errors import ReviewError, UnknownVersion
from pellucid.store.database import next_id
from pellucid.store.history import append, find_program, known_program, own_program
from pellucid.store.model import FeedbackRow, FeedbackUseRow, ProgramRow, ReviewSetRow, RevisionRow
from pellucid.store.records import FeedbackRecord, default_author, now, reason
from pellucid.store.revisions import locate, ref_of, rows

IN_LIMIT = 500  # some databases refuse long lists of parameters


def add_feedback(
    session: Session,
    version: str,
    kind: str,
    payload: str,
    *,
    author: str | None,
    because: str,
    supersedes: int | None,
) -> int:
    """Append a piece of feedback; a correction of an earlier one names it."""
    program, revision = locate(session, version)
    if supersedes is not None:
        _check_superseded(session, program, supersedes)
    row = FeedbackRow(
        id=next_id(session, FeedbackRow),
        program_id=program.id,
        revision_id=revision.id,
        kind=kind,
        payload=payload,
        author=author or default_author(),
        because=reason(because, "feedback"),
        supersedes=supersedes,
        created=now(),
        seal="",
    )
    session.add(row)
    session.flush()
    info = {"id": row.id, "kind": kind, "supersedes": supersedes}
    about = ref_of(program, revision)
    append(session, program, "feedback", about=about, who=row.author, why=row.because, info=info)
    return row.id


def use_feedback(session: Session, ids: Sequence[int], candidate: str) -> None:
    """Record that a revision was trained on these pieces of feedback; repeating it changes nothing."""
    program, revision = locate(session, candidate)
    wanted = sorted({int(i) for i in ids})
    for some in _portions(wanted):
        mine = select(FeedbackRow.id).where(FeedbackRow.program_id == program.id, FeedbackRow.id.in_(some))
        missing = sorted(set(some) - set(session.scalars(mine)))
        if missing:
            raise _no_feedback(program.name, missing)
    query = select(FeedbackUseRow.feedback_id).where(FeedbackUseRow.revision_id == revision.id)
    fresh = sorted(set(wanted) - set(session.scalars(query)))
    first = next_id(session, FeedbackUseRow)
    for offset, feedback_id in enumerate(fresh):
        session.add(FeedbackUseRow(id=first + offset, feedback_id=feedback_id, revision_id=revision.id, seal=""))
    if fresh:
        session.flush()
        append(session, program, "feedback used", about=ref_of(program, revision), info={"ids": fresh})


def feedback(session: Session, name: str) -> list[FeedbackRecord]:
    """All feedback on a program, oldest first."""
    program = known_program(session, name)
    given = session.scalars(
        select(FeedbackRow).where(FeedbackRow.program_id == program.id).order_by(FeedbackRow.id)
    ).all()
    revisions = {row.id: row for row in rows(session, program)}
    uses: dict[int, list[RevisionRow]] = {}
    join = select(FeedbackUseRow).join(FeedbackRow, FeedbackRow.id == FeedbackUseRow.feedback_id)
    for use in session.scalars(join.where(FeedbackRow.program_id == program.id).order_by(FeedbackUseRow.id)):
        uses.setdefault(use.feedback_id, []).append(revisions[use.revision_id])
    superseded = {row.supersedes: row.id for row in given if row.supersedes is not None}
    return [
        FeedbackRecord(
            id=row.id,
            name=program.name,
            version=ref_of(program, revisions[row.revision_id]),
            kind=row.kind,
            payload=json.loads(row.payload),
            author=row.author,
            because=row.because,
            created=row.created,
            supersedes=row.supersedes,
            superseded_by=superseded.get(row.id),
            used_by=tuple(ref_of(program, use) for use in uses.get(row.id, [])),
            open=row.id not in superseded and not any(use.number is not None for use in uses.get(row.id, [])),
        )
        for row in given
    ]


def review_set(session: Session, name: str) -> ReviewSetRow | None:
    """The frozen review set of a program, None when it has none."""
    program = find_program(session, name)
    query = select(ReviewSetRow).where(ReviewSetRow.program_id == program.id) if program else None
    return None if query is None else session.scalar(query)


def freeze_review(session: Session, name: str, sha: str, info: str, size: int) -> None:
    """Freeze the review set, once; the same keys again change nothing."""
    program = own_program(session, name)
    row = review_set(session, name)
    if row is not None and row.sha != sha:
        raise ReviewError(
            f"the review set of '{program.name}' is frozen; these {size} keys are others.",
            where=program.name,
            mend="compare on the frozen keys (store.review_keys), or fit under another name",
        )
    if row is None:
        new = ReviewSetRow(
            id=next_id(session, ReviewSetRow), program_id=program.id, sha=sha, info=info, created=now(), seal=""
        )
        session.add(new)
        session.flush()
        append(session, program, "review frozen", evidence=[sha], info={"n": size})


def _check_superseded(session: Session, program: ProgramRow, feedback_id: int) -> None:
    earlier = session.get(FeedbackRow, feedback_id)
    if earlier is None or earlier.program_id != program.id:
        raise _no_feedback(program.name, [feedback_id])
    later = session.scalar(select(FeedbackRow.id).where(FeedbackRow.supersedes == feedback_id))
    if later is not None:
        raise ReviewError(
            f"feedback {feedback_id} was superseded by {later} already.",
            where=f"feedback {feedback_id}",
            mend=f"supersede {later} instead",
        )


def _no_feedback(name: str, ids: list[int]) -> UnknownVersion:
    listed = ", ".join(map(str, ids[:5])) + (" ..." if len(ids) > 5 else "")
    return UnknownVersion(
        f"no feedback {listed} on '{name}'.", where=name, mend=f"`pellucid feedback list {name}` shows the numbers"
    )


def _portions(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), IN_LIMIT):
        yield ids[start : start + IN_LIMIT]
