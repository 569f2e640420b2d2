"""Rows: what a program is called on, whatever it came from (a table, prices, observations).

Every row has an identity, `keys`, that is kept from the source to the prediction: an id column, a hash of the
content, (asset, date) for prices, (environment, seed, step) for observations. Review sets, diffs and
contamination checks are about keys, never about positions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, SchemaError, nearest

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """n rows in raw units.

    Args:
        keys: identities, shape (n,), strings.
        fields: name -> values, shape (n,) or (n, width); numbers, or strings for a category.
        targets: task name -> what is to be predicted, shape (n,) or (n, k). May be empty.
        times: moment of each row, datetime64[D], shape (n,), or None when rows have no order in time.
        extra: per-row columns that tasks need beside inputs and targets (e.g. the next simple return), shape (n, ...).
    """

    keys: npt.NDArray[np.str_]
    fields: dict[str, npt.NDArray[Any]]
    targets: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    times: npt.NDArray[np.datetime64] | None = None
    extra: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.keys)
        for group in (self.fields, self.targets, self.extra):
            for name, values in group.items():
                if len(values) != n:
                    raise DataError(
                        f"column '{name}' has {len(values)} rows, the keys have {n}.",
                        where="Rows(...)",
                        mend="give every column one value per key",
                    )

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, index: npt.NDArray[Any] | slice, fields: Iterable[str] | None = None) -> Rows:
        """The rows at `index` (positions or a boolean mask), with all fields or some."""
        return Rows(
            self.keys[index],
            {k: self.fields[k][index] for k in (self.fields if fields is None else fields)},
            {k: v[index] for k, v in self.targets.items()},
            None if self.times is None else self.times[index],
            {k: v[index] for k, v in self.extra.items()},
        )

    def column(self, name: str) -> npt.NDArray[Any]:
        """The raw values of a field."""
        if name not in self.fields:
            raise SchemaError(
                f"the rows lack the field '{name}'; they have {', '.join(self.fields)}.",
                where="Rows.column(...)",
                mend=nearest(name, self.fields) or "give that column",
            )
        return self.fields[name]


def content_keys(columns: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.str_]:
    """A key per row from its content; the k-th repetition of equal rows gets the suffix `#k`.

    Order-free: shuffling the rows shuffles the keys with them, and appending rows changes no earlier key.
    """
    names = sorted(columns)
    n = len(next(iter(columns.values()))) if names else 0
    seen: dict[str, int] = {}
    keys = []
    for i in range(n):
        text = "\x1f".join(f"{name}={columns[name][i]!s}" for name in names)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        count = seen.get(digest, 0)
        seen[digest] = count + 1
        keys.append(digest if count == 0 else f"{digest}#{count}")
    return np.asarray(keys, dtype=np.str_)
