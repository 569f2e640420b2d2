"""What to say of a file that is not there or cannot be read: the same words for tables and for prices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pellucid.core.errors import DataError, nearest


def missing_file(path: Path, what: str, names: Sequence[str]) -> DataError:
    """The error for a source that is neither a file nor a known name, with the nearest of both.

    Args:
        what: what the names are: "table", "market".
        names: what can be named instead of a file.
    """
    if path.exists():
        return DataError("this is a folder, not a file.", where=str(path), mend="give a CSV or Parquet file")
    files = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    return DataError(
        f"there is no such file, nor a {what} of that name ({', '.join(names)}).",
        where=str(path),
        mend=nearest(path.name, [*names, *sorted(files)]) or "give the path of a CSV or Parquet file",
    )


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for a file that some reader refused."""
    if isinstance(error, UnicodeDecodeError):
        # The reader decodes pieces, so its own position would mislead.
        reason = f"byte {error.object[error.start]:#04x} in line {_line_of_bad_byte(path)} is not UTF-8"
        return DataError(f"{reason}.", where=str(path), mend="save the file as UTF-8 text, or give a Parquet file")
    lines = str(error).strip().splitlines()
    reason = lines[0].removeprefix("Error tokenizing data. C error: ") if lines else type(error).__name__
    return DataError(
        f"the file cannot be read: {reason.rstrip('.')}.",
        where=str(path),
        mend="give comma-separated text in UTF-8 with a header line, or a Parquet file",
    )


def _line_of_bad_byte(path: Path) -> int:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 1
