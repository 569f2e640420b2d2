"""Parquet and Arrow (Feather): batches that keep their types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pellucid.core.errors import DataError
from pellucid.data.sources.located import Located
from pellucid.data.sources.opened import Chunk, Opened, rows_of
from pellucid.spec.model import ReadSpec

# Integers with gaps stay integers: as floats, long ones would lose their last digits.
TYPES: dict[Any, Any] = {
    **{getattr(pa, f"int{n}")(): getattr(pd, f"Int{n}Dtype")() for n in (8, 16, 32, 64)},
    **{getattr(pa, f"uint{n}")(): getattr(pd, f"UInt{n}Dtype")() for n in (8, 16, 32, 64)},
    pa.bool_(): pd.BooleanDtype(),
}


def read_parquet(file: Located, read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    """Batches of a Parquet file."""
    with file.open() as stream:
        try:
            table = pq.ParquetFile(stream if stream.seekable() else pa.BufferReader(stream.read()))
            total = table.metadata.num_rows
            batches = table.iter_batches(rows_of(table.metadata.num_columns), use_threads=False)
            yield from frames(batches, file.name, total, table.schema_arrow)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(file, "Parquet", error) from None


def read_arrow(file: Located, read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    """Batches of an Arrow file (Feather version 2) or stream."""
    with file.open() as stream:
        try:
            data = stream if stream.seekable() else pa.BufferReader(stream.read())
            if file.head(6) == b"ARROW1":
                batches = pa.ipc.open_file(data)
                found = (batches.get_batch(i) for i in range(batches.num_record_batches))
                yield from frames(found, file.name, 0, batches.schema)
            else:
                batches = pa.ipc.open_stream(data)
                yield from frames(batches, file.name, 0, batches.schema)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(file, "Arrow", error) from None


def frames(batches: Any, name: str, total: int, schema: pa.Schema) -> Iterator[Chunk]:
    """Chunks of record batches; rows are counted from 1."""
    seen = 0
    for batch in batches:
        batch.validate(full=True)  # a damaged file may hold texts that are none: said here, not wherever they are used
        for start in range(0, batch.num_rows, size := rows_of(batch.num_columns)):
            part = batch.slice(start, size)
            numbers = np.arange(seen + 1, seen + part.num_rows + 1)
            seen += part.num_rows
            yield Chunk(frame_of(part), numbers, name, seen / total if total else float("nan"))
    if not seen:
        yield Chunk(frame_of(schema.empty_table()), np.arange(0), name)


def frame_of(table: Any) -> pd.DataFrame:
    """A pandas frame with the types of an Arrow table; a named index becomes columns again."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=TYPES.get, use_threads=False)
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    return frame.reset_index(level=named).reset_index(drop=True) if named else frame.reset_index(drop=True)


def _unreadable(file: Located, format: str, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    lines = str(error).strip().splitlines()
    return DataError(
        f"the file cannot be read as {format}: {(lines[0] if lines else type(error).__name__)[:300].rstrip('.')}.",
        where=file.name,
        mend="is it whole? write it again, or give CSV",
    )
