"""`pellucid reject`: decide against a candidate; the record stays."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_reviewer, add_store, open_store

EXAMPLE = """\
example:
  pellucid reject stocks~3f2a --because "costs more than it mends" """


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("candidate", help="e.g. stocks~3f2a")
    add_reviewer(parser)
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    open_store(args).reject(args.candidate, reviewer=args.reviewer, because=args.because)
    print(f"{args.candidate} is rejected; its record stays.")
    return 0
