"""Likely label errors of a table that nothing was fitted on yet: cross-fitted baselines answer for every row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.task import Task
from pellucid.data.columns import side_by_side
from pellucid.data.encoding import Encoding
from pellucid.data.images import averaged
from pellucid.data.tables import Table
from pellucid.evidence.baselines import TableContext, answer
from pellucid.evidence.folds import stratified_folds
from pellucid.evidence.label_errors import likely_errors
from pellucid.runs.encoded import SIDE

FOLDS = 5
MODELS = ("linear", "hist_gradient_boosting")  # unlike one another: their mean is wrong less often than either


@dataclass(frozen=True)
class Suspect:
    """A row, its label, the likeliest other class, and the probability of the label."""

    key: str
    label: str
    suggested: str
    probability: float


def suspects(table: Table, *, seed: int = 0) -> tuple[int, list[Suspect]]:
    """How many labels are likely wrong, and all rows, the most suspicious first.

    Args:
        table: with a target of classes.
        seed: of the folds.
    """
    if table.target is None or not table.classes:
        raise DataError(
            "labels can be checked where the target is a class.",
            where=f"target '{table.target}'",
            mend="give the column of the classes: --target COLUMN",
        )
    classes = list(table.classes)
    y = np.asarray(table.rows.targets["target"]).astype(str)
    place = {name: code for code, name in enumerate(classes)}
    codes = np.asarray([place[name] for name in y], dtype=np.int64)
    few = [classes[c] for c in range(len(classes)) if (codes == c).sum() < FOLDS]
    if few:
        raise DataError(
            f"the class '{few[0]}' has fewer than {FOLDS} rows: nothing can be learned of it.",
            where=f"target '{table.target}'",
            mend="leave these rows out, or join classes",
        )
    found = likely_errors(codes, crossfitted(table, codes, seed))
    keys = table.rows.keys.astype(str)
    return found.expected, [
        Suspect(str(keys[row]), classes[int(codes[row])], classes[int(other)], float(quality))
        for row, other, quality in zip(found.rows, found.suggested, found.quality, strict=True)
    ]


def crossfitted(table: Table, codes: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.float64]:
    """Class probabilities, shape (n, classes), of baselines that had not seen the row."""
    classes = list(table.classes)
    encoding = Encoding.fit(table.fields, table.rows)
    blocks = encoding.encode(table.rows)
    seen = [averaged(blocks[f.name], f.shape, SIDE) if f.kind == "image" else blocks[f.name] for f in table.fields]
    x = side_by_side(seen).astype(np.float64)
    names = tuple(field.name for field in table.fields)
    task = Task("labels", "classify", names, tuple(classes), "probability", "log_loss", MODELS, {"classes": classes})
    chance = np.zeros((len(codes), len(classes)))
    for fold in stratified_folds(codes, FOLDS, seed):
        context = TableContext(x[fold.train], codes[fold.train], x[fold.test], codes[fold.test], seed)
        for model in MODELS:
            outputs = answer(task, model, context).outputs
            assert outputs is not None
            chance[fold.test] += outputs / len(MODELS)
    return chance
