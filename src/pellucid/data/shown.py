"""Shown actions: what somebody did, or would have done, in some states. Read from a file or from feedback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.schema import Field
from pellucid.core.task import Task

if TYPE_CHECKING:  # heavy, and needed only where there are shown actions
    import pandas as pd

ONE_HOT = "one-hot"  # unit of a field that may be given as a number
Source: TypeAlias = "str | Path | pd.DataFrame | Mapping[str, Any]"


@dataclass(frozen=True)
class Shown:
    """n states and what was done in them.

    Args:
        fields: observations, name -> (n, width) float32.
        action: (n,) integers for discrete actions, (n, k) integers for several choices at once, else (n, k) float32.
    """

    fields: dict[str, npt.NDArray[np.float32]]
    action: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.action)


def read_shown(source: Source, fields: Sequence[Field], task: Task, action: str = "action") -> Shown:
    """Demonstrations from a table: a column for each observed value, and what was done.

    A field of several values has the columns `name_0`, `name_1`, ...; a one-hot field may be one column of numbers. So
    may an action of several dimensions. Discrete actions are numbers or the names in the task.

    Args:
        source: a CSV, TSV or Parquet file, a data frame, or columns by name.
        fields: the observation's.
        task: a `control` task; says what actions there are.
        action: the action's column.
    Raises:
        DataError: columns are missing, cells are empty or no numbers, an action does not exist; names the row.
    """
    from pellucid.data.tables import label_column, rows_from_frame

    wanted = [f for f in fields if f.name in task.inputs]
    has = _columns_of(source)
    single = {f.name for f in wanted if f.width == 1 or (f.unit == ONE_HOT and f.name in has)}
    columns = [n for f in wanted for n in ([f.name] if f.name in single else _numbered(f.name, f.width))]
    discrete, nvec = task.options["space"] == "discrete", task.options.get("nvec")
    count = len(nvec) if nvec else int(task.options["actions"])
    done = [action] if discrete or count == 1 else _numbered(action, count)
    numeric = [Field(name) for name in (*columns, *([] if discrete else done))]
    rows = rows_from_frame(source, numeric)
    values = {f.name: np.asarray(rows.fields[f.name], dtype=np.float64) for f in numeric}
    for name, column in values.items():
        _complete(name, np.isfinite(column), source)
    parts = {}
    for f in wanted:
        names = [f.name] if f.name in single else _numbered(f.name, f.width)
        block = np.stack([values[name] for name in names], axis=1)
        parts[f.name] = _hot(block[:, 0], f, source) if block.shape[1] < f.width else block.astype(np.float32)
    if discrete:
        # Read as words: numbers and names of actions alike; an absent column is told by the reader above.
        rows_from_frame(source, [Field(action, "category")])
        return Shown(parts, _codes(label_column(source, action, "classify"), task, action, source))
    said = np.stack([values[name] for name in done], axis=1)
    return Shown(parts, said.astype(np.float32) if nvec is None else _chosen(said, nvec, done, source))


def shown_from_feedback(payloads: Sequence[Mapping[str, Any]], fields: Sequence[Field], task: Task) -> Shown:
    """Corrections of actions, as feedback of kind `correct-action` holds them.

    Args:
        payloads: each {"state": {field: number or list of numbers}, "action": number, name or list of numbers}.
        fields, task: as of `read_shown`.
    """
    wanted = [f for f in fields if f.name in task.inputs]
    columns: dict[str, list[Any]] = {}
    for i, payload in enumerate(payloads):
        state = payload.get("state", {})
        lacking = [f.name for f in wanted if f.name not in state] + (["action"] if "action" not in payload else [])
        if lacking:
            raise DataError(
                f"correction {i + 1} lacks {', '.join(lacking)}.",
                where="feedback of kind correct-action",
                mend="give the whole observed state and the action that should have been taken in it",
            )
        for name, value in [*((f.name, state[f.name]) for f in wanted), ("action", payload["action"])]:
            cells = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
            for j, cell in enumerate(cells):
                columns.setdefault(name if len(cells) == 1 else f"{name}_{j}", []).append(cell)
    return read_shown(columns, fields, task)


def correction(state: Mapping[str, npt.ArrayLike], action: Any) -> dict[str, Any]:
    """The payload of feedback of kind `correct-action`: JSON values only."""

    def plain(value: npt.ArrayLike) -> Any:
        found = np.asarray(value)
        return found.reshape(-1).tolist() if found.size > 1 else found.reshape(-1)[0].item()

    return {"state": {name: plain(value) for name, value in state.items()}, "action": plain(action)}


def _numbered(name: str, width: int) -> list[str]:
    return [f"{name}_{j}" for j in range(width)]


def _columns_of(source: Source) -> set[str]:
    import pandas as pd

    if isinstance(source, (Mapping, pd.DataFrame)):
        return {str(name) for name in source}
    path = Path(source)
    if path.suffix.lower() in (".parquet", ".pq"):
        import pyarrow.parquet as pq

        return set(pq.read_schema(path).names) if path.is_file() else set()
    return set(pd.read_csv(path, sep=None, engine="python", nrows=0).columns) if path.is_file() else set()


def _where(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else "demonstrations"


def _complete(name: str, there: npt.NDArray[np.bool_], source: Source) -> None:
    if not there.all():
        raise DataError(
            f"'{name}' is empty in row {int(np.argmin(there)) + 1}.",
            where=_where(source),
            mend="leave out the rows whose state or action is not known",
        )


def _hot(number: npt.NDArray[np.float64], field: Field, source: Source) -> npt.NDArray[np.float32]:
    known = (number >= 0) & (number < field.width) & (number == np.round(number))
    if not known.all():
        row = int(np.argmin(known))
        raise DataError(
            f"'{field.name}' is {number[row]:g} in row {row + 1}; it is one of 0..{field.width - 1}.",
            where=_where(source),
            mend="give the state's number",
        )
    return np.eye(field.width, dtype=np.float32)[number.astype(np.int64)]


def _chosen(
    said: npt.NDArray[np.float64], nvec: Sequence[int], names: list[str], source: Source
) -> npt.NDArray[np.int64]:
    known = (said >= 0) & (said < np.asarray(nvec)) & (said == np.round(said))
    if not known.all():
        row, part = np.argwhere(~known)[0]
        raise DataError(
            f"'{names[part]}' is {said[row, part]:g} in row {row + 1}, which is no choice of it.",
            where=_where(source),
            mend=f"its choices are 0..{nvec[part] - 1}",
        )
    return said.astype(np.int64)


def _codes(words: npt.NDArray[Any], task: Task, column: str, source: Source) -> npt.NDArray[np.int64]:
    count = int(task.options["actions"])
    names = [str(name) for name in task.options.get("action_names", [])]
    known = {str(i): i for i in range(count)} | {f"{i}.0": i for i in range(count)}
    known |= {name: i for i, name in enumerate(names)}
    codes = np.array([known.get(str(word).strip(), -1) for word in words], dtype=np.int64)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise DataError(
            f"'{column}' is '{words[row]}' in row {row + 1}, which is no action.",
            where=_where(source),
            mend=f"the actions are 0..{count - 1}" + (f" ({', '.join(names)})" if names else ""),
        )
    return codes
