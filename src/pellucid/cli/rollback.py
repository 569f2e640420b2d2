"""`pellucid rollback`: move a program's head to an earlier version; deletes nothing."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_reviewer, add_store, open_store, then, whole

EXAMPLE = """\
example:
  pellucid rollback stocks --to 1 --because "the vendor mended the volumes" """


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the program")
    parser.add_argument("--to", type=whole(1), required=True, metavar="N", help="number of the version")
    add_reviewer(parser)
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    ref = open_store(args).rollback(args.name, args.to, reviewer=args.reviewer, because=args.because)
    print(f"the head of '{args.name}' is {ref} again, bit by bit; later versions are kept.")
    print(then(args, f"log {args.name}"))
    return 0
