"""Every error that Pellucid raises on purpose: what happened, where, and how to mend it.

    PellucidError
    ├── SpecError          (ValueError)    the spec or an option is wrong; carries every problem at once
    ├── DataError          (ValueError)    the data cannot be read or used
    │   └── SchemaError                    names, kinds or widths of fields disagree
    ├── EnvironmentFault   (RuntimeError)  an environment raised, hung, died, returned NaN or changed shape
    ├── TrainingFault      (RuntimeError)  a loss, gradient or weight stopped being finite
    ├── Interrupted        (RuntimeError)  Ctrl-C; a checkpoint was written
    ├── StoreError         (OSError)       the store cannot be read or written
    │   └── CorruptBlob                    the bytes on disk are not the bytes that were saved
    ├── UnknownVersion     (LookupError)   no such program, version, revision or run
    ├── ReviewError        (ValueError)    a revision cannot be proposed, decided or accepted as it stands
    │   ├── GateFailed                     it does not pass its review (exit code 1)
    │   └── StaleRevision                  the head moved after the revision was reviewed
    ├── DeltaError         (ValueError)    a delta does not fit the base it is put on
    └── MissingExtra       (ImportError)   an optional dependency is not installed

The command line prints the three lines and no traceback, and exits with `exit_code`; `--debug` shows the traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CorruptBlob",
    "DataError",
    "DeltaError",
    "EnvironmentFault",
    "GateFailed",
    "Interrupted",
    "MissingExtra",
    "PellucidError",
    "ReviewError",
    "SchemaError",
    "SpecError",
    "StaleRevision",
    "StoreError",
    "TrainingFault",
    "UnknownVersion",
    "nearest",
    "require",
]


class PellucidError(Exception):
    """Root of the tree.

    Args:
        what: what is wrong, one line, with the values that came and those expected.
        where: the file, argument, step or version in which it happened.
        mend: what to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.mend:
            lines.append(f"  mend:  {self.mend}")
        return "\n".join(lines)


class SpecError(PellucidError, ValueError):
    """The spec or an option is wrong; `problems` holds each one (`pellucid.spec.problems.Problem`)."""

    problems: tuple[object, ...] = ()


class DataError(PellucidError, ValueError):
    """The data cannot be read or used."""


class SchemaError(DataError):
    """Names, kinds or widths of fields disagree with a program's schema."""


class EnvironmentFault(PellucidError, RuntimeError):
    """An environment raised, hung, died with its process, returned NaN or changed shape."""


class TrainingFault(PellucidError, RuntimeError):
    """A loss, gradient or weight stopped being finite, or a callback raised."""


class Interrupted(PellucidError, RuntimeError):
    """Training was interrupted by Ctrl-C; a checkpoint was written."""

    exit_code = 130


class StoreError(PellucidError, OSError):
    """The store cannot be read or written."""


class CorruptBlob(StoreError):
    """The bytes on disk are not the bytes that were saved."""


class UnknownVersion(PellucidError, LookupError):
    """No such program, version, revision or run."""


class ReviewError(PellucidError, ValueError):
    """A revision cannot be proposed, decided or accepted as it stands."""


class GateFailed(ReviewError):
    """A candidate does not pass its review."""

    exit_code = 1


class StaleRevision(ReviewError):
    """The program's head moved after the revision was reviewed."""


class DeltaError(PellucidError, ValueError):
    """A delta does not fit the base it is put on."""


class MissingExtra(PellucidError, ImportError):
    """An optional dependency is not installed."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`did you mean 'volume'?`, or an empty string when nothing is close."""
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def require(module: str, *, extra: str, purpose: str) -> None:
    """Raise `MissingExtra` unless `module` can be imported."""
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise MissingExtra(
            f"{purpose} needs the package '{module}', which is not installed.",
            where=f"optional extra '{extra}'",
            mend=f"pip install 'pellucid[{extra}]'",
        )
