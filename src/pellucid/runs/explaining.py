"""Explanations of named rows of a version: its data are read again, the row is found by its key or its date."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pellucid.assemble import problem
from pellucid.core.errors import DataError, nearest
from pellucid.core.rows import Rows
from pellucid.data.tables import rows_from_frame
from pellucid.explain import Explanation, attribute
from pellucid.explain.together import Together
from pellucid.runs.artefact import Learned, load_program, load_rows, load_spec
from pellucid.runs.explained import kept_or, question
from pellucid.runs.policies import on_rows, trades, visited
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.spec.model import Spec, TableData
from pellucid.spec.series import SeriesData
from pellucid.store.store import Store


def explain(
    store: Store,
    ref: str,
    *,
    rows: Rows | pd.DataFrame | None = None,
    at: Sequence[str] = (),
    tasks: Sequence[str] = (),
    source: Any = None,
    method: str = "auto",
    grain: str | None = None,
    parts: int | None = None,
    together: Together | None = None,
    evaluations: int | None = None,
    seconds: float | None = None,
    error: float | None = None,
    value: str = "interventional",
    checks: bool = False,
    seed: int | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Explanation]:
    """Explanations per task; kept by content, so that asking again costs nothing (not those limited by seconds).

    After Ctrl-C the rows that are finished are returned, and further tasks are left out.

    Args:
        rows: rows, or a table with the program's inputs; a trading policy is asked in the positions that it takes.
        at: keys, dates (2018-02-05) or row numbers; by default all of `rows`, else the last review row (of an
            environment, the last of the kept states that the policy visits).
        tasks: by default all.
        source: a DataFrame or path that replaces the spec's own.
        method, grain, parts, together, evaluations, seconds, error, value, checks, seed: see `explain.attribute`.
    Raises:
        DataError: no such row, with the nearest one.
    """
    reporter = reporter or Silent()
    entry = store.resolve(ref)
    program, spec = load_program(store, entry), load_spec(store, entry)
    blobs: dict[str, str] = entry.manifest["blobs"]
    for name in tasks:
        program.task(name)  # a misspelt task is told before anything is computed
    if isinstance(rows, pd.DataFrame):
        made = series_rows(store, ref, rows)
        rows = rows if made is None else made
    own = own_rows(program, spec, source) if rows is None else None
    reviewed = frozenset(store.review_keys(entry.name) or ())
    found = {}
    with one_thread():
        for name in tasks or tuple(program.tasks):
            background = load_rows(store, blobs[f"background/{name}"])
            if rows is not None:
                pool = rows_given(program, name, rows)
                chosen = pick(pool, at) if at else pool
            else:
                pool = rows_asked(program, name, own, background)
                chosen = pick(pool, at or last_row(pool, reviewed))
            reporter.stage(f"explain {name}", len(chosen))
            options: dict[str, Any] = {
                "method": method,
                "grain": grain or spec.explain.grain,
                "parts": parts or spec.explain.parts,
                **({"together": {name: list(fields) for name, fields in together.items()}} if together else {}),
                "evaluations": evaluations or spec.explain.evaluations,
                "seconds": seconds,
                "error": error,
                "value": value,
                "checks": checks,
                "seed": spec.seed if seed is None else seed,
            }
            compute = partial(
                attribute,
                program,
                chosen,
                name,
                background=background,
                progress=lambda done, _: reporter.advance(done),
                **options,
            )
            asked = question(entry.sha, name, chosen, blobs[f"background/{name}"], options)
            found[name] = compute() if seconds is not None else kept_or(store, asked, compute)
            if len(found[name]) < len(chosen):
                break  # interrupted
    return found


def own_rows(program: Learned, spec: Spec, source: Any) -> Rows | None:
    """The rows that can be named. Of another table only the inputs are needed: whom one asks about has no label yet."""
    if source is not None and isinstance(spec.data, TableData):
        return rows_from_frame(source, list(program.schema.inputs), spec.data.id)
    return problem(spec, source).rows if spec.data is not None or source is not None else None


def rows_asked(program: Learned, name: str, rows: Rows | None, background: Rows) -> Rows:
    """The rows that can be asked about; a policy is asked in the states that it is in."""
    task = program.tasks[name]
    if rows is None or not on_rows(task):
        return background
    return visited(program, task, rows) if trades(task) else rows


def rows_given(program: Learned, name: str, data: Rows | pd.DataFrame) -> Rows:
    task = program.tasks[name]
    inputs = [field for field in task.inputs if not (trades(task) and field == "position")]
    rows = data if isinstance(data, Rows) else rows_from_frame(data, [program.schema[field] for field in inputs])
    return visited(program, task, rows) if trades(task) and "position" not in rows.fields else rows


def last_row(rows: Rows, reviewed: frozenset[str]) -> list[str]:
    """The key of the last review row, else of the last row."""
    keys = [str(key) for key in rows.keys]
    return [next((key for key in reversed(keys) if key in reviewed), keys[-1])]


def data_rows(store: Store, ref: str, source: Any = None) -> Rows:
    """All rows of a version's data, or of a DataFrame or path that replaces them."""
    entry = store.resolve(ref)
    rows = problem(load_spec(store, entry), source).rows
    if rows is None:
        raise DataError(
            f"'{entry.ref}' was learned from an environment, not from rows.",
            where="LearnedProgram.rows()",
            mend="explain(at=...) names states that the policy visits",
        )
    return rows


def series_rows(store: Store, ref: str, table: Any) -> Rows | None:
    """The rows of a table of series, one for every moment at which one could forecast; None for other programs."""
    spec = load_spec(store, store.resolve(ref))
    return problem(spec, table).rows if isinstance(spec.data, SeriesData) else None


def pick(rows: Rows, at: Sequence[str]) -> Rows:
    """The rows named by key, by date or by number."""
    keys = {str(key): i for i, key in enumerate(rows.keys)}
    days: dict[str, list[int]] = {}
    for i, day in enumerate(() if rows.times is None else rows.times):
        days.setdefault(str(day), []).append(i)  # of several series, all rows of that moment
    chosen: list[int] = []
    for wanted in at:
        if wanted in keys:
            chosen.append(keys[wanted])
        elif wanted in days:
            chosen += days[wanted]
        elif wanted.isdecimal() and int(wanted) < len(rows) and not days:  # 2018 among dates is no row number
            chosen.append(int(wanted))
        else:
            raise _unknown(wanted, rows, keys, days)
    return rows.take(np.asarray(chosen))


def _unknown(wanted: str, rows: Rows, keys: dict[str, int], days: dict[str, list[int]]) -> DataError:
    if days and rows.times is not None:
        try:
            asked = np.datetime64(wanted, "D")
        except ValueError:
            asked = None
        if asked is None or np.isnat(asked):
            return DataError(f"'{wanted}' is no date and no key.", where="--at", mend="write YYYY-MM-DD")
        first, last = rows.times[0], rows.times[-1]
        close = rows.times[np.abs(rows.times - asked).argmin()]
        mend = f"no prices of that day: the nearest one is {close}"
        if asked < first:
            mend = f"the first days only fill the windows; the first row is {first}"
        elif asked > last:
            mend = f"the last row is {last}"
        return DataError(f"there is no row for {wanted} (rows run from {first} to {last}).", where="--at", mend=mend)
    return DataError(
        f"there is no row '{wanted}' among {len(rows):,}.",
        where="--at",
        mend=nearest(wanted, list(keys)[:10_000])
        or f"give a row number below {len(rows)} or a key like '{rows.keys[0]}'",
    )
