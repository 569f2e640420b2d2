"""Tensors as safetensors and tables as Parquet: data only, no code, equal values give equal bytes.

Apart from `blobs.py` because it loads torch, pandas and pyarrow.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from pellucid.core.errors import DataError

# safetensors writes its metadata in the random order of a hash map; one key that holds them all has one order.
_METADATA = "pellucid"


def encode_tensors(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    """Safetensors bytes of torch tensors or numpy arrays, each copied to contiguous memory of its own."""
    plain = {str(name): _tensor(str(name), value) for name, value in sorted(tensors.items())}
    for key, text in metadata.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise DataError(f"metadata {key!r} is not text.", where="put_tensors(metadata=...)", mend="use str(...)")
    try:
        return save(plain, {_METADATA: json.dumps(dict(metadata), sort_keys=True)})
    except (KeyError, ValueError, SafetensorError) as error:
        kinds = ", ".join(sorted({str(t.dtype) for t in plain.values()}))
        raise DataError(
            f"these tensors cannot be stored: {error}.", where=f"put_tensors, types {kinds}", mend="convert the type"
        ) from error


def decode_tensors(data: bytes) -> dict[str, torch.Tensor]:
    """Name -> tensor on the CPU, by name. Raises ValueError."""
    try:
        return dict(sorted(load(data).items()))
    except (SafetensorError, KeyError) as error:
        raise ValueError(str(error)) from error


def decode_metadata(data: bytes) -> dict[str, str]:
    """The texts saved beside tensors. Raises ValueError."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    texts: dict[str, str] = json.loads(header.get("__metadata__", {}).get(_METADATA, "{}"))
    return texts


def _tensor(name: str, value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.is_quantized:
            raise _refused(name, f"layout {value.layout}", "tensor.to_dense()")
        return value.detach().cpu().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
    array = np.asarray(value)
    try:
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True))
    except TypeError as error:
        raise _refused(name, f"type {array.dtype}", "numbers or booleans only; texts belong into JSON") from error


def _refused(name: str, why: str, mend: str) -> DataError:
    return DataError(f"'{name}' cannot be stored as a tensor: {why}.", where="put_tensors", mend=mend)


def encode_table(frame: pd.DataFrame) -> bytes:
    """Parquet bytes of a table.

    A plain integer index is dropped; any other index is refused, not lost. Times in seconds become milliseconds.
    """
    names = [name for name in frame.columns if not isinstance(name, str)]
    twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    index = frame.index
    if names or twice:
        what = f"column {names[0]!r} is not named by a text" if names else f"columns occur twice: {', '.join(twice)}"
        raise DataError(f"{what}.", where="put_table", mend="rename the columns")
    plain = index.name is None and not isinstance(index, pd.MultiIndex) and pd.api.types.is_integer_dtype(index.dtype)
    if len(frame) and not plain:
        raise DataError(
            f"the table has an index of its own ({index.name or index.dtype}), which Parquet would not keep.",
            where="put_table",
            mend="put_table(frame.reset_index())",
        )
    try:
        table = _in_milliseconds(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None))
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
    except (pa.ArrowException, UnicodeError, TypeError) as error:
        reason = "; ".join(str(part) for part in error.args)
        raise DataError(
            f"the table cannot be stored: {reason}.", where="put_table", mend="one type a column"
        ) from error
    return sink.getvalue()


def _in_milliseconds(table: Any) -> Any:
    """Parquet knows no coarser unit; cast first, so that a table that was read gives the same bytes again."""
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "s":
            table = table.set_column(i, field.name, table.column(i).cast(pa.timestamp("ms", tz=field.type.tz)))
    return table


def decode_table(data: bytes) -> pd.DataFrame:
    """The table of Parquet bytes. Raises ValueError."""
    try:
        # Read in one thread: tables here are small, and a pool of threads does not survive a fork.
        frame: pd.DataFrame = pq.read_table(io.BytesIO(data), use_threads=False).to_pandas(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    return frame
