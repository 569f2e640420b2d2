"""`pellucid explain`: what a version's outputs rest on, with standard errors."""

from __future__ import annotations

import argparse

from pellucid.cli.common import (
    add_data,
    add_quiet,
    add_store,
    dump,
    new_file,
    open_store,
    reporting,
    show,
    whole,
    write_page,
)

EXAMPLE = """\
example:
  pellucid explain stocks@1 --task trade --at 2018-02-05
  pellucid explain stocks@1 --at 2018-02-05 --at 2018-12-26 --html why.html
  pellucid explain cancer@1 --at 17 --method exact --grain field"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="stocks@1, stocks~3f2a, or stocks for the head")
    parser.add_argument("--task", action="append", default=[], metavar="NAME", help="default: all (repeatable)")
    parser.add_argument(
        "--at", action="append", default=[], metavar="ROW", help="a date, key or row number (repeatable)"
    )
    parser.add_argument("--method", choices=["auto", "exact", "permutation"], default="auto")
    parser.add_argument("--grain", choices=["field", "group"], help="players: whole fields, or groups of lags")
    parser.add_argument("--evaluations", type=whole(2), metavar="N", help="model evaluations per row")
    parser.add_argument("--seed", type=whole(0), metavar="N", help="default: the program's own")
    parser.add_argument("--html", type=new_file, metavar="FILE", help="also write a page with pictures")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_data(parser)
    add_store(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.report.html import explanation_page
    from pellucid.report.terminal import explanation_view
    from pellucid.runs.explaining import explain

    store = open_store(args)
    with reporting(args.quiet) as reporter:
        found = explain(
            store,
            args.version,
            at=args.at,
            tasks=args.task,
            source=args.data,
            method=args.method,
            grain=args.grain,
            evaluations=args.evaluations,
            seed=args.seed,
            reporter=reporter,
        )
    drawn = [explanation.to_json() for explanation in found.values()]
    if args.json:
        dump(drawn)
    else:
        show(*(explanation_view(one) for one in drawn))
    if args.html:
        page = explanation_page(drawn, program=store.resolve(args.version).ref)
        address = write_page(args.html, page)
        if not args.json:
            print(f"\npicture: {address}")
    return 0
