"""`pellucid seeds`: fit once a seed, and judge the way of learning by all of them."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_quiet, add_store, dump, new_file, open_store, reporting, show, then, write_page
from pellucid.spec.crosscheck import TABULAR

EXAMPLE = """\
example:
  pellucid seeds --env CartPole-v1 --seeds 0-4
  pellucid seeds --env CartPole-v1 --algorithm dqn --seeds 0-9 --html dqn.html
  pellucid seeds examples/stocks.yaml --seeds 0,7,100-102 --json

after Ctrl-C or a crash, the same command goes on where it was: seeds that are done are not trained again"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", nargs="?", help="a YAML file")
    parser.add_argument("--env", metavar="ID", help="a Gymnasium environment, e.g. CartPole-v1")
    parser.add_argument(
        "--algorithm", choices=("ppo", "a2c", "dqn", "sac", "es", *TABULAR), help="as of `pellucid fit`"
    )
    parser.add_argument("--seeds", required=True, type=seeds, metavar="0-4", help="training seeds: 0-4, or 0,3,7")
    parser.add_argument("--name", help="name of the program")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=v", help="override a value (repeatable)")
    parser.add_argument("--json", action="store_true", help="print the evidence over all seeds as JSON")
    parser.add_argument("--html", type=new_file, metavar="FILE", help="also write it as one self-contained page")
    parser.add_argument("--markdown", type=new_file, metavar="FILE", help="also write it as Markdown")
    add_store(parser)
    add_quiet(parser)


def seeds(text: str) -> list[int]:
    """An argparse type: `0-4`, `0,3,7`, `0-2,100`; at least two, each once."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.strip().partition("-")
            found += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        found = []
    if len(found) < 2 or len(set(found)) < len(found) or len(found) > 1000:
        raise argparse.ArgumentTypeError(f"got '{text}'; give at least two seeds, each once: 0-4, or 0,3,7")
    return found


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pellucid.report.html import evidence_page
    from pellucid.report.markdown import evidence_comment
    from pellucid.report.terminal import evidence_view
    from pellucid.runs.beginning import chosen_spec
    from pellucid.runs.seeds import fit_seeds
    from pellucid.store.files import write_atomic

    spec, _ = chosen_spec(args.spec, None, None, args.env, args.name, tuple(args.set), args.algorithm)
    store = open_store(args, create=True)
    with reporting(args.quiet) as reporter:
        evidence = fit_seeds(spec, store, args.seeds, reporter=reporter)
    if args.markdown:
        write_atomic(Path(args.markdown), evidence_comment(evidence).encode())
    address = write_page(args.html, evidence_page(evidence)) if args.html else ""
    if args.json:
        dump(evidence)
        return 0
    show(evidence_view(evidence))
    if address:
        print(f"\npage: {address}")
    print(f"\n{then(args, f'log {spec.name}')}")
    return 0
