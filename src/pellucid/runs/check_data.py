"""Everything that can be told of a table before anything is learned from it: `pellucid check data`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, PellucidError
from pellucid.core.labels import label_matrix
from pellucid.core.rows import Rows
from pellucid.data.columns import side_by_side
from pellucid.data.encoding import Encoding
from pellucid.data.images import averaged, compared, single_columns
from pellucid.data.profile import ColumnProfile, Finding, profile_columns
from pellucid.data.reading import Read, read_source
from pellucid.data.tables import WORDS, Table, known_columns, read_table
from pellucid.data.targets import asked_of
from pellucid.evidence.controls import entity_isolation, memoriser, shuffled_target, truncation_invariance
from pellucid.evidence.copies import copies_across
from pellucid.evidence.folds import Fold
from pellucid.evidence.leaks import known_after, target_leakage
from pellucid.runs.dividing import divide_folds, divide_review, way
from pellucid.spec.model import FieldSpec, PricesData, Spec, TableData

FEWEST_OF_CLASS = 5
RARE_CLASS = 0.01
MOSTLY_EMPTY = 0.5
CONTROL_ROWS = 2000
MOST_LABELS = 20  # that are looked at for leakage
CHECKS = (
    "reading",
    "target",
    "target leakage",
    "duplicates across splits",
    "split",
    "shuffled target",
    "truncation invariance",
    "entity isolation",
    "future",
)


@dataclass
class DataReport:
    """What a check found.

    Args:
        source: the table's name.
        rows: that can be read.
        quarantine: counts of those that cannot.
        duplicates: rows that repeat an earlier one in all columns but the id.
        target: its column, kind, classes with counts or quartiles; empty without one.
        split: how the rows would be divided, and the sizes.
        checks: name -> "passed", "n problems", or why it was not made.
        problems: what must be mended.
        notes: what is worth a look.
    """

    source: str
    rows: int = 0
    columns: list[ColumnProfile] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    quarantine: dict[str, Any] = field(default_factory=dict)
    duplicates: int = 0
    target: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        plain = {k: v for k, v in vars(self).items() if k not in ("columns", "problems")}
        columns = [column.to_json() for column in self.columns]
        return {**plain, "columns": columns, "problems": [problem.to_json() for problem in self.problems]}


def check_data(source: Any, spec: Spec) -> DataReport:
    """Look at a table as a spec reads it; every problem at once.

    Args:
        source: what `data.sources` opens.
        spec: with a table as data; without a known target (`data.target` of "") no check asks for it.
    Raises:
        DataError: the source cannot be opened, or lacks a column that is named.
    """
    data = spec.data
    assert isinstance(data, TableData)
    found = read_source(source, data.read, data.query)
    roles = {"id": data.id, **data.aside}
    named = [*((name, "target") for name in data.targets if name), *((n, role) for role, n in roles.items() if n)]
    for name, role in named:
        known_columns([name], found.names, role, found.where)
    known_columns(data.drop, found.names, "drop", found.where)
    report = DataReport(found.where, len(found))
    uses = dict(named) | dict.fromkeys(data.drop, "left out")
    uses |= {name: "left out" for name, said in data.fields.items() if said.drop}
    report.columns = [
        _said(replace(c, use=uses.get(c.name, c.use)), data.fields.get(c.name))
        for c in profile_columns(found, data.read.decimal)
    ]
    _columns(report, {**found.said, **data.fields})
    table = _table(found, data, spec, report)
    report.duplicates = _repeats(found, data.id)
    if report.duplicates:
        report.notes.append(
            f"{report.duplicates} rows repeat an earlier row in all columns" + (" but the id" * bool(data.id))
        )
    if table is not None:
        _rows(table, spec, report)
    counts = Counter(problem.check for problem in report.problems)
    for check, n in counts.items():
        report.checks[check] = f"{n} problem" + "s" * (n > 1)
    report.checks = {check: report.checks.get(check, "not asked for") for check in CHECKS}
    return report


def _said(column: ColumnProfile, said: FieldSpec | None) -> ColumnProfile:
    """A column as the spec says that it is."""
    if said is None:
        return column
    kind = "ordinal" if said.order else said.kind or column.kind
    order = tuple(said.order) or column.order
    return replace(column, kind=kind, order=order, unit=said.unit, description=said.description)


def _columns(report: DataReport, fields: Mapping[str, FieldSpec]) -> None:
    for c in report.columns:
        if c.use == "input" and c.kind == "id" and c.distinct == report.rows:
            report.notes.append(f"'{c.name}' numbers or names the rows: give it as the id (data.id), or drop it")
        if c.use == "input" and c.missing > MOSTLY_EMPTY and c.kind != "constant":
            report.notes.append(f"'{c.name}' is empty in {c.missing:.0%} of the rows")
        if c.kind == "ordinal" and c.use == "input" and not fields.get(c.name, FieldSpec()).order:
            order = " < ".join(c.order)
            report.notes.append(
                f"'{c.name}' seems to have an order ({order}): data.fields.{c.name}.order makes it a number"
            )
        if c.kind == "date" and c.use == "input" and fields.get(c.name, FieldSpec()).kind != "date":
            report.notes.append(
                f"'{c.name}' holds dates: data.fields.{c.name}.kind=date reads year, month, weekday, days"
            )
        if c.kind == "image" and c.use == "input" and fields.get(c.name, FieldSpec()).kind != "image":
            report.notes.append(f"'{c.name}' holds paths of pictures: data.fields.{c.name}.kind=image reads them")


def _table(found: Read, data: TableData, spec: Spec, report: DataReport) -> Table | None:
    """The table as a fit reads it; what stops the reading is a problem."""
    try:
        table = read_table(
            found,
            data.target or None,
            data.id,
            data.drop,
            asked=asked_of(spec),
            read=data.read,
            aside=data.aside,
            declared=data.fields,
        )
    except DataError as error:
        report.problems.append(as_finding("reading", error))
        return None
    report.rows = len(table.rows)
    report.inputs = {f.name: "ordinal" if f.kind == "numeric" and f.categories else f.kind for f in table.fields}
    read = {name for f in table.fields for name in f.sources}
    report.columns = [
        replace(c, use="left out") if c.use == "input" and c.name not in read else c for c in report.columns
    ]
    report.notes = [*table.notes, *report.notes]
    report.checks["reading"] = "passed"
    if table.quarantine.count:
        report.quarantine = table.quarantine.to_json(table.good)
        first = table.quarantine.rows[0]
        what = f"{table.quarantine.count} of {table.good + table.quarantine.count} rows cannot be read: {first.reason}."
        mend = "mend these rows in the source; a fit sets them aside"
        report.problems.append(Finding("reading", what, f"{first.file}, {table.quarantine.unit} {first.number}", mend))
        report.notes = [note for note in report.notes if "(quarantine)" not in note]
    return table


def as_finding(check: str, error: PellucidError) -> Finding:
    """What stopped a check, as what it found."""
    return Finding(check, error.what, error.where, error.mend)


def _rows(table: Table, spec: Spec, report: DataReport) -> None:
    rows, where = table.rows, report.source
    y = rows.targets.get("target")
    if y is not None:
        _target(table, y, report)
        columns = single_columns(table.fields, rows.fields)
        for label, kind in _asked(table, y)[:MOST_LABELS]:
            problems, notes = target_leakage(columns, label, kind, where=where, seed=spec.seed)
            report.problems += problems
            report.notes += notes
        report.checks["target leakage"] = "passed"
    _in_time(table, y, where, report)
    labels = y if y is not None and table.kind in WORDS else None
    try:
        review = divide_review(spec, rows, labels)
        folds = divide_folds(spec, rows.take(review.train), None if labels is None else labels[review.train])
    except DataError as error:
        report.problems.append(as_finding("split", error))
        return
    parts = [review, *(Fold(review.train[f.train], review.train[f.test]) for f in folds)]
    _split(spec, rows, labels, parts, report)
    seen: set[str] = set()
    shown = compared(table.fields, rows.fields)
    for part in parts:
        found, notes = copies_across(shown, part.train, part.test, where=where, seed=spec.seed)
        if found and not seen:
            report.problems += found[:1]
        elif not seen:
            report.notes += [note for note in notes if not any("equal a training row" in n for n in report.notes)]
        seen |= {f.check for f in found}
    report.checks["duplicates across splits"] = "passed"
    if y is not None:
        _shuffled(table, y, parts, spec, report)
    _pipeline(table, parts, report)


def _asked(table: Table, y: npt.NDArray[Any]) -> list[tuple[npt.NDArray[Any], str]]:
    """The questions that a target asks, each as classes or as numbers: of several labels, whether each is there."""
    if table.kind != "multilabel":
        return [(y, "classify" if table.kind in WORDS else "regress")]
    on = label_matrix(y, table.classes)
    frequent = np.argsort(np.abs(on.mean(0) - 0.5), kind="stable")  # the most balanced first
    return [(np.where(on[:, j], "yes", "no"), "classify") for j in frequent]


def _target(table: Table, y: npt.NDArray[Any], report: DataReport) -> None:
    report.checks["target"] = "passed"
    report.target = {"column": table.target, "kind": table.kind}
    if table.kind == "multilabel":
        report.target["labels"] = dict(zip(table.classes, label_matrix(y, table.classes).sum(0).tolist(), strict=True))
        return
    if table.kind not in WORDS:
        cuts = np.quantile(y, [0, 0.25, 0.5, 0.75, 1])
        report.target["quartiles"] = [float(v) for v in cuts]
        return
    counts = {name: int((y == name).sum()) for name in table.classes}
    report.target["classes"] = counts
    few = {name: n for name, n in counts.items() if n < FEWEST_OF_CLASS}
    if few:
        named = ", ".join(f"'{name}' {n}" for name, n in few.items())
        what = f"{len(few)} of {len(counts)} classes have fewer than {FEWEST_OF_CLASS} rows: {named}."
        mend = "join them with others, leave them out, or give more rows"
        report.problems.append(Finding("target", what, f"{report.source}, column '{table.target}'", mend))
    rare = [name for name, n in counts.items() if n < RARE_CLASS * len(y) and name not in few]
    if rare:
        report.notes.append(f"classes are far from balanced: {', '.join(map(repr, rare))} below {RARE_CLASS:.0%}")


def _in_time(table: Table, y: npt.NDArray[Any] | None, where: str, report: DataReport) -> None:
    """Fields that are known after, where rows have an order."""
    rows = table.rows
    times, groups = rows.extra.get("time"), rows.extra.get("group")
    if times is None:
        return
    order = np.lexsort((times, groups)) if groups is not None else np.argsort(times, kind="stable")
    if groups is None and len(np.unique(times)) < len(times):
        report.checks["future"] = "not made: several rows have one time; name their group (--group)"
        return
    report.checks["future"] = "passed"
    sorted_rows = rows.take(order)
    report.problems += known_after(
        single_columns(table.fields, sorted_rows.fields),
        None if y is None else y[order],
        groups=None if groups is None else groups[order],
        where=where,
    )


def _split(spec: Spec, rows: Rows, labels: Any, parts: list[Fold], report: DataReport) -> None:
    how = way(spec)
    report.split = {"kind": how, "training": len(parts[0].train), "review": len(parts[0].test), "folds": len(parts) - 1}
    report.checks["split"] = "passed"
    where = f"{report.source}, evidence.split: {how}"
    if "group" in rows.extra:
        group = rows.extra["group"]
        both = np.intersect1d(group[parts[0].train], group[parts[0].test])
        if len(both):
            what = f"{len(both)} of {len(np.unique(group))} groups stand on both sides (first '{both[0]}')."
            report.problems.append(Finding("split", what, where, "evidence.split: grouped"))
    if "time" in rows.extra and how not in ("walk_forward",):
        report.notes.append(f"the rows have times, and the split is {how}: it trains on rows later than those it tests")
    if labels is not None:
        untold = sorted({str(c) for p in parts for c in np.setdiff1d(labels[p.test], labels[p.train])})
        untested = sorted({str(c) for p in parts for c in np.setdiff1d(labels[p.train], labels[p.test])} - {*untold})
        if untold:
            named = ", ".join(map(repr, untold[:5]))
            what = f"{len(untold)} classes are tested in a fold whose training rows lack them: {named}."
            mend = "give fewer folds, a later start, or more rows of these classes"
            report.problems.append(Finding("split", what, where, mend))
        if untested:
            report.notes.append(f"some fold tests no row of {', '.join(map(repr, untested[:5]))}")


def _shuffled(table: Table, y: npt.NDArray[Any], parts: list[Fold], spec: Spec, report: DataReport) -> None:
    """A learner that learns by heart, on targets dealt anew: by entity where there is one."""
    rows, part = table.rows, parts[-1]
    some = np.sort(np.concatenate([_few(part.train, CONTROL_ROWS), _few(part.test, CONTROL_ROWS // 2)]))
    held = np.isin(some, part.test)
    encoding = Encoding.fit(table.fields, rows.take(part.train))
    blocks = encoding.encode(rows.take(some))
    columns = [averaged(blocks[f.name], f.shape, 8) if f.kind == "image" else blocks[f.name] for f in table.fields]
    matrix = side_by_side(columns).astype(np.float64)
    asked, kind = _asked(table, y)[0]
    target = asked[some].astype(str) if kind == "classify" else asked[some]
    units = rows.extra["group"][some] if "group" in rows.extra else None
    found, _ = shuffled_target(
        memoriser(matrix),
        target,
        np.flatnonzero(~held),
        np.flatnonzero(held),
        units=units,
        seed=spec.seed,
        where=f"{report.source}, evidence.split: {way(spec)}",
    )
    report.problems += found
    report.checks["shuffled target"] = "passed"


def _few(index: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    return index if len(index) <= most else index[np.linspace(0, len(index) - 1, most).astype(np.int64)]


def _pipeline(table: Table, parts: list[Fold], report: DataReport) -> None:
    """Our own encoding, fitted on the first training rows: what it says of a row must rest on that row alone."""
    rows = table.rows
    encoding = Encoding.fit(table.fields, rows.take(parts[-1].train))

    def encode(some: Rows) -> dict[str, npt.NDArray[Any]]:
        return {name: block.numpy() for name, block in encoding.encode(some).items()}

    if "time" in rows.extra:
        order = np.argsort(rows.extra["time"], kind="stable")
        report.checks["truncation invariance"] = "passed"
        report.problems += truncation_invariance(encode, rows.take(order), where=f"{report.source}, encoding")
    if "group" in rows.extra:
        report.checks["entity isolation"] = "passed"
        report.problems += entity_isolation(encode, rows, rows.extra["group"], where=f"{report.source}, encoding")


def _repeats(found: Read, id: str | None) -> int:
    """Rows that repeat an earlier one in all columns but the id."""
    import pandas as pd

    columns = {name: found.series(name).astype(str) for name in found.names if name != id}
    return int(pd.DataFrame(columns).duplicated().sum()) if columns else 0


def check_prices(source: Any, spec: Spec) -> DataReport:
    """The windows over a table of prices must not change when its future is cut off."""
    from pellucid.data.prices import PriceTable, load_prices, schema_fields, windows

    data = spec.data
    assert isinstance(data, PricesData)
    table = load_prices(source, start=_text(data.start), end=_text(data.end))
    rows = windows(table, data.window, data.scale_days)
    report = DataReport(str(source), len(rows), inputs={f.name: f.kind for f in schema_fields(data.window)})
    days = len(table.frame)
    lead = days - len(rows)
    found: list[Finding] = []
    cuts = sorted({lead + max(2, round(share * len(rows))) for share in (0.02, 0.1, 0.5, 0.9)})
    for cut in cuts:
        part = windows(PriceTable(table.asset, table.frame.iloc[:cut]), data.window, data.scale_days)
        common = np.intersect1d(part.keys, rows.keys)
        a, b = rows.take(np.isin(rows.keys, common)), part.take(np.isin(part.keys, common))
        for name in a.fields:
            if not np.allclose(a.fields[name], b.fields[name], rtol=1e-6, atol=1e-9, equal_nan=True):
                what = f"'{name}' changes in the past when the days after {cut} are cut off."
                found.append(Finding("truncation invariance", what, str(source), f"compute '{name}' from earlier days"))
    report.problems += list({f.what.split("'")[1]: f for f in found}.values())
    report.checks = {"reading": "passed", "truncation invariance": f"passed at {len(cuts)} cuts"}
    if found:
        report.checks["truncation invariance"] = f"{len(report.problems)} problems"
    return report


def _text(day: Any) -> str | None:
    return None if day is None else str(day)
