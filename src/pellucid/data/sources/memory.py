"""Tables in memory: pandas, polars, Arrow, numpy, columns by name, records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pellucid.core.errors import DataError
from pellucid.data.sources.columnar import frame_of
from pellucid.data.sources.hugging import dataset_frame, is_dataset
from pellucid.data.sources.opened import Chunk, Opened
from pellucid.data.sources.records import flat

WHERE = "the data frame"


def in_memory(source: Any) -> bool:
    return not isinstance(source, str | Path)


def open_memory(source: Any) -> Opened:
    """One chunk: a table in memory is there already."""
    frame = as_frame(source)
    chunk = Chunk(frame, np.arange(1, len(frame) + 1), WHERE, 1.0)
    return Opened(WHERE, iter([chunk]))


def as_frame(source: Any) -> pd.DataFrame:
    """A pandas frame of whatever holds a table; columns keep their types.

    Args:
        source: a pandas frame; a Hugging Face dataset (see `hugging`); anything with the Arrow stream interface
            (polars, pyarrow, DuckDB) or the data frame protocol; a numpy array (n, k) or structured array; columns by
            name; a list of records.
    Raises:
        DataError: it is none of these.
    """
    if isinstance(source, pd.DataFrame):
        return source
    if is_dataset(source):
        return dataset_frame(source)
    if hasattr(source, "__arrow_c_stream__"):
        return frame_of(pa.table(source))
    if isinstance(source, pa.RecordBatch):
        return frame_of(pa.Table.from_batches([source]))
    if isinstance(source, np.ndarray):
        return _of_array(source)
    if isinstance(source, Mapping):
        try:
            return pd.DataFrame(dict(source))
        except ValueError as error:
            said = f"the columns make no table: {error}."
            raise DataError(said, where=WHERE, mend="columns of equal length") from None
    if isinstance(source, list) and source and all(isinstance(record, Mapping) for record in source):
        return pd.DataFrame([flat(dict(record)) for record in source])
    if hasattr(source, "to_pandas"):
        frame = source.to_pandas()
        if isinstance(frame, pd.DataFrame):
            return frame
    if hasattr(source, "__dataframe__"):
        from pandas.api.interchange import from_dataframe

        return from_dataframe(source)
    raise DataError(
        f"a {type(source).__name__} is no table.",
        where="data",
        mend="give a path or URL, a pandas or polars frame, an Arrow table, a numpy array or columns by name",
    )


def _of_array(array: np.ndarray[Any, Any]) -> pd.DataFrame:
    if array.dtype.names:
        return pd.DataFrame({name: array[name] for name in array.dtype.names})
    if array.ndim != 2:
        raise DataError(
            f"the array has {array.ndim} dimension{'s' * (array.ndim != 1)}, a table has 2.",
            where="the array",
            mend="give rows and columns, (n, k)",
        )
    return pd.DataFrame(dict(_named(array)))


def _named(array: np.ndarray[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Columns are called x1, x2, ...: an array has no names."""
    for i in range(array.shape[1]):
        yield f"x{i + 1}", array[:, i]
