"""A Hugging Face `datasets.Dataset` in memory: known by what it can do, so that the package is not imported.

Its Arrow table is asked for through its own interface, which applies a selection or shuffle; class labels become their
names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pellucid.core.errors import DataError
from pellucid.data.sources.columnar import frame_of

WHERE = "the dataset"


def is_dataset(source: Any) -> bool:
    """A `Dataset`, an `IterableDataset`, or a mapping of either by split."""
    if isinstance(source, Mapping):
        return bool(source) and all(is_dataset(one) for one in source.values())
    return hasattr(source, "features") and hasattr(source, "with_format")


def dataset_frame(source: Any) -> pd.DataFrame:
    """All rows.

    Raises:
        DataError: it has several splits, or its rows can only be gone through.
    """
    if isinstance(source, Mapping):
        if len(source) > 1:
            names = ", ".join(map(str, source))
            mend = f"give one of them, e.g. data[{str(next(iter(source)))!r}]"
            raise DataError(f"the dataset has {len(source)} splits: {names}.", where=WHERE, mend=mend)
        return dataset_frame(next(iter(source.values())))
    if not hasattr(source, "__len__"):
        mend = "take some of it: datasets.Dataset.from_list(list(data.take(10_000)))"
        raise DataError("the rows of this dataset can only be gone through.", where=WHERE, mend=mend)
    table = source.with_format("arrow")[:]
    frame = frame_of(table if isinstance(table, pa.Table) else pa.table(table))
    labels = {name: list(f.names) for name, f in dict(source.features).items() if hasattr(f, "names")}
    return frame.assign(**{name: _named(frame[name].fillna(-1).tolist(), words) for name, words in labels.items()})


def _named(codes: list[int], words: list[str]) -> Any:
    """Labels by name; -1 is how a missing one is written."""
    return np.asarray([words[code] if 0 <= code < len(words) else None for code in map(int, codes)], dtype=object)
