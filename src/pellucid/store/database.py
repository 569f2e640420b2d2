"""The SQLite file: made whole or not at all, opened with care, every fault a named error.

One short connection per transaction: when the last one closes, SQLite folds its write-ahead log into the file,
so that between commands there is one file to copy. Postgres would need another `connect` and, in `write`,
`pg_advisory_xact_lock` where SQLite has BEGIN IMMEDIATE.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, exc, func, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pellucid.core.errors import CorruptBlob, PellucidError, StoreError
from pellucid.store.files import make_folder, sync_folder, temporary_name, translated
from pellucid.store.model import SCHEMA_VERSION, Base, Meta, Sealed, append_only_triggers

BUSY_MS = 5000
_DAMAGED = ("malformed", "not a database", "decode", "corrupt", "no such table", "no such column", "disk image")


class Database:
    """Transactions on one SQLite file.

    Args:
        path: the file.
        create: make it when it is missing.
    Raises:
        StoreError: it is missing, or of a newer schema, or cannot be opened.
        CorruptBlob: it is damaged.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        if not self._exists():
            if not create:
                raise StoreError(
                    "there is no store here.",
                    where=str(path.parent),
                    mend="fit a program first, or name another folder",
                )
            _make(path)
        self.engine = _engine(path)
        self._seen: tuple[int, ...] = ()
        self._check_if_changed()

    def check(self) -> None:
        """SQLite's own check of the whole file, then the schema's version."""
        with self.translated(), self.engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
            if found != "ok":
                raise CorruptBlob(f"the database is damaged: {found}", mend="restore it from a copy")
            version = connection.execute(select(Meta.value).where(Meta.key == "schema")).scalar()
        try:
            number = int(version or "")
        except ValueError as error:
            raise self._damaged(f"its schema version is {version!r}") from error
        if number > SCHEMA_VERSION:
            raise StoreError(
                f"the store has schema {number}, this version of pellucid knows up to {SCHEMA_VERSION}.",
                where=str(self.path),
                mend="pip install --upgrade pellucid",
            )
        if number < 1:
            raise self._damaged(f"its schema version is {number}")

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database."""
        self._check_if_changed()
        with self.translated(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that waits for other writers first (BEGIN IMMEDIATE) and then commits all or nothing."""
        self._check_if_changed()
        engine = self.engine.execution_options(immediate=True)
        with self.translated(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
        self._seen = self._signature()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Name the file in errors, and let no other kind of error out of a transaction."""
        try:
            yield
        except PellucidError as error:
            if isinstance(error, CorruptBlob) and not error.where:
                error.where = str(self.path)
            raise
        except (exc.SQLAlchemyError, sqlite3.Error, UnicodeError) as error:
            raise self._problem(error) from error
        except OSError as error:
            with translated("use", self.path):
                raise error

    def _check_if_changed(self) -> None:
        """A file that somebody else changed since is checked anew; 3 ms a megabyte."""
        signature = self._signature()
        if signature != self._seen:
            self.check()
            self._seen = signature

    def _signature(self) -> tuple[int, ...]:
        with translated("read", self.path):
            found = os.stat(self.path)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _problem(self, error: Exception) -> StoreError:
        reason = str(getattr(error, "orig", None) or error)
        if any(sign in reason for sign in _DAMAGED) or isinstance(error, (UnicodeError, exc.InvalidRequestError)):
            return self._damaged(reason)
        mend = "check the disk and the rights of this user; everything saved before is intact"
        if "full" in reason:
            mend = "free some space and repeat; everything saved before is intact"
        elif "locked" in reason or "busy" in reason:
            mend = "another process has been writing for 5 seconds; wait for it and repeat"
        elif "readonly" in reason or "read-only" in reason:
            mend = "the disk or the folder is read-only for this user: make it writable to record changes"
        return StoreError(f"the database cannot be used: {reason}.", where=str(self.path), mend=mend)

    def _damaged(self, reason: str) -> CorruptBlob:
        return CorruptBlob(
            f"the database is damaged: {reason}.",
            where=str(self.path),
            mend="restore it from a copy; the blobs are not affected",
        )

    def _exists(self) -> bool:
        with translated("look for", self.path):
            return self.path.exists()


def next_id(session: Session, table: type[Sealed]) -> int:
    """The key for a new row; only under the lock of `write`."""
    return (session.scalar(select(func.max(table.id))) or 0) + 1


def _engine(path: Path) -> Engine:
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    if not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)):
        # A write-ahead log needs a writable folder even for reading. Without a log nobody is writing: read the file
        # as it is.
        log = path.with_name(path.name + "-wal")
        uri = f"file:{quote(str(path.absolute()))}?mode=ro" + ("" if log.exists() else "&immutable=1")
    # isolation_level None: we say BEGIN ourselves; the driver would say it too late.
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    try:
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    for pragma in (f"busy_timeout={BUSY_MS}", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _make(path: Path) -> None:
    """Build the database under a temporary name and link it into place: the first of several makers wins."""
    make_folder(path.parent)
    temporary = temporary_name(path)
    with translated("make the database", path):
        try:
            _build(temporary)
            _link(temporary, path)
            sync_folder(path.parent)
        except (exc.SQLAlchemyError, sqlite3.Error) as error:
            reason = getattr(error, "orig", None) or error
            raise StoreError(
                f"the database cannot be made: {reason}.",
                where=str(path),
                mend="check the disk and the rights of this user",
            ) from error
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(f"{temporary}{suffix}")


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP) or path.exists():
            raise
        os.replace(temporary, path)  # a file system without hard links


def _build(path: Path) -> None:
    def connect() -> Any:
        connection = sqlite3.connect(path, isolation_level=None)
        _set_up(connection)
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    with Session(engine) as session, session.begin():
        Base.metadata.create_all(session.connection())
        for statement in append_only_triggers():
            session.connection().exec_driver_sql(statement)
        session.add(Meta(key="schema", value=str(SCHEMA_VERSION)))
    # Only now: were the tables still in a log, which a full disk can keep from being folded in, linking would lose
    # them.
    connection = connect()
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    whole = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    connection.close()
    if mode != "wal" or whole != "ok":
        raise sqlite3.OperationalError(f"journal mode '{mode}', integrity check '{whole}'")
