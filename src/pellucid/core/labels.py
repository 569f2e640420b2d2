"""The labels of a row as one text, `action|comedy`, and as truth values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError

BETWEEN = "|"


def label_matrix(y: npt.NDArray[Any], labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of `labels` each row has, shape (n, k).

    Args:
        y: texts, shape (n,); or truth values, shape (n, k), which are given back.
    Raises:
        DataError: a row has a label that is not among them.
    """
    if y.ndim == 2:
        return np.asarray(y, dtype=np.bool_)
    place = {label: j for j, label in enumerate(labels)}
    found = np.zeros((len(y), len(labels)), dtype=np.bool_)
    for i, text in enumerate(y):
        for label in filter(None, str(text).split(BETWEEN)):
            if label not in place:
                raise DataError(
                    f"the label '{label}' is not among {', '.join(labels)}.",
                    where=f"row {i + 1} of the target",
                    mend="use labels that the program knows",
                )
            found[i, place[label]] = True
    return found


def label_texts(on: npt.NDArray[np.bool_], labels: Sequence[str]) -> npt.NDArray[np.str_]:
    """The labels of each row with bars between them, shape (n,)."""
    names = np.asarray(labels, dtype=np.str_)
    return np.asarray([BETWEEN.join(names[row]) for row in on], dtype=np.str_)
