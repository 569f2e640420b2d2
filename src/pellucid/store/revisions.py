"""Candidates and versions: propose, accept, reject, roll back, resolve. Each function runs inside one transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from pellucid.core.errors import ReviewError, StaleRevision, UnknownVersion, nearest
from pellucid.store.database import next_id
from pellucid.store.history import append, find_program, known_program, own_program
from pellucid.store.model import ProgramRow, RevisionRow
from pellucid.store.records import Entry, Ref, State, default_author, now, parse_ref, reason

SHORTEST = 4


@dataclass(frozen=True)
class Proposal:
    """What `propose` writes down; the manifest and its blobs are stored already."""

    sha: str
    parent: str | None
    kind: str
    author: str | None
    because: str
    claim: str
    blobs: str


def ref_of(program: ProgramRow, row: RevisionRow) -> str:
    """ "stocks@2" or "stocks~3f2a"."""
    return f"{program.name}~{row.label}" if row.number is None else f"{program.name}@{row.number}"


def blobs_of(row: RevisionRow) -> list[str]:
    """Every blob that the revision's manifest needs."""
    return [str(sha) for sha in json.loads(row.blobs)]


def propose(session: Session, name: str, proposal: Proposal) -> str:
    """Insert a candidate; proposing the same manifest again replaces the earlier, undecided proposal."""
    program = own_program(session, name)
    parent = _parent_sha(session, program, proposal.parent)
    same = _of_sha(session, program, proposal.sha)
    turn = len(same)
    if same:
        last = same[-1]
        if any(row.state == "accepted" for row in same):
            kept = next(row for row in same if row.state == "accepted")
            raise ReviewError(
                f"nothing changed: this is {ref_of(program, kept)}, to the last byte.",
                where=program.name,
                mend=f"to make it the head again: pellucid rollback {program.name} --to {kept.number} --because WHY",
            )
        if last.state == "proposed" and (last.parent, last.kind, last.claim) == (parent, proposal.kind, proposal.claim):
            return ref_of(program, last)
        if last.state == "proposed":
            last.state = "rejected"
            why = "proposed again with another parent or claim"
            append(session, program, "rejected", about=ref_of(program, last), who=proposal.author, why=why)
    author = proposal.author or default_author()
    row = RevisionRow(
        id=next_id(session, RevisionRow),
        program_id=program.id,
        sha=proposal.sha,
        label=same[-1].label if same else _label(session, program, proposal.sha),
        turn=turn,
        number=None,
        state="proposed",
        parent=parent,
        kind=proposal.kind,
        author=author,
        because=proposal.because,
        claim=proposal.claim,
        blobs=proposal.blobs,
        diff=None,
        created=now(),
        seal="",
    )
    session.add(row)
    session.flush()
    ref = ref_of(program, row)
    append(session, program, "proposed", about=ref, who=author, why=proposal.because, evidence=[proposal.sha])
    return ref


def record_diff(session: Session, candidate: str, sha: str, who: str | None) -> None:
    """Note which behaviour diff is under review; a later one takes its place."""
    program, row = _undecided(session, candidate, "diffed")
    row.diff = sha
    append(session, program, "diffed", about=ref_of(program, row), who=who, evidence=[sha])


def accept(session: Session, candidate: str, reviewer: str | None, because: str, diff: str | None) -> str:
    """Give the candidate the next number and make it the head."""
    program, row = _undecided(session, candidate, "accepted")
    label = ref_of(program, row)
    head = _head_row(session, program)
    if row.parent != (head.sha if head else None):
        was = _ref_of_sha(session, program, row.parent) or "no version"
        current = ref_of(program, head) if head else "empty"
        raise StaleRevision(
            f"stale: review again. {label} changes {was}, but the head is {current}.",
            where=label,
            mend="revise the head anew, or roll back to the parent, then review that",
        )
    if row.diff != diff:
        raise StaleRevision(
            f"stale: review again. The diff on record is {_short(row.diff)}, the one reviewed is {_short(diff)}.",
            where=label,
            mend=f"`pellucid diff {ref_of(program, head) if head else program.name} {label}`, then accept that one",
        )
    row.number = max((other.number or 0 for other in rows(session, program)), default=0) + 1
    row.state = "accepted"
    program.head = row.number
    session.flush()
    ref = ref_of(program, row)
    why = reason(because, "accepting")
    evidence = [row.sha, *([diff] if diff else [])]
    append(session, program, "accepted", about=ref, who=reviewer, why=why, evidence=evidence, info={"candidate": label})
    return ref


def reject(session: Session, candidate: str, reviewer: str | None, because: str) -> None:
    """Decide against a candidate; its record stays and it uses no number."""
    program, row = _undecided(session, candidate, "rejected")
    row.state = "rejected"
    evidence = [row.sha, *([row.diff] if row.diff else [])]
    why = reason(because, "rejecting")
    append(session, program, "rejected", about=ref_of(program, row), who=reviewer, why=why, evidence=evidence)


def rollback(session: Session, name: str, to: int, reviewer: str | None, because: str) -> str:
    """Move the head to an earlier (or later) accepted version."""
    program = known_program(session, name)
    row = find(session, program, Ref(program.name, to, None))
    before = program.head
    program.head = row.number
    ref = ref_of(program, row)
    why, info = reason(because, "rolling back"), {"from": before}
    append(session, program, "rolled back", about=ref, who=reviewer, why=why, evidence=[row.sha], info=info)
    return ref


def locate(session: Session, ref: str) -> tuple[ProgramRow, RevisionRow]:
    """The program and revision that a reference names. Raises UnknownVersion."""
    parsed = parse_ref(ref)
    program = known_program(session, parsed.name)
    return program, find(session, program, parsed)


def find(session: Session, program: ProgramRow, ref: Ref) -> RevisionRow:
    """The revision of a program that a reference names. Raises UnknownVersion."""
    if ref.prefix is not None:
        return _by_prefix(session, program, ref.prefix)
    number = ref.number if ref.number is not None else program.head
    mine = select(RevisionRow).where(RevisionRow.program_id == program.id)
    row = session.scalar(mine.where(RevisionRow.number == number)) if number is not None else None
    if row is None:
        what = (
            f"no version {program.name}@{number}" if number is not None else f"'{program.name}' has no accepted version"
        )
        raise _unknown(session, program, what, "" if number is None else f"{program.name}@{number}")
    return row


def rows(session: Session, program: ProgramRow) -> list[RevisionRow]:
    """All revisions of a program, in the order of their proposal.

    Callers filter in Python: a WHERE on a damaged value would pass over the row, loading it checks its seal.
    """
    query = select(RevisionRow).where(RevisionRow.program_id == program.id)
    return list(session.scalars(query.order_by(RevisionRow.id)))


def head_row(session: Session, name: str) -> tuple[ProgramRow, RevisionRow] | None:
    """The head of a program, None when it has none."""
    program = find_program(session, name)
    row = _head_row(session, program) if program else None
    return None if program is None or row is None else (program, row)


def entry(session: Session, program: ProgramRow, row: RevisionRow, manifest: dict[str, Any]) -> Entry:
    """The record for callers; everything but the manifest comes from the row."""
    return Entry(
        name=program.name,
        ref=ref_of(program, row),
        manifest=manifest,
        sha=row.sha,
        number=row.number,
        state=cast(State, row.state),
        parent=_ref_of_sha(session, program, row.parent),
        kind=row.kind,
        author=row.author,
        because=row.because,
        claim=json.loads(row.claim),
        created=row.created,
        diff=row.diff,
    )


def _head_row(session: Session, program: ProgramRow) -> RevisionRow | None:
    return None if program.head is None else find(session, program, Ref(program.name, program.head, None))


def _undecided(session: Session, candidate: str, action: str) -> tuple[ProgramRow, RevisionRow]:
    program, row = locate(session, candidate)
    if row.state != "proposed":
        decided = f"accepted as {ref_of(program, row)}" if row.state == "accepted" else "rejected"
        raise ReviewError(
            f"{program.name}~{row.label} cannot be {action}: it was {decided} already.",
            where=candidate,
            mend="propose a new candidate with `pellucid revise`",
        )
    return program, row


def _parent_sha(session: Session, program: ProgramRow, parent: str | None) -> str | None:
    if parent is None:
        return None
    ref = parse_ref(parent)
    row = find(session, program, ref) if ref.name == program.name else None
    if row is None or row.number is None:
        raise ReviewError(
            f"'{parent}' cannot be the parent of a change of '{program.name}'.",
            where=program.name,
            mend="an accepted version of it, or None for a first one; other sources go into the manifest",
        )
    return row.sha


def _of_sha(session: Session, program: ProgramRow, sha: str) -> list[RevisionRow]:
    return [row for row in rows(session, program) if row.sha == sha]


def _ref_of_sha(session: Session, program: ProgramRow, sha: str | None) -> str | None:
    same = _of_sha(session, program, sha) if sha else []
    return next((ref_of(program, row) for row in same if row.number is not None), None)


def _label(session: Session, program: ProgramRow, sha: str) -> str:
    others = [row.sha for row in rows(session, program)]
    length = SHORTEST
    while any(other.startswith(sha[:length]) for other in others):
        length += 1
    return sha[:length]


def _by_prefix(session: Session, program: ProgramRow, prefix: str) -> RevisionRow:
    matching = [row for row in rows(session, program) if row.sha.startswith(prefix)]
    # A label that was printed keeps its meaning, although a later candidate may begin with the same digits.
    exact = [row for row in matching if row.label == prefix]
    chosen = exact or matching
    if not chosen:
        raise _unknown(session, program, f"no revision {program.name}~{prefix}", f"{program.name}~{prefix}")
    if len({row.sha for row in chosen}) > 1:
        labels = ", ".join(dict.fromkeys(f"{program.name}~{row.label}" for row in chosen))
        raise UnknownVersion(
            f"{program.name}~{prefix} is ambiguous: {labels}.",
            where=f"{program.name}~{prefix}",
            mend="write more digits",
        )
    return chosen[-1]


NOTHING = "fit it: tries that were broken off are counted and keep nothing that could be shown"


def _unknown(session: Session, program: ProgramRow, what: str, asked: str) -> UnknownVersion:
    known = [ref_of(program, row) for row in rows(session, program)[-12:]]
    return UnknownVersion(
        f"{what}; there is {', '.join(known) or 'nothing yet'}.",
        where=asked or program.name,
        mend=nearest(asked, known) or (f"`pellucid log {program.name}` lists them" if known else NOTHING),
    )


def _short(sha: str | None) -> str:
    return sha[:12] if sha else "none"
