"""Raw columns of foreign models as blocks and back, without any scaling: what goes in comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.schema import Field, FieldKind

if TYPE_CHECKING:
    import pandas as pd


def infer_fields(inputs: Sequence[str] | pd.DataFrame) -> tuple[Field, ...]:
    """Fields from names (all numeric) or from a table's columns (numeric, boolean, category).

    Raises:
        SchemaError: no or repeated names.
        DataError: a column of a kind that cannot be an input, e.g. dates.
    """
    table: Any = inputs if hasattr(inputs, "columns") else None
    names = [str(name) for name in (inputs if table is None else table.columns)]
    if not names or len(set(names)) != len(names):
        raise SchemaError(
            "the inputs have no names." if not names else "the inputs' names are not unique.",
            where="wrap(inputs=...)",
            mend="give each column one name",
        )
    if table is None:
        return tuple(Field(name) for name in names)
    return tuple(_field(name, table.iloc[:, index]) for index, name in enumerate(names))


def _field(name: str, column: pd.Series[Any]) -> Field:
    import pandas as pd

    kinds = pd.api.types
    if kinds.is_bool_dtype(column.dtype):
        return Field(name, "boolean")
    if kinds.is_numeric_dtype(column.dtype):
        return Field(name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return Field(name, "category", categories=tuple(str(c) for c in column.dtype.categories))
    if kinds.is_object_dtype(column.dtype) or kinds.is_string_dtype(column.dtype):
        return Field(name, "category", categories=tuple(sorted({str(v) for v in column.dropna()})))
    raise DataError(
        f"column '{name}' is of type {column.dtype}, which cannot be an input.",
        where="wrap(inputs=...)",
        mend="leave it out, or turn it into numbers or categories",
    )


def block(field: Field, values: npt.NDArray[Any]) -> Tensor:
    """Raw values, shape (n,) or (n, width), as a float64 block (n, width); a category as its code (n, 1).

    A text is its letters' numbers (int32), as wide as the longest of these rows, 0 behind its end.

    Raises:
        DataError: text among numbers, or a category that the schema does not know.
        SchemaError: another width.
    """
    if field.kind == "category":
        return torch.from_numpy(_codes(field, values.reshape(-1)))[:, None]
    if field.kind == "text":
        texts = np.array(["" if v is None or v != v else str(v).replace("\0", "") for v in values.reshape(-1)] or [""])
        letters = texts.astype(f"U{max(1, texts.itemsize // 4)}").view(np.int32).reshape(len(texts), -1)
        return torch.from_numpy(letters[: len(values)].copy())
    kind: FieldKind = field.kind
    try:
        wide = np.array(values, dtype=np.float64).reshape(len(values), field.width if not len(values) else -1)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"field '{field.name}' has values that are not numbers: {error}.",
            where=f"encoding a {kind} field",
            mend="clean the column, or declare it a category",
        ) from error
    if wide.shape[1] != field.width:
        raise SchemaError(
            f"field '{field.name}' has {wide.shape[1]} values a row, the schema says {field.width}.",
            where="encoding a wrapped model's rows",
            mend="give as many as the schema says",
        )
    return torch.from_numpy(wide)


def _codes(field: Field, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    codes = {category: float(code) for code, category in enumerate(field.categories)}
    found = np.empty(len(values))
    for i, value in enumerate(values):
        missing = value is None or value != value or str(value) == "<NA>"
        if not missing and str(value) not in codes:
            raise DataError(
                f"field '{field.name}' has the value {str(value)!r}; known are {', '.join(field.categories[:20])}.",
                where="encoding a wrapped model's rows",
                mend="wrap the model with a table (or schema) that has every category",
            )
        found[i] = len(codes) if missing else codes[str(value)]
    return found


def raw(field: Field, values: Tensor) -> npt.NDArray[Any]:
    """A block back to raw values: (n,) for width one, else (n, width); NaN for a missing category."""
    if field.kind == "text":
        letters = np.ascontiguousarray(values.detach().cpu().numpy().astype(np.int32))
        return letters.view(f"U{letters.shape[1]}")[:, 0].astype(object)
    numbers: npt.NDArray[Any] = values.detach().cpu().numpy().astype(np.float64)
    if field.kind == "category":
        labels = np.array([*field.categories, np.nan], dtype=object)
        chosen: npt.NDArray[Any] = labels[numbers[:, 0].astype(np.int64)]
        return chosen
    if field.width == 1:
        numbers = numbers[:, 0]
        if field.kind == "boolean" and not np.isnan(numbers).any():
            return numbers.astype(np.bool_)
    return numbers
