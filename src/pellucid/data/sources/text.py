"""Text of a file whose encoding nobody wrote down."""

from __future__ import annotations

import codecs
import io
import re
from typing import TextIO

from pellucid.core.errors import DataError
from pellucid.data.sources.located import Located

MARKS = (  # the longer ones first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")  # bytes that no text has
UNASSIGNED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # in cp1252
PIECE = 1 << 20


def open_text(file: Located, encoding: str | None, notes: list[str]) -> TextIO:
    """The file as text with its own line ends.

    Args:
        encoding: None to find out: a byte order mark, else UTF-8, else cp1252 or latin-1 with a note.
    Raises:
        DataError: it is no text, or not in the given encoding.
    """
    name = encoding or _encoding(file, notes)
    try:
        codecs.lookup(name)
    except LookupError:
        raise DataError(
            f"there is no encoding '{name}'.", where="data.read.encoding", mend="utf-8, cp1252, utf-16, ..."
        ) from None
    return io.TextIOWrapper(file.open(), encoding=name, newline="")


def not_in(file: Located, error: UnicodeError, encoding: str | None) -> DataError:
    """The error for text that is not in the encoding it should be in."""
    return DataError(
        f"the file is not text in {encoding or 'UTF-8'}: {getattr(error, 'reason', error)}.",
        where=file.name,
        mend="save it as UTF-8, or name its encoding: data.read.encoding",
    )


def _encoding(file: Located, notes: list[str]) -> str:
    """Reads the file once: a wrong guess after a look at its beginning would garble its end."""
    head = file.head(4)
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    decoder = codecs.getincrementaldecoder("utf-8")()
    bad = ""  # the first byte that is not UTF-8, with its line
    line, unassigned = 1, False
    with file.open() as stream:
        while piece := stream.read(PIECE):
            if control := CONTROL.search(piece):
                at = line + piece.count(b"\n", 0, control.start())
                raise DataError(
                    f"the file cannot be read as text: byte {control.group()[0]:#04x} in line {at}.",
                    where=f"{file.name}, line {at}",
                    mend="give a text file (CSV, JSON) in UTF-8, or a Parquet file with its suffix",
                )
            if not bad:
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError as error:
                    kept = len(error.object) - len(piece)  # bytes that the decoder had kept of the piece before
                    at = line + piece.count(b"\n", 0, max(0, error.start - kept))
                    bad = f"byte {error.object[error.start]:#04x} in line {at}"
            unassigned = unassigned or bool(UNASSIGNED.search(piece))
            line += piece.count(b"\n")
    if not bad:
        try:
            decoder.decode(b"", final=True)
            return "utf-8"
        except UnicodeDecodeError as error:
            bad = f"byte {error.object[error.start]:#04x} in line {line}"
    guess = "latin-1" if unassigned else "cp1252"
    notes.append(f"{file.name} is not UTF-8 ({bad}): it was read as {guess}; data.read.encoding names another")
    return guess
