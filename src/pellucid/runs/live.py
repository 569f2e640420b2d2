"""Live programs, ours or wrapped, on a table that a person gives: its rows, keys and labels as each reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.core.labels import BETWEEN
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.data.tables import label_column, rows_from_frame, table_keys
from pellucid.nn.foreign import ForeignProgram
from pellucid.review.sides import Side
from pellucid.runs.outputs import outputs_table

SPELT = {"True": "1", "False": "0", "1": "True", "0": "False"}  # truth values as a model and a table may spell them


def live_rows(
    program: Program,
    data: pd.DataFrame | Rows,
    target: str | Sequence[str] | None = None,
    id: str | None = None,
) -> Rows:
    """Rows of a table for one program.

    Args:
        data: rows are taken as they are, with the targets they have.
        target: the column with the truth; of labels, perhaps several.
        id: the column that identifies a row; without it, the content of all columns does.
    Raises:
        SchemaError: an input is missing, with the nearest name.
        DataError: no such target, or a class that the program does not know.
    """
    if isinstance(data, Rows):
        return data
    foreign = isinstance(program, ForeignProgram)
    rows = program.rows(data) if foreign else rows_from_frame(data, program.schema.inputs)  # type: ignore[attr-defined]
    targets: dict[str, npt.NDArray[Any]] = {}
    if target is not None:
        for task in program.tasks.values():
            targets[str(task.options.get("target", task.name))] = _labels(task, data, target)
    return replace(rows, keys=table_keys(data, id), targets=targets)


def live_side(ref: str, program: Program, rows: Rows, touched: frozenset[str] = frozenset()) -> Side:
    """A side of a diff made by running a program on rows now; identified by its outputs.

    Args:
        touched: keys that its training saw.
    """
    outputs = {name: outputs_table(program, task, rows) for name, task in program.tasks.items()}
    return Side(ref, fingerprint(outputs.values()), dict(program.tasks), outputs, touched)


def fingerprint(tables: Iterable[pd.DataFrame]) -> str:
    """SHA-256 of all outputs: how a foreign model is identified."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update("\n".join(table["key"].astype(str)).encode())
        for column in sorted(str(c) for c in table if str(c).startswith("out:")):
            digest.update(column.encode() + np.ascontiguousarray(table[column].to_numpy(dtype=np.float64)).tobytes())
    return digest.hexdigest()


def paired(a: Side, b: Side) -> tuple[Side, Side]:
    """Both sides, the only task of `b` under the name of the only task of `a`, and so their only outputs."""
    if len(a.tasks) != 1 or len(b.tasks) != 1:
        return a, b
    name, mine = next(iter(a.tasks.items()))
    task, table = next(iter(b.tasks.values())), next(iter(b.outputs.values()))
    if len(mine.outputs) == len(task.outputs) == 1:
        table = table.rename(columns={f"out:{task.outputs[0]}": f"out:{mine.outputs[0]}"})
    return a, replace(b, tasks={name: task}, outputs={name: table})


def _labels(task: Task, data: pd.DataFrame, target: str | Sequence[str]) -> npt.NDArray[Any]:
    known, separator = tuple(task.options.get("classes", ())), str(task.options.get("separator", BETWEEN))
    y = label_column(data, target, task.kind, known, separator)
    if task.kind not in ("classify", "ordinal"):
        return y
    classes = [str(label) for label in task.options["classes"]]
    spelt = np.asarray([v if v in classes else SPELT.get(v, v) for v in y], dtype=np.str_)
    unknown = sorted(set(spelt.tolist()) - set(classes))
    if unknown:
        raise DataError(
            f"'{target}' holds {', '.join(map(repr, unknown[:3]))}; the program knows {', '.join(classes)}.",
            where=f"target '{target}'",
            mend="leave these rows out, or spell the classes as the program does",
        )
    return spelt
