"""`pellucid fit`: learn a program from a spec, a table or an environment."""

from __future__ import annotations

import argparse
from typing import Any

from pellucid.cli.common import add_quiet, add_store, dump, open_store, reporting, show, then
from pellucid.spec.crosscheck import TABULAR

EXAMPLE = """\
example:
  pellucid fit examples/stocks.yaml
  pellucid fit examples/stocks.yaml --set train.updates=300 --set seed=1
  pellucid fit --data loans.csv --target default
  pellucid fit --data films.csv --target action --target comedy --target drama
  pellucid fit --data sqlite:///bank.db --set data.query=loans --target default
  pellucid fit --env CartPole-v1
  pellucid fit --env LunarLander-v3 --algorithm ppo
  pellucid fit --env FrozenLake-v1 --algorithm value_iteration
  pellucid fit examples/stocks.yaml --resume        after Ctrl-C or a crash: the same weights, bit by bit"""


# `bc` and `direct` need a spec: demonstrations, or a market
ALGORITHMS = ("ppo", "a2c", "dqn", "sac", "es", *TABULAR)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", nargs="?", help="a YAML file")
    parser.add_argument("--data", metavar="SOURCE", help="a file, pattern or URL (beside a spec: for its source)")
    parser.add_argument(
        "--target", metavar="COLUMN", action="append", help="the column to predict (repeated: columns of labels)"
    )
    parser.add_argument("--env", metavar="ID", help="a Gymnasium environment, e.g. CartPole-v1")
    parser.add_argument(
        "--algorithm", choices=ALGORITHMS, help="how a policy is learned (default: what was tuned for --env, else ppo)"
    )
    parser.add_argument("--name", help="name of the program")
    parser.add_argument(
        "--start", metavar="VERSION", help="a version, name@3, whose matching weights are the first (docs: transfer)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="a.b=v", help="override a value (repeatable)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted fit")
    parser.add_argument("--log", metavar="FOLDER", help="write progress.csv there, and events for TensorBoard")
    parser.add_argument("--because", default="", metavar="WHY", help="one line for the history")
    parser.add_argument("--json", action="store_true", help="print the evidence as JSON")
    add_store(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.handle import LearnedProgram
    from pellucid.report.terminal import evidence_view
    from pellucid.runs.beginning import chosen_spec
    from pellucid.runs.fit import fit
    from pellucid.spec.tuned import tuned

    target = args.target[0] if args.target and len(args.target) == 1 else args.target
    overrides = (*args.set, *([f"train.transfer.start={args.start}"] if args.start else []))
    spec, source = chosen_spec(args.spec, args.data, target, args.env, args.name, overrides, args.algorithm)
    store = open_store(args, create=True)
    with reporting(args.quiet) as reporter:
        if args.env and (found := tuned(args.env, args.algorithm)):
            reporter.note(f"{found[0]} with the settings tuned for {args.env}")
        done = fit(
            spec, store, source=source, resume=args.resume, because=args.because, reporter=reporter, log=args.log
        )
    evidence = LearnedProgram(store, done.ref).evidence  # with the trials and looks so far
    if args.json:
        dump({"ref": done.ref, "evidence": evidence})
        return 0
    told: dict[str, Any] = {} if args.quiet else {"notes": []}  # notes were shown with the progress
    show(evidence_view({**evidence, **told}))
    if done.accepted:
        print(f"\n{done.ref} is the head of '{spec.name}'. {then(args, f'explain {done.ref}')}")
    else:
        head = store.head(spec.name)
        step = then(args, f"diff {head.ref if head else spec.name} {done.ref}")
        print(f"\n{done.ref} is a candidate. {step}")
    return 0
