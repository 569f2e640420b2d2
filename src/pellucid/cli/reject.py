"""`pellucid reject`: decide against a candidate; the record stays."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_reviewer, add_store, open_store, then

EXAMPLE = """\
example:
  pellucid reject stocks~3f2a --because "costs more than it mends" """


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("candidate", help="e.g. stocks~3f2a")
    add_reviewer(parser)
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    store = open_store(args)
    store.reject(args.candidate, reviewer=args.reviewer, because=args.because)
    name = store.resolve(args.candidate).name
    print(f"{args.candidate} is rejected; its record stays. {then(args, f'log {name}')}")
    return 0
