"""`pellucid revise`: train a small change from the open feedback and propose it."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_data, add_quiet, add_store, number, open_store, reporting, then, whole

EXAMPLE = """\
example:
  pellucid revise stocks@1
  pellucid revise stocks@1 --method adalora --share 0.04 --budget 0.1"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="the version to correct: the head, if it is to be accepted")
    parser.add_argument("--method", choices=["lora", "adalora"], default="lora", help="kind of delta (lora)")
    parser.add_argument(
        "--share", type=number(0, 1), default=0.05, metavar="S", help="largest share of the parameters (0.05)"
    )
    parser.add_argument("--updates", type=whole(1), default=600, metavar="N", help="training steps of the delta (600)")
    parser.add_argument("--budget", type=number(0), default=0.05, metavar="S", help="loss you are ready to pay (0.05)")
    parser.add_argument("--because", default="", metavar="WHY", help="default: the reasons of the feedback")
    parser.add_argument("--author", metavar="WHO", help="default: $PELLUCID_USER or the login name")
    add_data(parser)
    add_store(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.runs.revise import ReviseConfig, revise

    store = open_store(args)
    config = ReviseConfig(method=args.method, share=args.share, updates=args.updates, budget=args.budget)
    with reporting(args.quiet) as reporter:
        done = revise(
            store,
            args.version,
            config,
            source=args.data,
            author=args.author,
            because=args.because,
            reporter=reporter,
        )
    for note in done.notes:
        print(note)
    if done.ref is not None:
        parent = store.resolve(done.ref).parent
        print(f"\nproposed {done.ref}. {then(args, f'diff {parent} {done.ref}')}")
    return 0
