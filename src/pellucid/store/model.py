"""The tables: programs, revisions, events, feedback, review sets. One declarative model for SQLite and Postgres.

Every row carries a seal, the SHA-256 of its own columns, checked whenever the row is loaded: SQLite itself does
not notice a flipped bit in a value. Events also carry the seal of the event before them, and the program's row
the seal of the last one, so that the history cannot lose or gain an entry unseen.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import ForeignKey, Text, UniqueConstraint, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pellucid.core.errors import CorruptBlob

SCHEMA_VERSION = 1


class Base(DeclarativeBase):
    """Root of the model."""


class Meta(Base):
    """Facts about the store itself: `schema` is the version of these tables. Never changes its own shape."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Sealed(Base):
    """A row with a seal. Keys are given by hand (`database.next_id`), so that the seal covers them too."""

    __abstract__ = True

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seal: Mapped[str] = mapped_column(Text)


class ProgramRow(Sealed):
    """A named program: its head and the end of its history."""

    __tablename__ = "program"

    name: Mapped[str] = mapped_column(Text, unique=True)
    head: Mapped[int | None]  # number of the version
    events: Mapped[int]  # length of the history
    tip: Mapped[str] = mapped_column(Text)  # seal of its last event
    looks: Mapped[int]  # events of kind "looked"
    trials: Mapped[int]  # events of kind "trial"


class RevisionRow(Sealed):
    """A candidate; a version once it bears a number."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("program_id", "number"), UniqueConstraint("program_id", "label", "turn"))

    program_id: Mapped[int] = mapped_column(ForeignKey("program.id"), index=True)
    sha: Mapped[str] = mapped_column(Text)  # of the manifest
    label: Mapped[str] = mapped_column(Text)  # shortest prefix of sha that was unique when it was proposed
    turn: Mapped[int]  # 0, or how often the same manifest was proposed before
    number: Mapped[int | None]
    state: Mapped[str] = mapped_column(Text)  # proposed, accepted, rejected
    parent: Mapped[str | None] = mapped_column(Text)  # sha of the parent's manifest
    kind: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(Text)
    because: Mapped[str] = mapped_column(Text)
    claim: Mapped[str] = mapped_column(Text)  # JSON
    blobs: Mapped[str] = mapped_column(Text)  # JSON list: every blob that the manifest needs
    diff: Mapped[str | None] = mapped_column(Text)  # sha of the diff under review
    created: Mapped[str] = mapped_column(Text)  # UTC, ISO 8601


class EventRow(Sealed):
    """One entry of a program's history."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("program_id", "n"),)

    program_id: Mapped[int] = mapped_column(ForeignKey("program.id"), index=True)
    n: Mapped[int]  # 1, 2, 3 ... within the program
    kind: Mapped[str] = mapped_column(Text)
    about: Mapped[str] = mapped_column(Text)  # a version or candidate, or empty
    who: Mapped[str] = mapped_column(Text)
    when: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    evidence: Mapped[str] = mapped_column(Text)  # JSON list of blobs
    info: Mapped[str] = mapped_column(Text)  # JSON
    before: Mapped[str] = mapped_column(Text)  # seal of the event n - 1


class FeedbackRow(Sealed):
    """What a person said about a version."""

    __tablename__ = "feedback"

    program_id: Mapped[int] = mapped_column(ForeignKey("program.id"), index=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"))
    kind: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Text)  # JSON
    author: Mapped[str] = mapped_column(Text)
    because: Mapped[str] = mapped_column(Text)
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("feedback.id"), unique=True)
    created: Mapped[str] = mapped_column(Text)


class FeedbackUseRow(Sealed):
    """A revision was trained on a piece of feedback."""

    __tablename__ = "feedback_use"
    __table_args__ = (UniqueConstraint("feedback_id", "revision_id"),)

    feedback_id: Mapped[int] = mapped_column(ForeignKey("feedback.id"), index=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"), index=True)


class ReviewSetRow(Sealed):
    """The frozen review set of a program: the keys are a blob."""

    __tablename__ = "review_set"

    program_id: Mapped[int] = mapped_column(ForeignKey("program.id"), unique=True)
    sha: Mapped[str] = mapped_column(Text)
    info: Mapped[str] = mapped_column(Text)  # JSON
    created: Mapped[str] = mapped_column(Text)


APPEND_ONLY = ("event", "feedback", "feedback_use", "review_set")


def append_only_triggers() -> list[str]:
    """SQLite statements that refuse UPDATE and DELETE on history.

    On Postgres: `REVOKE UPDATE, DELETE ON event, ... FROM <role>`, or one plpgsql trigger function that raises,
    attached BEFORE UPDATE OR DELETE to each of these tables.
    """
    return [
        f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table in APPEND_ONLY
        for action in ("UPDATE", "DELETE")
    ]


def seal_of(row: Sealed) -> str:
    """SHA-256 of a row's columns, the seal left out."""
    values = {column.key: getattr(row, column.key) for column in row.__mapper__.column_attrs if column.key != "seal"}
    text = json.dumps([row.__tablename__, values], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


@event.listens_for(Sealed, "before_insert", propagate=True)
@event.listens_for(Sealed, "before_update", propagate=True)
def _put_seal(_mapper: Any, _connection: Any, row: Sealed) -> None:
    row.seal = seal_of(row)


@event.listens_for(Sealed, "load", propagate=True)
def _check_seal(row: Sealed, _context: Any) -> None:
    if row.seal != seal_of(row):
        raise CorruptBlob(
            f"row {row.id} of table '{row.__tablename__}' is damaged: its values are not those that were saved.",
            mend="restore the database from a copy; the blobs are not affected",
        )
