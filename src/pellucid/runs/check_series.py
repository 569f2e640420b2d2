"""What a check of series finds: columns that tell the target before its time, and windows that look ahead or aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.assemble.problem import series_problem
from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.data.profile import Finding, profile_columns
from pellucid.data.reading import read_source
from pellucid.data.series import SeriesTable, read_series, until
from pellucid.data.tables import known_columns
from pellucid.data.windows import windows
from pellucid.runs.check_data import DataReport, as_finding
from pellucid.runs.moments import split_series
from pellucid.spec.model import Spec
from pellucid.spec.series import SeriesData

CHECKS = ("reading", "target leakage", "truncation invariance", "entity isolation")
SAME = 0.99  # correlation of the steps of two columns from which on one tells the other
FEWEST = 20  # steps by which that is judged
CUTS = (0.1, 0.3, 0.6, 0.9)
MOST_SERIES = 8  # that are computed alone

Floats = npt.NDArray[np.float64]


def check_series(source: Any, spec: Spec) -> DataReport:
    """Look at series as a spec reads them; every problem at once.

    Raises:
        DataError: the source cannot be opened, or lacks a column that is named.
    """
    data = spec.data
    assert isinstance(data, SeriesData)
    found = read_source(source, data.read, data.query)
    uses = {data.target: "target", data.time: "time", **({data.group: "group"} if data.group else {})}
    uses |= dict.fromkeys(data.known, "known ahead") | dict.fromkeys(data.past, "known so far")
    for name, role in uses.items():
        known_columns([name], found.names, role, found.where)
    report = DataReport(found.where, len(found))
    report.columns = [replace(c, use=uses.get(c.name, "left out")) for c in profile_columns(found, data.read.decimal)]
    try:
        table = read_series(found, data)
        rows, notes = windows(table, data)
        problem = series_problem(spec, data, table, rows)
        train, review, folds, _ = split_series(problem, None)
    except DataError as error:
        report.problems.append(as_finding("reading", error))
        report.checks = {check: "1 problem" if check == "reading" else "not made" for check in CHECKS}
        return report
    report.notes += [*table.notes, *notes]
    report.notes.append(
        f"{len(table.series)} series by {table.frequency}, a season of {table.season} steps; "
        f"{len(rows)} moments at which one can forecast {data.horizon} ahead"
    )
    report.inputs = {f.name: f.kind for f in problem.fields}
    values = np.concatenate([one.values for one in table.series])
    quartiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    report.target = {"column": data.target, "kind": "horizons", "quartiles": quartiles}
    sizes = {"training": len(train), "review": len(review), "folds": len(folds)}
    report.split = {"kind": "by time", **sizes}
    report.problems += told_too_early(table, data)
    report.problems += looking_ahead(table, data, rows)
    report.problems += mixed_up(table, data, rows)
    counts = Counter(problem.check for problem in report.problems)
    made = {check: f"{counts[check]} problem" + "s" * (counts[check] > 1) for check in CHECKS if counts[check]}
    report.checks = {check: made.get(check, "passed") for check in CHECKS}
    if not data.group:
        report.checks["entity isolation"] = "not asked for"
    return report


def told_too_early(table: SeriesTable, data: SeriesData) -> list[Finding]:
    """Columns whose steps are those of the target: known ahead at the same moment, known so far before it."""
    found = []
    for name in data.known:
        same = _alike([(one.values, one.known[name][: one.observed]) for one in table.series])
        if same >= SAME:
            what = f"'{name}', known ahead, goes up and down with '{data.target}' (correlation {same:.3f})."
            mend = "it tells the target: leave it out, or give it as data.past if it is known no earlier"
            found.append(Finding("target leakage", what, f"{table.where}, column '{name}'", mend))
    for name in data.past:
        for ahead in range(1, data.horizon + 1):
            same = _alike([(one.values[ahead:], one.past[name][: one.observed - ahead]) for one in table.series])
            if same >= SAME:
                what = (
                    f"'{name}' goes up and down as '{data.target}' does {ahead} steps later (correlation {same:.3f})."
                )
                mend = "it holds the future: move it, or leave it out"
                found.append(Finding("target leakage", what, f"{table.where}, column '{name}'", mend))
                break
    return found


def looking_ahead(table: SeriesTable, data: SeriesData, rows: Rows) -> list[Finding]:
    """Rows must stay as they are when what came later is cut off."""
    found: dict[str, Finding] = {}
    steps = rows.extra["step"].astype(np.int64)
    for cut in sorted({int(step) for step in np.quantile(steps, CUTS)}):
        try:
            before, _ = windows(until(table, cut), data)
        except DataError:
            continue  # no series is long enough yet
        for name in _changed(rows, before):
            what = f"'{name}' changes in the past when the steps after {cut} are cut off."
            mend = f"compute '{name}' from earlier steps"
            found.setdefault(name, Finding("truncation invariance", what, table.where, mend))
    return list(found.values())


def mixed_up(table: SeriesTable, data: SeriesData, rows: Rows) -> list[Finding]:
    """Rows of a series must stay as they are when it is alone."""
    found: dict[str, Finding] = {}
    for one in table.series[:MOST_SERIES] if data.group else ():
        try:
            alone, _ = windows(replace(table, series=(one,)), data)
        except DataError:
            continue  # it is too short, and left out
        for name in _changed(rows, alone):
            what = f"'{name}' of '{one.name}' changes when there is no other series."
            mend = f"compute '{name}' of each series from its own values"
            found.setdefault(name, Finding("entity isolation", what, table.where, mend))
    return list(found.values())


def _changed(rows: Rows, part: Rows) -> list[str]:
    """The fields that are not the same in the rows that both have."""
    _, mine, theirs = np.intersect1d(rows.keys, part.keys, return_indices=True)
    a, b = rows.take(mine), part.take(theirs)
    return [name for name in a.fields if not _equal(a.fields[name], b.fields[name])]


def _equal(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    if a.dtype.kind in "fiu":
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True))
    return bool((a == b).all())


def _alike(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """The correlation of the steps of two columns over all series, each in its own units; 0 when they are too few."""
    left, right = [], []
    for a, b in pairs:
        x, y = np.diff(a), np.diff(b)
        known = np.isfinite(x) & np.isfinite(y)
        if known.sum() >= 3 and x[known].std() > 0 and y[known].std() > 0:
            left.append((x[known] - x[known].mean()) / x[known].std())
            right.append((y[known] - y[known].mean()) / y[known].std())
    if sum(map(len, left)) < FEWEST:
        return 0.0
    return float(abs(np.mean(np.concatenate(left) * np.concatenate(right))))
