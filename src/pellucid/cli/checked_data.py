"""`pellucid check data`: the table of columns, the checks, the problems."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.cli.common import dump

if TYPE_CHECKING:
    from pellucid.runs.check_data import DataReport
    from pellucid.spec.model import Spec

NONE = ""  # no target


def check_data(args: argparse.Namespace) -> int:
    """Exit code 1 when there are problems."""
    from pellucid.runs import check_data as checks
    from pellucid.runs.check_series import check_series
    from pellucid.spec.model import PricesData
    from pellucid.spec.series import SeriesData

    spec = _spec(args)
    if isinstance(spec.data, PricesData):
        report = checks.check_prices(spec.source, spec)
    elif isinstance(spec.data, SeriesData):
        report = check_series(spec.source, spec)
    else:
        report = checks.check_data(spec.source, spec)
    if args.json:
        dump(report.to_json())
    else:
        _print(args, report)
    return 1 if report.problems else 0


def _spec(args: argparse.Namespace) -> Spec:
    """The spec of a file of settings, or the one that the options say."""
    from pellucid.core.errors import SpecError
    from pellucid.spec.loader import load_spec, spec_from

    if Path(args.file).suffix.lower() in (".yaml", ".yml"):
        given = {"target": args.target, "id": args.id, "time": args.time, "group": args.group, "query": args.query}
        spec = load_spec(args.file, args.set)
        changes: dict[str, Any] = {f"data.{key}": value for key, value in given.items() if value is not None}
        if args.drop:
            changes["data.drop"] = [*getattr(spec.data, "drop", []), *args.drop]
        spec = spec.replace(changes) if changes else spec
        if spec.data is None:
            raise SpecError(f"'{spec.name}' reads no data.", where=args.file, mend="pellucid check spec, or check env")
        return spec
    data: dict[str, Any] = {"kind": "table", "source": args.file, "target": args.target or "?", "drop": args.drop}
    for key in ("id", "time", "group", "query"):
        if (value := getattr(args, key)) is not None:
            data[key] = value
    spec = spec_from({"name": "table", "data": data}, where="check data", overrides=args.set)
    assert spec.data is not None
    if args.target is not None:
        return spec
    return spec.model_copy(update={"data": spec.data.model_copy(update={"target": NONE})})


def _print(args: argparse.Namespace, report: DataReport) -> None:
    kinds = Counter(report.inputs.values())
    print(f"{args.file}: {report.rows} rows" + "".join(f", {n} {kind}" for kind, n in kinds.items()))
    print("\n".join(_columns(report)))
    if report.target:
        print(f"target {report.target['column']}: {report.target['kind']}{_spread(report.target, report.rows)}")
    if report.split:
        s = report.split
        print(f"split {s['kind']}: {s['training']} rows to train on, {s['review']} for review, {s['folds']} folds")
    for name, text in report.checks.items():
        if text != "not asked for":
            print(f"check {name}: {text}")
    for note in report.notes:
        print(f"note: {note}")
    for problem in report.problems:
        print(problem)
    if report.problems:
        count = len(report.problems)
        print(f"{args.file}: {count} problem{'s' if count > 1 else ''}.")
        return
    if Path(args.file).suffix.lower() in (".yaml", ".yml"):
        print(f"Next: pellucid fit {shlex.quote(args.file)}")
        return
    print(f"Next: pellucid fit --data {shlex.quote(args.file)} --target {shlex.quote(args.target or 'COLUMN')}")


def _spread(target: dict[str, Any], rows: int) -> str:
    if "quartiles" in target:
        low, _, middle, _, high = target["quartiles"]
        return f", {low:g} to {high:g}, median {middle:g}"
    counts = target.get("labels") or target["classes"]
    total = rows if "labels" in target else sum(counts.values())
    shown = [f"{name} {n} ({n / total:.1%})" for name, n in list(counts.items())[:12]]
    more = f" and {len(counts) - 12} more" if len(counts) > 12 else ""
    return ": " + ", ".join(shown) + more


def _columns(report: DataReport) -> list[str]:
    """The columns as a table."""
    head = ("column", "kind", "use", "missing", "distinct", "examples")
    lines = [head]
    for c in report.columns:
        unit = f" [{c.unit}]" if c.unit else ""
        missing = "" if not c.missing else f"{c.missing:.1%}" if c.missing >= 0.001 else "<0.1%"
        lines.append((c.name + unit, c.kind, c.use, missing, str(c.distinct), ", ".join(c.examples)))
    widths = [min(40, max(len(line[i]) for line in lines)) for i in range(5)]
    shown = []
    for line in lines:
        cells = [
            cell.rjust(w) if i in (3, 4) else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=False))
        ]
        shown.append(("  " + "  ".join([*cells, line[5]])).rstrip())
    described = [f"  {c.name}: {c.description}" for c in report.columns if c.description]
    return shown + described if report.columns else []
