"""`pellucid log`: who changed a program, when, why, on what evidence."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_store, dump, open_store, show

EXAMPLE = """\
example:
  pellucid log stocks
  pellucid log                       all programs and their heads"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="the program; without it, all programs are listed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.report.terminal import log_view
    from pellucid.runs.pages import history

    store = open_store(args)
    if args.name is None:
        for name in store.names():
            head = store.head(name)
            print(f"{name:<24} {head.ref if head else 'no version'}   {len(store.versions(name))} versions")
        return 0
    events = history(store, store.resolve(args.name).name)
    if args.json:
        dump(events)
    else:
        show(log_view(events))
    return 0
