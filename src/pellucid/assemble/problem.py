"""The problem: a spec with its data read, once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.assemble.transfer import Start
from pellucid.core.errors import DataError, SpecError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.envs.names import TRADING
from pellucid.spec.model import IN_MEMORY, ControlTask, PricesData, Spec, TableData
from pellucid.spec.series import SeriesData

if TYPE_CHECKING:
    from pellucid.data.prices import PriceTable
    from pellucid.data.series import SeriesTable

STALE = 0.05  # share of days of a year whose open repeats the last close


@dataclass(frozen=True)
class Problem:
    """A spec with its data read: what every fit of it starts from.

    Args:
        rows: all rows in raw units, or None when there is only an environment.
        fields: inputs of the schema.
        purge: rows left out between training and test, so that no label of one reaches into the other.
        classes: of a classification target, in code order.
        notes: what was dropped or changed while reading, for the evidence.
        data_sha: SHA-256 over keys, fields and targets.
        quarantine: counts of the rows that could not be read; empty when all could.
        quarantined: these rows as JSON Lines.
        season, frequency: steps of a season, and what a step is, of series.
        start: the version whose weights are the first.
    """

    spec: Spec
    rows: Rows | None
    fields: tuple[Field, ...]
    purge: int = 0
    classes: tuple[str, ...] = ()
    target_kind: str = ""
    notes: tuple[str, ...] = ()
    data_sha: str = ""
    quarantine: dict[str, Any] = field(default_factory=dict)
    quarantined: str = ""
    season: int = 1
    frequency: str = ""
    start: Start | None = None

    @property
    def trades(self) -> bool:
        """One of the tasks trades these very prices."""
        return self.rows is not None and any(
            isinstance(t, ControlTask) and t.env == TRADING for t in self.spec.tasks.values()
        )


def problem(spec: Spec, source: Any = None, progress: Callable[[float, int], None] | None = None) -> Problem:
    """Read the data of a spec.

    Args:
        spec: what is to be learned.
        source: a table or path that replaces the spec's own source.
        progress: told the share of a table that has been read (NaN when unknown), and the rows.
    """
    data = spec.data
    if source is None and data is not None and data.source == IN_MEMORY:
        raise DataError(
            f"'{spec.name}' was fitted on a table in memory, which is not kept.",
            where="data.source",
            mend="give it again: source=frame in Python, --data FILE on the command line",
        )
    if isinstance(data, PricesData):
        from pellucid.data.prices import load_prices, schema_fields, windows  # pandas: not where nothing is read

        horizon = max((getattr(t, "horizon", 1) for t in spec.tasks.values()), default=1)
        where = source if source is not None else spec.source or ""
        table = load_prices(where, start=_text(data.start), end=_text(data.end))
        rows = windows(table, data.window, data.scale_days, horizon)
        following = np.append(rows.extra["simple_return"][1:], np.nan)
        rows = replace(rows, extra={**rows.extra, "next_return": following})
        trades = any(isinstance(t, ControlTask) and t.env == TRADING for t in spec.tasks.values())
        fields = schema_fields(data.window, position=trades)
        # A position decided at t earns t+1 -> t+2, so two days at least.
        return Problem(spec, rows, fields, max(horizon, 2), notes=_stale(table), data_sha=fingerprint(rows))
    if isinstance(data, TableData):
        from pellucid.data.tables import read_table
        from pellucid.data.targets import asked_of

        where = source if source is not None else spec.source or ""
        read = read_table(
            where,
            data.target,
            data.id,
            data.drop,
            asked=asked_of(spec),
            query=data.query,
            read=data.read,
            progress=progress,
            aside=data.aside,
            declared=data.fields,
        )
        if not spec.tasks:
            spec = spec.replace({f"tasks.{task_name(data.target)}": {"kind": read.kind}})
        return Problem(
            spec,
            read.rows,
            read.fields,
            classes=read.classes,
            target_kind=read.kind,
            notes=tuple(read.notes),
            quarantine=read.quarantine.to_json(read.good) if read.quarantine.count else {},
            quarantined=read.quarantine.lines(),
            data_sha=fingerprint(read.rows),
        )
    if isinstance(data, SeriesData):
        return _of_series(spec, data, source if source is not None else spec.source or "", progress)
    if source is not None:
        raise SpecError(
            f"'{spec.name}' learns from an environment and reads no rows.",
            where=str(source)[:80],
            mend="leave the data out, or give a spec with a `data` section",
        )
    return Problem(spec, None, (), data_sha=_shown_sha(spec))


def _of_series(spec: Spec, data: SeriesData, source: Any, progress: Callable[[float, int], None] | None) -> Problem:
    from pellucid.data.series import read_series
    from pellucid.data.windows import windows

    table = read_series(source, data, progress)
    rows, notes = windows(table, data)
    return series_problem(spec, data, table, rows, notes)


def series_problem(
    spec: Spec, data: SeriesData, table: SeriesTable, rows: Rows, notes: tuple[str, ...] = ()
) -> Problem:
    """The problem of series that are read, and of their windows."""
    from pellucid.data.windows import schema_fields

    if not spec.tasks:
        spec = spec.replace({f"tasks.{task_name(data.target)}": {"kind": "horizons"}})
    bad = table.quarantine
    good = sum(one.observed for one in table.series)
    return Problem(
        spec,
        rows,
        schema_fields(table, data),
        purge=data.horizon,
        target_kind="horizons",
        notes=(*table.notes, *notes),
        quarantine=bad.to_json(good) if bad is not None and bad.count else {},
        quarantined=bad.lines() if bad is not None else "",
        data_sha=fingerprint(rows),
        season=table.season,
        frequency=table.frequency,
    )


def _shown_sha(spec: Spec) -> str:
    """SHA-256 of the files of shown actions; empty without any."""
    declared = [t for t in spec.tasks.values() if isinstance(t, ControlTask) and t.algorithm == "bc"]
    files = [path for t in declared if (path := Path(spec.located(t.bc.demonstrations))).is_file()]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest() if files else ""


def _stale(table: PriceTable) -> tuple[str, ...]:
    """A warning when the opens are no prices that one could have traded at."""
    from pellucid.data.prices import stale_open_share

    worst = {year: share for year, share in stale_open_share(table).items() if share > STALE}
    if not worst:
        return ()
    years = f"{min(worst)}-{max(worst)}" if len(worst) > 1 else f"{next(iter(worst))}"
    return (
        f"open repeats the last close on up to {max(worst.values()):.0%} of the days in {years}: "
        "a fill at the open would trade at a price already seen; trades are filled at the next close",
    )


def task_name(target: str | Sequence[str]) -> str:
    """A task name from a column's name; several columns are `labels`."""
    if not isinstance(target, str):
        return "labels"
    name = re.sub(r"[^a-z0-9_]+", "_", target.lower()).strip("_")
    return name if name[:1].isalpha() else f"target_{name}".rstrip("_")


def _text(day: Any) -> str | None:
    return None if day is None else str(day)


def fingerprint(rows: Rows) -> str:
    """SHA-256 over keys, fields and targets."""
    digest = hashlib.sha256("\n".join(rows.keys).encode())
    for group in (rows.fields, rows.targets):
        for name in sorted(group):
            values = group[name]
            digest.update(name.encode())
            digest.update(
                "\x1f".join(map(str, values)).encode()
                if values.dtype.kind in "OUS"
                else np.ascontiguousarray(values).tobytes()
            )
    return digest.hexdigest()
