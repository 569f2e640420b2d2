"""`pellucid report`: one self-contained HTML page of evidence, explanations, corrections, diff and history."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_data, add_quiet, add_store, new_file, open_store, reporting, write_page

EXAMPLE = """\
example:
  pellucid report stocks@1 --at 2018-02-05 --html stocks.html
  pellucid report stocks~3f2a --html review.html
  pellucid report cancer@1 --card MODEL_CARD.md      what it is for, how good it is, what nobody measured"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="stocks@1, stocks~3f2a, or stocks for the head")
    parser.add_argument("--at", action="append", default=[], metavar="ROW", help="rows to explain (repeatable)")
    parser.add_argument("--against", metavar="VERSION", help="the diff's base (default: the parent)")
    parser.add_argument("--html", type=new_file, metavar="FILE", help="where the page goes (default: NAME-report.html)")
    parser.add_argument("--card", type=new_file, metavar="FILE", help="write a model card in Markdown, and no page")
    add_data(parser)
    add_store(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.runs.pages import card, report
    from pellucid.store.files import write_atomic

    store = open_store(args)
    if args.card:
        write_atomic(args.card, card(store, args.version).encode())
        print(f"card: {args.card}")
        return 0
    with reporting(args.quiet) as reporter:
        page = report(store, args.version, at=args.at, against=args.against, source=args.data, reporter=reporter)
    path = args.html or f"{store.resolve(args.version).name}-report.html"
    print(f"report: {write_page(path, page)}")
    return 0
