"""Files of one table: found, told apart by format, read one after the other with equal columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from pellucid.core.errors import DataError
from pellucid.data.quarantine import Quarantine
from pellucid.data.sources.columnar import read_arrow, read_parquet
from pellucid.data.sources.delimited import read_delimited
from pellucid.data.sources.located import Located, locate
from pellucid.data.sources.opened import Chunk, Opened
from pellucid.data.sources.records import read_json, read_json_lines
from pellucid.spec.model import ReadSpec

Reader = Callable[[Located, ReadSpec, Opened], Iterator[Chunk]]

FORMATS: dict[str, Reader] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".txt": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
    ".ipc": read_arrow,
}
LINES = (read_delimited, read_json_lines)


def open_files(source: str, read: ReadSpec) -> Opened:
    """A table in one or several files."""
    return several(source, locate(source), read)


def several(where: str, files: Sequence[Located], read: ReadSpec) -> Opened:
    """A table in these files.

    Raises:
        DataError: on reading, when the columns of one differ from those of the first; they are named.
    """
    readers = [(file, reader_of(file)) for file in files]
    opened = Opened(where, iter(()), Quarantine("line" if readers[0][1] in LINES else "row"))
    opened.chunks = _joined(readers, read, opened)
    return opened


def _joined(readers: list[tuple[Located, Reader]], read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    same = Same()
    for i, (file, reader) in enumerate(readers):
        for chunk in read_file(file, reader, read, opened):
            yield same(chunk, reader)._replace(done=(i + chunk.done) / len(readers))


class Same:
    """Keeps the columns those of the first file or page, in its order. Keys of JSON may differ from record to record.

    Raises:
        DataError: a chunk has other columns; they are named.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.first = ""

    def __call__(self, chunk: Chunk, reader: Reader) -> Chunk:
        found = [str(name) for name in chunk.frame.columns]
        if not self.first:
            self.names, self.first = found, chunk.file
        if found == self.names or reader in (read_json, read_json_lines):
            return chunk
        if sorted(found) != sorted(self.names):
            raise _differ(chunk.file, self.first, found, self.names)
        return chunk._replace(frame=chunk.frame[self.names])


def read_file(file: Located, reader: Reader, read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    """The chunks of a file; a stream that breaks off is told, wherever it does."""
    try:
        yield from reader(file, read, opened)
    except (OSError, EOFError, pa.ArrowException) as error:
        said = str(error).strip().splitlines()
        raise DataError(
            f"the file cannot be read: {(said[0] if said else type(error).__name__)[:300].rstrip('.')}.",
            where=file.name,
            mend="is it whole? write or fetch it again",
        ) from None


def _differ(name: str, first: str, found: list[str], names: list[str]) -> DataError:
    more, less = [n for n in found if n not in names], [n for n in names if n not in found]
    parts = [f"has {', '.join(map(repr, more[:8]))}" if more else "", f"lacks {', '.join(map(repr, less[:8]))}"]
    said = " and ".join(part for part in parts if part and not part.endswith("lacks "))
    return DataError(
        f"the columns of the files differ: {name} {said}, unlike {first}.",
        where=name,
        mend="give files with the same columns, or read them one by one",
    )


def reader_of(file: Located) -> Reader:
    """How a file is read: by its suffix, else by its first bytes."""
    if reader := FORMATS.get(file.suffix):
        return reader
    head = file.head(64)
    if head.startswith(b"PAR1"):
        return read_parquet
    if head.startswith(b"ARROW1"):
        return read_arrow
    return read_json if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"[", b"{")) else read_delimited
