"""Store: versions, candidates, feedback, reviews and blobs of a folder, behind one class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pellucid.core.errors import DataError, StoreError
from pellucid.store import history, notes, revisions
from pellucid.store.blobs import Blobs
from pellucid.store.canonical import encode_json
from pellucid.store.database import Database
from pellucid.store.model import ProgramRow, RevisionRow
from pellucid.store.records import Entry, Event, FeedbackRecord, program_name

if TYPE_CHECKING:
    from pellucid.store.check import Report


class Store:
    """The `.pellucid` folder beside the user's work. Many processes may use one at the same time.

    Args:
        root: the folder.
        create: make it when it is missing.
    Raises:
        StoreError: it is missing, of a newer schema, or cannot be opened.
        CorruptBlob: its database is damaged.
    """

    def __init__(self, root: Path | str = ".pellucid", *, create: bool = True) -> None:
        self.root = Path(root)
        self.database = Database(self.root / "store.db", create=create)
        self.blobs = Blobs(self.root / "blobs")

    # -- revisions -----------------------------------------------------------------------------------------------

    def propose(
        self,
        name: str,
        manifest: dict[str, Any],
        *,
        parent: str | None,
        kind: str,
        author: str | None = None,
        because: str,
        claim: dict[str, Any],
    ) -> str:
        """Record a candidate.

        Args:
            name: the program.
            manifest: JSON; hashes of stored blobs in it are kept and checked with it. Every blob named under the
                top-level key "blobs" ({anything: sha}) must be stored already.
            parent: the version that it changes ("stocks@1"), None for a first version.
            kind: fit, correction, transfer ...
            author: default `$PELLUCID_USER` or the login name.
            because: why.
            claim: what it is meant to change and keep, and at what cost.
        Returns:
            Its reference, "stocks~3f2a". The same proposal twice gives the same reference.
        Raises:
            ReviewError: a version consists of these very bytes, or `parent` is no version of this program.
        """
        self._check_named_blobs(manifest)
        sha = self.blobs.put_json(manifest)
        needed = self.blobs.references(self.blobs.get_json(sha))
        text, listed = encode_json(claim).decode(), encode_json(needed).decode()
        proposal = revisions.Proposal(sha, parent, kind, author, because, text, listed)
        with self.database.write() as session:
            return revisions.propose(session, name, proposal)

    def record_diff(self, candidate: str, sha: str, *, who: str | None = None) -> None:
        """Note the behaviour diff (a blob) under review; `accept` must then be given the same."""
        self.blobs.get_bytes(sha)
        with self.database.write() as session:
            revisions.record_diff(session, candidate, sha, who)

    def accept(self, candidate: str, *, reviewer: str | None = None, because: str, diff: str | None = None) -> str:
        """Make a candidate the next version and the head, in one transaction.

        Args:
            candidate: "stocks~3f2a".
            reviewer: default `$PELLUCID_USER` or the login name.
            because: why; not blank.
            diff: SHA-256 of the diff that was reviewed: the recorded one, None only when none was recorded.
        Returns:
            "stocks@2".
        Raises:
            StaleRevision: the head is not the candidate's parent any more, or another diff was reviewed.
            ReviewError: it was accepted or rejected already.
            CorruptBlob: a blob that it needs is damaged; such a candidate must not become a version.
        """
        with self.database.read() as session:
            _, row = revisions.locate(session, candidate)
            needed = self._needs(row)
        for sha in needed:
            self.blobs.get_bytes(sha)
        with self.database.write() as session:
            return revisions.accept(session, candidate, reviewer, because, diff)

    def reject(self, candidate: str, *, reviewer: str | None = None, because: str) -> None:
        """Decide against a candidate; the record stays, no number is used."""
        with self.database.write() as session:
            revisions.reject(session, candidate, reviewer, because)

    def rollback(self, name: str, to: int, *, reviewer: str | None = None, because: str) -> str:
        """Move the head to version `to`; deletes nothing, and the next version still gets a new number."""
        with self.database.write() as session:
            return revisions.rollback(session, name, to, reviewer, because)

    def resolve(self, ref: str) -> Entry:
        """The entry of "stocks" (the head), "stocks@2" or "stocks~3f2a" (any unambiguous prefix).

        Raises:
            UnknownVersion: there is none, with the nearest name and what there is.
            CorruptBlob: its manifest is damaged.
        """
        with self.database.read() as session:
            program, row = revisions.locate(session, ref)
            return self._entry(session, program, row)

    def head(self, name: str) -> Entry | None:
        """The head of a program, None when it has no version yet."""
        with self.database.read() as session:
            found = revisions.head_row(session, name)
            return self._entry(session, *found) if found else None

    def names(self) -> list[str]:
        """All programs, sorted."""
        with self.database.read() as session:
            return sorted(row.name for row in session.scalars(select(ProgramRow)))

    def versions(self, name: str) -> list[Entry]:
        """The accepted versions of a program, by number."""
        with self.database.read() as session:
            program = history.known_program(session, name)
            found = [row for row in revisions.rows(session, program) if row.number is not None]
            return [self._entry(session, program, row) for row in sorted(found, key=lambda row: row.number or 0)]

    def candidates(self, name: str, *, rejected: bool = False) -> list[Entry]:
        """The undecided candidates of a program, and on request the rejected ones, oldest first."""
        with self.database.read() as session:
            program = history.known_program(session, name)
            states = ("proposed", "rejected") if rejected else ("proposed",)
            found = [row for row in revisions.rows(session, program) if row.state in states]
            return [self._entry(session, program, row) for row in found]

    # -- history -------------------------------------------------------------------------------------------------

    def log(self, name: str, *, trials: bool = False) -> list[Event]:
        """The append-only history of a program, oldest first; trials only on request, they are many."""
        with self.database.read() as session:
            found = history.events(session, history.known_program(session, name))
            return [event for event in found if trials or event.kind != "trial"]

    def add_trial(self, name: str, kind: str, info: dict[str, Any] | None = None) -> int:
        """Count one more try (a fit, a search's trial, a correction); returns how many there were."""
        with self.database.write() as session:
            program = history.own_program(session, name)
            history.append(session, program, "trial", why=kind, info=info)
            return program.trials

    def trials(self, name: str) -> int:
        """How many tries there were, over all fits, searches and corrections."""
        with self.database.read() as session:
            program = history.find_program(session, name)
            return program.trials if program else 0

    # -- the review set ------------------------------------------------------------------------------------------

    def freeze_review(self, name: str, keys: Sequence[str], info: dict[str, Any]) -> str:
        """Freeze the keys that no fit, search or correction of this program may train on.

        Args:
            name: the program.
            keys: identities of rows, without repetition; their order does not count.
            info: where they come from; JSON.
        Returns:
            SHA-256 of the sorted keys.
        Raises:
            ReviewError: other keys were frozen before.
        """
        plain = sorted(str(key) for key in keys)
        if not plain or len(set(plain)) < len(plain):
            what = "the review set has repeated keys" if plain else "the review set has no keys"
            raise DataError(f"{what}.", where=name, mend="give every row of it a key of its own")
        text = encode_json(info).decode()
        sha = self.blobs.put_json(plain)
        with self.database.write() as session:
            notes.freeze_review(session, name, sha, text, len(plain))
        return sha

    def review_keys(self, name: str) -> tuple[str, ...] | None:
        """The frozen keys, sorted; None when no review set was frozen."""
        with self.database.read() as session:
            row = notes.review_set(session, name)
        return None if row is None else tuple(self.blobs.get_json(row.sha))

    def look(self, name: str, purpose: str, *, who: str | None = None) -> int:
        """Count one more look at the review set; returns how many there were. Raises UnknownVersion."""
        with self.database.write() as session:
            program = history.known_program(session, name)  # a misspelt name must not found a program
            history.append(session, program, "looked", who=who, why=purpose)
            return program.looks

    def looks(self, name: str) -> int:
        """How often the review set was looked at."""
        with self.database.read() as session:
            program = history.find_program(session, name)
            return program.looks if program else 0

    # -- feedback ------------------------------------------------------------------------------------------------

    def add_feedback(
        self,
        name: str,
        version_ref: str,
        kind: str,
        payload: dict[str, Any],
        author: str | None = None,
        because: str = "",
        supersedes: int | None = None,
    ) -> int:
        """Append what a person said about a version; returns its number.

        Args:
            name: the program, to which `version_ref` must belong.
            version_ref: "stocks@1", or a candidate.
            kind: name in `pellucid.feedback.ALL`.
            payload: JSON.
            author: default `$PELLUCID_USER` or the login name.
            because: why; not blank.
            supersedes: number of the feedback that this one corrects.
        """
        text = encode_json(payload).decode()
        with self.database.write() as session:
            program, _ = revisions.locate(session, version_ref)
            if program.name != program_name(name):
                raise DataError(
                    f"'{version_ref}' is no version of '{name}'.", where="feedback", mend=f"name {program.name}"
                )
            return notes.add_feedback(
                session, version_ref, kind, text, author=author, because=because, supersedes=supersedes
            )

    def feedback(self, name: str, *, open_only: bool = False) -> list[FeedbackRecord]:
        """The feedback on a program, oldest first; open: not superseded, and used by no accepted version."""
        with self.database.read() as session:
            return [record for record in notes.feedback(session, name) if record.open or not open_only]

    def use_feedback(self, ids: Sequence[int], candidate: str) -> None:
        """Record that a revision was trained on these pieces of feedback."""
        with self.database.write() as session:
            notes.use_feedback(session, ids, candidate)

    # -- health --------------------------------------------------------------------------------------------------

    def verify(self) -> Report:
        """Check the database, every history and every blob that is still needed; lists what is wrong."""
        from pellucid.store.check import verify

        return verify(self)

    def _entry(self, session: Session, program: ProgramRow, row: RevisionRow) -> Entry:
        return revisions.entry(session, program, row, self.blobs.get_json(row.sha))

    def _needs(self, row: RevisionRow) -> list[str]:
        return [row.sha, *revisions.blobs_of(row), *([row.diff] if row.diff else [])]

    def _check_named_blobs(self, manifest: dict[str, Any]) -> None:
        named = manifest.get("blobs", {})
        for label, sha in named.items() if isinstance(named, dict) else ():
            if isinstance(sha, str) and sha not in self.blobs:
                raise StoreError(
                    f"the manifest names the blob '{label}', which is not stored.",
                    where=str(self.blobs.path(sha)),
                    mend="put the blob first, then propose",
                )
