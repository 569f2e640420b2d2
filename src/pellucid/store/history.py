"""The append-only history of a program: a chain of events, each sealed over the one before it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pellucid.core.errors import CorruptBlob, UnknownVersion, nearest
from pellucid.store.canonical import encode_json
from pellucid.store.database import next_id
from pellucid.store.model import EventRow, ProgramRow
from pellucid.store.records import Event, default_author, now, program_name

START = "0" * 64


def find_program(session: Session, name: str) -> ProgramRow | None:
    """The program's row, locked until the transaction ends (SQLite locks the whole file anyway)."""
    return session.scalar(select(ProgramRow).where(ProgramRow.name == program_name(name)).with_for_update())


def known_program(session: Session, name: str) -> ProgramRow:
    """The program's row. Raises UnknownVersion with the nearest name."""
    row = find_program(session, name)
    if row is None:
        names = sorted(row.name for row in session.scalars(select(ProgramRow)))
        raise UnknownVersion(
            f"no program '{name}'; the store holds {', '.join(names) or 'none'}.",
            where=name,
            mend=nearest(program_name(name), names) or "`pellucid log` lists the programs",
        )
    return row


def own_program(session: Session, name: str) -> ProgramRow:
    """The program's row, made when there is none."""
    row = find_program(session, name)
    if row is None:
        row = ProgramRow(
            id=next_id(session, ProgramRow),
            name=program_name(name),
            head=None,
            events=0,
            tip=START,
            looks=0,
            trials=0,
            seal="",
        )
        session.add(row)
        session.flush()
    return row


def append(
    session: Session,
    program: ProgramRow,
    kind: str,
    *,
    about: str = "",
    who: str | None = None,
    why: str = "",
    evidence: Sequence[str] = (),
    info: dict[str, Any] | None = None,
) -> None:
    """Add an event to the end of the chain."""
    row = EventRow(
        id=next_id(session, EventRow),
        program_id=program.id,
        n=program.events + 1,
        kind=kind,
        about=about,
        who=who or default_author(),
        when=now(),
        why=why,
        evidence=json.dumps(list(evidence)),
        info=encode_json(info or {}).decode(),
        before=program.tip,
        seal="",
    )
    session.add(row)
    session.flush()
    program.events, program.tip = row.n, row.seal
    program.looks += kind == "looked"
    program.trials += kind == "trial"
    session.flush()


def events(session: Session, program: ProgramRow) -> list[Event]:
    """The whole history, oldest first. Raises CorruptBlob when the chain is broken."""
    rows = session.scalars(select(EventRow).where(EventRow.program_id == program.id).order_by(EventRow.n)).all()
    before = START
    for n, row in enumerate(rows, start=1):
        if row.n != n or row.before != before:
            raise _broken(program.name, n)
        before = row.seal
    kinds = [row.kind for row in rows]
    found = (len(rows), before, kinds.count("looked"), kinds.count("trial"))
    if found != (program.events, program.tip, program.looks, program.trials):
        raise _broken(program.name, len(rows))
    return [
        Event(r.n, r.kind, r.about, r.who, r.when, r.why, tuple(json.loads(r.evidence)), json.loads(r.info))
        for r in rows
    ]


def _broken(name: str, n: int) -> CorruptBlob:
    return CorruptBlob(
        f"the history of '{name}' is damaged at entry {n}: an entry was lost, added or changed.",
        mend="restore the database from a copy; the blobs are not affected",
    )
