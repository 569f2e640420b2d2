"""What the store gives back, and how versions are named: `stocks`, `stocks@2`, `stocks~3f2a`."""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from pellucid.core.errors import ReviewError, SpecError, UnknownVersion

State = Literal["proposed", "accepted", "rejected"]

_NAME = re.compile(r"[a-z0-9_-]+", re.IGNORECASE | re.ASCII)
_REF = re.compile(r"(?P<name>[^@~]*)(?:@(?P<number>[0-9]{1,9})|~(?P<prefix>[0-9a-f]{1,64}))?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Entry:
    """A version or a candidate.

    Args:
        name: the program.
        ref: "stocks@2" for a version, "stocks~3f2a" for a candidate or a rejected one.
        manifest: what it consists of: JSON and the SHA-256 of blobs.
        sha: SHA-256 of the manifest.
        number: of the version, None unless accepted.
        state: proposed, accepted or rejected.
        parent: the version that it changes, None for a first one.
        kind: fit, correction, transfer ...
        author: who proposed it.
        because: why.
        claim: what it is meant to change and keep, and at what cost.
        created: when it was proposed, UTC, ISO 8601.
        diff: SHA-256 of the behaviour diff under review, if one was recorded.
    """

    name: str
    ref: str
    manifest: dict[str, Any]
    sha: str
    number: int | None
    state: State
    parent: str | None
    kind: str
    author: str
    because: str
    claim: dict[str, Any]
    created: str
    diff: str | None = None


@dataclass(frozen=True)
class Event:
    """One entry of a program's history.

    Kinds: proposed, diffed, accepted, rejected, rolled back, feedback, feedback used, review frozen, looked, trial.
    """

    n: int
    kind: str
    about: str
    who: str
    when: str
    why: str
    evidence: tuple[str, ...]
    info: dict[str, Any]


@dataclass(frozen=True)
class FeedbackRecord:
    """What a person said about a version. Open until superseded, or until a revision that used it is accepted."""

    id: int
    name: str
    version: str
    kind: str
    payload: dict[str, Any]
    author: str
    because: str
    created: str
    supersedes: int | None
    superseded_by: int | None
    used_by: tuple[str, ...]
    open: bool


class Ref(NamedTuple):
    """A parsed reference; both None means the head."""

    name: str
    number: int | None
    prefix: str | None


def parse_ref(text: str) -> Ref:
    """Split "stocks", "stocks@2" or "stocks~3f2a". Raises UnknownVersion."""
    match = _REF.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or not match["name"]:
        raise UnknownVersion(
            f"{text!r} does not name a version.", where="version", mend="write stocks, stocks@2 or stocks~3f2a"
        )
    number = int(match["number"]) if match["number"] else None
    return Ref(program_name(match["name"]), number, match["prefix"].lower() if match["prefix"] else None)


def program_name(name: str) -> str:
    """The name in lower case: 'Stocks' and 'stocks' are one program, as on every file system. Raises SpecError."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        plain = re.split("[@~]", str(name))[0]  # "stocks@1" names a version; the program is "stocks"
        suggestion = re.sub(r"[^a-z0-9_-]+", "-", plain.lower()).strip("-") or "my-program"
        raise SpecError(
            f"{name!r} is not a program's name: letters, digits, '-' and '_' only.",
            where="name",
            mend=f"use '{suggestion}'",
        )
    return name.lower()


def default_author() -> str:
    """$PELLUCID_USER, else the user's login name."""
    try:
        return os.environ.get("PELLUCID_USER") or getpass.getuser()
    except (OSError, KeyError):  # no entry in the password file, as in many containers
        return "unknown"


def reason(because: str, action: str) -> str:
    """A reason that is not blank. Raises ReviewError."""
    if not because or not because.strip():
        raise ReviewError(f"{action} needs a reason.", where="because", mend="--because 'one line for the history'")
    return because.strip()


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
