"""Series: one, or many in long format, read and checked to be regular in time.

A gap or a repetition is named, never filled in silence. Rows at the end of a series without a target are its future:
there stands what is known ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.data.cells import column
from pellucid.data.clock import Steps, frequency_of, irregular, labels_of, listed, moments, steps_of
from pellucid.data.quarantine import Quarantine
from pellucid.data.reading import Progress, Read, read_source
from pellucid.data.tables import known_columns
from pellucid.data.tidy import tidy
from pellucid.spec.series import SEASONS, SeriesData

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One series on consecutive steps; the last `len(steps) - observed` of them are its future.

    Args:
        name: as its column of groups says; of a single series, its target's name.
        steps: consecutive whole numbers, shape (T + F,).
        values: the target, shape (T,), what is missing carried forward.
        missing: which of the values are carried, shape (T,).
        known: numbers that are known ahead, by name, each (T + F,), NaN in the future where they are not given.
        past: numbers known up to the present, by name, each (T,).
    """

    name: str
    steps: Steps
    values: Floats
    missing: npt.NDArray[np.bool_]
    known: dict[str, Floats]
    past: dict[str, Floats]

    @property
    def observed(self) -> int:
        """Steps up to the last value."""
        return len(self.values)


@dataclass(frozen=True)
class SeriesTable:
    """All series of a source, with their common frequency and season."""

    series: tuple[Series, ...]
    frequency: str
    season: int
    notes: tuple[str, ...] = ()
    quarantine: Quarantine | None = None
    where: str = ""


def read_series(source: Any, data: SeriesData, progress: Progress | None = None) -> SeriesTable:
    """Read the series of a source.

    Args:
        source: what `data.sources.open_source` opens; a table in memory.
        data: names the columns.
    Raises:
        DataError: a column is missing or holds something else, steps are missing or stand twice; every problem named.
    """
    found = source if isinstance(source, Read) else read_source(source, data.read, data.query, progress)
    numbers = [data.target, *data.known, *data.past]
    for option, names in (("target", [data.target]), ("time", [data.time]), ("group", [data.group]),
                          ("known", data.known), ("past", data.past)):  # fmt: skip
        known_columns([name for name in names if name is not None], found.names, option, found.where)
    times = moments(_texts(found, data.time), data.time, found.where)
    columns = {name: _numbers(found, name, data) for name in numbers}
    labels = _texts(found, data.group) if data.group else np.full(len(times), data.target, dtype=object)
    if data.group and (empty := np.flatnonzero(labels == "")).size:
        raise DataError(
            f"the group '{data.group}' is empty in row {empty[0] + 1}.", where=found.where, mend="name every series"
        )
    members = _members(labels, times)
    longest = max(members.values(), key=len)
    frequency = data.step.frequency or frequency_of(times[longest], found.where)
    steps = steps_of(times, frequency)
    problems: list[str] = []
    made = [_one(name, index, steps, columns, data, frequency, problems) for name, index in members.items()]
    if problems:
        raise DataError(
            f"the series are not regular, by {frequency}: {listed(problems)}.",
            where=found.where,
            mend="complete or mend these rows, name another data.step.frequency, or carry the last value over what is "
            "missing: --set data.step.gaps=carry",
        )
    season = data.step.season or SEASONS[frequency]
    carried = sum(int(one.missing.sum()) for one in made)
    notes = list(found.notes)
    if carried:
        total = sum(one.observed for one in made)
        notes.append(f"'{data.target}' is missing in {carried} of {total:,} steps: the last value stands in there")
    if data.transform == "log":
        _require_positive(made, data, frequency, found.where)
    return SeriesTable(tuple(made), frequency, season, tuple(notes), found.quarantine, found.where)


def _texts(found: Read, name: str) -> npt.NDArray[Any]:
    tidied = tidy(name, found.series(name)).series
    return column(name, tidied, found.where).texts


def _numbers(found: Read, name: str, data: SeriesData) -> Floats:
    """Cells as numbers, NaN where empty: a cell that is no number would be a gap, and is an error."""
    tidied = tidy(name, found.series(name), data.read.decimal)
    if tidied.bad:
        row, reason = min(tidied.bad.items())
        file, line = found.place(row)
        raise DataError(f"column '{name}', {file}:{line}: {reason}.", where=found.where, mend="mend or empty the cell")
    values: Floats = column(name, tidied.series, found.where).values("numeric", found.where)
    return values


def _members(labels: npt.NDArray[Any], times: npt.NDArray[np.datetime64]) -> dict[str, npt.NDArray[np.int64]]:
    """Series -> its rows in time order; series by name."""
    order = np.lexsort((times, labels.astype(str)))
    names, first = np.unique(labels[order].astype(str), return_index=True)
    parts = np.split(order, first[1:])
    return {str(name): part for name, part in zip(names, parts, strict=True)}


def _one(
    name: str,
    index: npt.NDArray[np.int64],
    steps: Steps,
    columns: dict[str, Floats],
    data: SeriesData,
    frequency: str,
    problems: list[str],
) -> Series:
    """One series; what is irregular is told in `problems`."""
    own, y = steps[index], columns[data.target][index]
    twice = bool((np.diff(own) == 0).any())
    there = np.flatnonzero(np.isfinite(y))
    if not len(there):
        problems.append(f"{name}: '{data.target}' is empty in all {len(y)} rows")
        there = np.arange(1)
    begin = int(there[0])  # rows before the first value say nothing
    carry = data.step.gaps == "carry"
    if twice or not carry:
        problems += irregular(own[begin:], name, frequency)
    if twice or (not carry and (np.diff(own[begin:]) != 1).any()):
        return Series(name, own, y, np.isnan(y), {}, {})
    place = own[begin:] - own[begin]
    full = np.arange(own[begin], own[-1] + 1)
    observed = int(own[there[-1]] - own[begin]) + 1

    def spread(values: Floats) -> Floats:
        out = np.full(len(full), np.nan)
        out[place] = values[index][begin:]
        return out

    values = spread(columns[data.target])[:observed]
    missing = np.isnan(values)
    if missing.any() and not carry:
        problems += [f"{name}: '{data.target}' is empty in {label}"
                     for label in labels_of(full[:observed][missing], frequency)]  # fmt: skip
    known = {one: spread(columns[one]) for one in data.known}
    past = {one: spread(columns[one])[:observed] for one in data.past}
    for one, cells in {**known, **past}.items():
        empty = np.isnan(cells[:observed])
        if empty.any() and (not carry or empty[0]):
            label = labels_of(full[:observed][empty][:1], frequency)[0]
            problems.append(f"{name}: '{one}' is empty in {int(empty.sum())} steps, the first {label}")
    known = {one: np.r_[carried(cells[:observed]), cells[observed:]] for one, cells in known.items()}
    return Series(name, full, carried(values), missing, known, {one: carried(cells) for one, cells in past.items()})


def carried(values: Floats) -> Floats:
    """Values with the last one before in place of each that is missing; NaN before the first."""
    last = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), 0))
    return values[last]


def _require_positive(made: Sequence[Series], data: SeriesData, frequency: str, where: str) -> None:
    wrong = [
        f"{one.name}: {one.values[i]:g} in {labels_of(one.steps[i : i + 1], frequency)[0]}"
        for one in made
        for i in np.flatnonzero(one.values <= 0)[:1]
    ]
    if wrong:
        raise DataError(
            f"'{data.target}' has no logarithm: {listed(wrong)}.", where=where, mend="--set data.transform=none"
        )


def until(table: SeriesTable, step: int) -> SeriesTable:
    """The same table as it was at a step: no later value, of what is known ahead nothing either.

    For tests of what a pipeline sees: rows up to then must come out the same.
    """
    cut = []
    for one in table.series:
        n = int(np.searchsorted(one.steps[: one.observed], step, side="right"))
        if n:
            past = {name: cells[:n] for name, cells in one.past.items()}
            known = {name: cells[: n + one.steps.size - one.observed] for name, cells in one.known.items()}
            cut.append(replace(one, steps=one.steps[: n + one.steps.size - one.observed], values=one.values[:n],
                               missing=one.missing[:n], known=known, past=past))  # fmt: skip
    return replace(table, series=tuple(cut))
