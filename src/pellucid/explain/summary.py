"""Summarised reference rows: each is the mean of several rows, so that no explanation rests on a row of anybody's.

Microaggregation (Domingo-Ferrer & Mateo-Sanz 2002): rows are halved again and again, across the direction in which
they vary most, into groups of equal size, so that the summaries count alike and their mean is the rows' own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema

LEAST = 5  # rows behind each summary, unless another number is asked for
STEPS = 20  # of the power iteration

Floats = npt.NDArray[np.float64]
Columns = dict[str, npt.NDArray[Any]]


def summarise(rows: Rows, schema: Schema, n: int = 32, *, least: int = LEAST) -> Rows:
    """At most `n` reference rows, each the mean of at least `least` rows; of words the most frequent.

    Rows that lie between real ones are no real ones: the value function asks the program about them. Means hide who a
    row is, not what all rows have in common; with few rows, or one far from all others, a mean still tells something.

    Args:
        rows: numbers and categories, one value a field.
        schema: of the program that is explained.
        n: summaries, fewer when there are less than n * least rows.
        least: rows behind each.
    Raises:
        DataError: too few rows, or a text, picture or series, which has no mean that one could ask a program about.
    """
    where = "explain.summarise(...)"
    fields = [field for field in schema.inputs if field.name in rows.fields]
    require_means(fields, where=where)
    if least < 2 or n < 1 or len(rows) < least:
        what = f"{len(rows)} rows cannot make {n} summaries of {least} rows or more."
        raise DataError(what, where=where, mend="give more rows, or ask for at least 2 a summary")
    groups = _halved(_positions(rows, fields), np.arange(len(rows)), min(n, len(rows) // least))
    columns: Columns = {field.name: _means(field, rows.fields[field.name], groups) for field in fields}
    return Rows(np.array([f"mean of {len(group)} rows, {i + 1}" for i, group in enumerate(groups)]), columns)


def require_means(fields: Iterable[Field], *, where: str) -> None:
    """Raises: DataError: one of the fields is a text, a picture or a series."""
    for field in fields:
        if field.kind in ("text", "image") or field.width > 1:
            what = f"'{field.name}' is no single number or word: it has no mean that a program could be asked about."
            raise DataError(what, where=where, mend="take real rows as the background")


def _positions(rows: Rows, fields: list[Field]) -> Floats:
    """Rows as points: numbers over their deviation, a category as one coordinate per word."""
    found = []
    for field in fields:
        values = rows.fields[field.name]
        if field.kind == "category":
            words = values.astype(str)
            found.append((words[:, None] == np.unique(words)[None, :]) * np.sqrt(0.5))
            continue
        numbers = values.reshape(len(values), -1).astype(np.float64)
        known = np.isfinite(numbers)
        filled = np.where(known, numbers, np.nanmean(numbers) if known.any() else 0.0)
        found.append((filled - filled.mean()) / (filled.std() or 1.0))
    return np.concatenate(found, axis=1)


def _halved(points: Floats, index: npt.NDArray[np.int64], count: int) -> list[npt.NDArray[np.int64]]:
    """`count` groups of equal size, but for one row."""
    if count == 1:
        return [index]
    here = points[index] - points[index].mean(0)
    direction = here[np.abs(here).sum(1).argmax()]
    for _ in range(STEPS):
        direction = here.T @ (here @ direction)
        size = float(np.linalg.norm(direction))
        if size == 0.0:
            break  # all are alike
        direction = direction / size
    left = count // 2
    order = index[np.argsort(here @ direction, kind="stable")]
    cut = round(len(index) * left / count)
    return [*_halved(points, order[:cut], left), *_halved(points, order[cut:], count - left)]


def _means(field: Field, values: npt.NDArray[Any], groups: list[npt.NDArray[np.int64]]) -> npt.NDArray[Any]:
    if field.kind == "category":
        found = []
        for group in groups:
            words, counts = np.unique(values[group].astype(str), return_counts=True)
            found.append(str(words[counts.argmax()]))
        return np.array(found, dtype=object)
    made = []
    for group in groups:
        part = values[group].astype(np.float64)
        known = part[np.isfinite(part)]
        mean = float(known.mean()) if len(known) else float("nan")
        made.append(round(mean) if field.categories and len(known) else mean)  # words of an order
    return np.array(made, dtype=values.dtype if values.dtype.kind == "f" else np.float64).reshape(-1, *values.shape[1:])
