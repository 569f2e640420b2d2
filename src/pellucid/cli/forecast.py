"""`pellucid forecast`: the steps after the last value of each series."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_store, dump, open_store, show, then

EXAMPLE = """\
example:
  pellucid forecast sales
  pellucid forecast sales@2 --data sales_to_june.csv
  pellucid forecast sales --json"""

MOST = 200  # rows that a terminal shows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="sales@1, sales~3f2a, or sales for the head")
    parser.add_argument("--data", metavar="SOURCE", help="later values of the series, instead of the spec's source")
    parser.add_argument("--json", action="store_true", help="print JSON: a record per series and step")
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.report.numbers import number
    from pellucid.report.terminal.kit import table
    from pellucid.runs.forecasting import forecast

    store = open_store(args)
    found = forecast(store, args.version, args.data)
    if args.json:
        dump(found.to_dict("records"))
        return 0
    quantiles = [name for name in found.columns if name not in ("series", "origin", "time", "step")]
    rows = [
        (one["series"], one["time"], *(number(one[name]) for name in quantiles))
        for one in found.head(MOST).to_dict("records")
    ]
    show(table(("series", "time", *quantiles), rows, numeric=range(2, 2 + len(quantiles))))
    if len(found) > MOST:
        print(f"and {len(found) - MOST} more: --json shows all")
    ref = store.resolve(args.version).ref
    last = f"{found['series'].iloc[0]}/{found['origin'].iloc[0]}"
    print(f"\n{then(args, f'explain {ref} --at {last}')}")
    return 0
