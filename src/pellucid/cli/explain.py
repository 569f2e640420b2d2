"""`pellucid explain`: what a version's outputs rest on, with standard errors."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pellucid.cli.common import (
    add_answers,
    add_rows,
    dump,
    number,
    open_store,
    reporting,
    show,
    then,
    whole,
    write_page,
)
from pellucid.cli.words import WORDS, add_words, refuse_words, run_words

if TYPE_CHECKING:
    from pellucid.store.records import Entry
    from pellucid.store.store import Store

METHODS = ["auto", "exact", "permutation", "regression", "gaussian", "owen", "tree"]
METHODS += ["expected_gradients", "integrated_gradients"]
EXAMPLE = """\
example:
  pellucid explain stocks@1 --task trade --at 2018-02-05
  pellucid explain stocks@1 --task forecast --output q95
  pellucid explain stocks@1 --at 2018-02-05 --at 2018-12-26 --html why.html
  pellucid explain cancer@1 --at 17 --method exact --grain field
  pellucid explain loans@1 --at 17 --together money=income,debt
  pellucid explain cartpole@1 --episode 7 --outcome 50 --html why.html
  pellucid explain reviews@1 --at 17 --grain word --html words.html
  pellucid explain digits@1 --at 17 --grain part --parts 16 --html digit.html
  pellucid explain leaves@1 --at 17 --grain superpixel --parts 40 --html leaf.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="stocks@1, stocks~3f2a, or stocks for the head")
    parser.add_argument("--task", action="append", default=[], metavar="NAME", help="default: all (repeatable)")
    add_rows(parser)
    parser.add_argument(
        "--episode", type=whole(0), metavar="SEED", help="of a policy: every step of the episode with this seed"
    )
    parser.add_argument(
        "--outcome", type=whole(2), metavar="N", help="of a policy: what its return rests on, by N episodes a feature"
    )
    parser.add_argument("--output", metavar="NAME", help="the output to show, e.g. q95 (default: the answer itself)")
    parser.add_argument("--method", choices=METHODS, metavar="METHOD", default="auto")
    parser.add_argument("--value", choices=["interventional", "conditional"], default="interventional")
    parser.add_argument(
        "--grain",
        choices=["field", "group", "part", "superpixel", *WORDS],
        help="players: whole fields, groups of lags, parts of pictures or series, superpixels, or pieces of a text",
    )
    parser.add_argument("--parts", type=whole(1), metavar="N", help="with --grain part or superpixel: how many, about")
    parser.add_argument(
        "--together",
        action="append",
        default=[],
        type=_group,
        metavar="NAME=FIELD,FIELD",
        help="fields that are one player (repeatable)",
    )
    add_words(parser)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--evaluations", type=whole(2), metavar="N", help="model evaluations per row")
    budget.add_argument("--seconds", type=number(0.001), metavar="S", help="about so long, for each task")
    budget.add_argument("--error", type=number(1e-12), metavar="E", help="standard error, in the output's unit")
    parser.add_argument("--checks", action="store_true", help="also measure how far to trust it")
    add_answers(parser)


def run(args: argparse.Namespace) -> int:
    if args.episode is not None or args.outcome is not None:
        from pellucid.cli.policy import explain_policy

        refuse_words(args, "--episode and --outcome are about a policy")
        return explain_policy(args)
    from pellucid.report.html import explanation_page
    from pellucid.report.terminal import explanations_view
    from pellucid.runs.explaining import explain
    from pellucid.runs.pages import described_inputs

    store = open_store(args)
    entry = store.resolve(args.version)
    if args.output:
        _known(store, entry, args.output, args.task)
    if args.grain in WORDS:
        return run_words(args, store, entry)
    with reporting(args.quiet) as reporter:
        found = explain(
            store,
            args.version,
            at=args.at,
            tasks=args.task,
            source=args.data,
            method=args.method,
            grain=args.grain,
            parts=args.parts,
            together=dict(args.together),
            evaluations=args.evaluations,
            seconds=args.seconds,
            error=args.error,
            value=args.value,
            checks=args.checks,
            seed=args.seed,
            reporter=reporter,
        )
    drawn = [{**one.to_json(), **({"main": args.output} if args.output else {})} for one in found.values()]
    if args.json:
        dump(drawn)
    else:
        show(explanations_view(drawn))
        if any(len(one["outputs"]) > 1 for one in drawn) and not args.output:
            print("Another output is shown with --output NAME.")
        print(f"\n{then(args, f'feedback add {entry.ref} --ignore FIELD --because WHY')}")
    if args.html:
        page = explanation_page(drawn, program=entry.ref, inputs=described_inputs(store, entry))
        address = write_page(args.html, page)
        if not args.json:
            print(f"picture: {address}")
    stopped = any(text.startswith("interrupted") for one in found.values() for text in one.warnings)
    return 130 if stopped else 0


def _group(text: str) -> tuple[str, list[str]]:
    """`money=income,debt`."""
    name, _, fields = text.partition("=")
    members = [field.strip() for field in fields.split(",") if field.strip()]
    if not name or not members:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=FIELD,FIELD")
    return name, members


def _known(store: Store, entry: Entry, output: str, tasks: list[str]) -> None:
    """Refuse an output that none of the tasks returns, before anything is computed."""
    from pellucid.core.errors import SchemaError, nearest

    described = store.blobs.get_json(entry.manifest["blobs"]["program"])["tasks"]
    outputs = {t["name"]: t["outputs"] for t in described if not tasks or t["name"] in tasks}
    every = [name for names in outputs.values() for name in names]
    if output not in every:
        told = "; ".join(f"{task} returns {', '.join(names)}" for task, names in outputs.items())
        raise SchemaError(
            f"no output '{output}'" + (f": {told}." if told else "."),
            where="--output",
            mend=nearest(output, every) or "use one of these",
        )
