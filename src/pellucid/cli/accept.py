"""`pellucid accept`: make a reviewed candidate the next version."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_reviewer, add_store, open_store, then

EXAMPLE = """\
example:
  pellucid accept stocks~3f2a --because "volume no longer matters; cost within budget" """


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("candidate", help="e.g. stocks~3f2a")
    parser.add_argument("--override-gates", action="store_true", help="accept although a gate failed")
    add_reviewer(parser)
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.runs.reviewing import accept

    ref, found = accept(
        open_store(args), args.candidate, reviewer=args.reviewer, because=args.because, override=args.override_gates
    )
    step = then(args, f"report {ref} --html {ref.partition('@')[0]}.html")
    print(f"{args.candidate} is {ref} now (reviewed: {found}).\n{step}")
    return 0
