"""`pellucid inspect`: counterfactuals, linear fits, rules, dependence, interactions, importance, a surrogate tree."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pellucid.cli.common import add_answers, add_rows, dump, number, open_store, reporting, whole, write_page

if TYPE_CHECKING:
    from pellucid.runs.inspecting import Inspector

EXAMPLE = """\
example:
  pellucid inspect counterfactual cancer@1 --at 17 --to benign --keep age --only-down weight
  pellucid inspect counterfactual stocks@1 --task forecast --at 2018-02-05 --above 0.001
  pellucid inspect lime cancer@1 --at 17
  pellucid inspect rules cancer@1 --at 17 --precision 0.9
  pellucid inspect dependence cancer@1 --field age --ale --html age.html
  pellucid inspect interactions cancer@1 --at 17
  pellucid inspect interactions digits@1 --at 17 --grain part --parts 9
  pellucid inspect importance cancer@1
  pellucid inspect surrogate cancer@1 --leaves 6"""

QUESTIONS = {
    "counterfactual": "what would have to be different for another answer",
    "lime": "a linear fit around a row, with its local R²",
    "rules": "conditions that hold the answer in place (anchors)",
    "dependence": "the outputs over one field: partial dependence and single curves, or accumulated local effects",
    "interactions": "what pairs of fields do together that they do not do apart",
    "importance": "how much the metric worsens when a field is shuffled",
    "surrogate": "a small tree in the place of the program, judged on rows held out",
}

GRAINS = {
    "lime": ("group", "part"),
    "interactions": ("group", "field", "part"),
    "importance": ("field", "group", "part"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    questions = parser.add_subparsers(dest="question", required=True, metavar="{" + ",".join(QUESTIONS) + "}")
    parsers = {}
    for name, line in QUESTIONS.items():
        parsers[name] = questions.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")
        _common(parsers[name], rows=name in ("counterfactual", "lime", "rules", "interactions"))
    other = parsers["counterfactual"]
    other.add_argument("--to", metavar="NAME", help="the class or action wanted (default: the runner-up)")
    other.add_argument("--above", type=number(-1e300), metavar="X", help="of a number: at least this")
    other.add_argument("--below", type=number(-1e300), metavar="X", help="of a number: at most this")
    other.add_argument("--answers", type=whole(1), default=3, metavar="N", help="answers a row (default: 3)")
    for option, meaning in (
        ("--keep", "must not change"),
        ("--only-up", "may only grow"),
        ("--only-down", "may only shrink"),
    ):
        other.add_argument(option, action="append", default=[], metavar="FIELD", help=f"{meaning} (repeatable)")
    other.add_argument("--range", action="append", default=[], metavar="FIELD=LOW:HIGH", help="either end may be empty")
    other.add_argument("--most-changes", type=whole(1), default=0, metavar="N", help="fields that an answer changes")
    parsers["lime"].add_argument("--around", choices=["instance", "data"], default="instance", help="see the docs")
    parsers["lime"].add_argument("--samples", type=whole(10), default=2000, metavar="N", help="default: 2000")
    parsers["rules"].add_argument(
        "--precision", type=number(0, 1), default=0.95, metavar="P", help="of a rule's lower bound (default: 0.95)"
    )
    parsers["dependence"].add_argument("--field", required=True, metavar="NAME", help="a field of one value")
    parsers["dependence"].add_argument("--ale", action="store_true", help="accumulated local effects")
    parsers["importance"].add_argument("--repeats", type=whole(1), default=5, metavar="N", help="shuffles (default: 5)")
    for name, grains in GRAINS.items():
        parsers[name].add_argument("--grain", choices=grains, default=grains[0], help=f"players (default: {grains[0]})")
        parsers[name].add_argument(
            "--parts", type=whole(1), default=16, metavar="N", help="with --grain part: patches or segments, about"
        )
    parsers["surrogate"].add_argument("--leaves", type=whole(2), default=8, metavar="N", help="default: 8")


def _common(parser: argparse.ArgumentParser, *, rows: bool) -> None:
    parser.add_argument("version", help="stocks@1, stocks~3f2a, or stocks for the head")
    parser.add_argument("--task", metavar="NAME", help="default: the first")
    if rows:
        add_rows(parser)
    parser.add_argument("--output", metavar="NAME", help="the output that is meant (default: the answer itself)")
    add_answers(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.runs.inspecting import stored

    store = open_store(args)
    with reporting(args.quiet) as reporter:
        ask = stored(store, args.version, source=args.data, seed=args.seed, reporter=reporter)
        output = _output(ask, args)
        answer: Any = ASKED[args.question](ask, args)
    found = answer if isinstance(answer, list) else [answer]
    drawn = [{**one.to_json(), **({} if output is None else {"at": output})} for one in found]
    if args.json:
        dump(drawn)
    else:
        shown = {"output": output} if args.question in ("lime", "dependence", "interactions") and output else {}
        rows = range(len(found[0].keys)) if args.question == "lime" else [None]
        lines = [
            one.text(**shown, **({} if row is None else {"row": row})) for one in found for row in rows
        ]  # a linear fit tells one row at a time
        print("\n".join(lines))
    if args.html:
        from pellucid.report.html import inspection_page

        address = write_page(args.html, inspection_page(drawn, program=store.resolve(args.version).ref))
        if not args.json:
            print(f"picture: {address}")
    return 0


def _output(ask: Inspector, args: argparse.Namespace) -> int:
    """The position of the output that is shown: the one named, else the answer."""
    from pellucid.explain.game import declared_task

    task = declared_task(ask.program, args.task or next(iter(ask.program.tasks)), where="--task")
    return task.output(args.output, where="--output")


def _counterfactual(ask: Inspector, args: argparse.Namespace) -> Any:
    from pellucid.core.errors import SpecError
    from pellucid.explain import Limits

    numbers = args.above is not None or args.below is not None
    if numbers and args.to is not None:
        raise SpecError("--to names a class, --above and --below bound a number.", where="--to", mend="give one kind")
    limits = Limits(
        keep=tuple(args.keep),
        only_up=tuple(args.only_up),
        only_down=tuple(args.only_down),
        ranges=dict(_range(text) for text in args.range),
        most_changes=args.most_changes,
    )
    to = (args.above, args.below) if numbers else args.to
    return ask.counterfactuals(
        at=args.at, task=args.task, to=to, output=args.output if numbers else None, n=args.answers, limits=limits
    )


def _range(text: str) -> tuple[str, tuple[float | None, float | None] | tuple[str, ...]]:
    """`income=0:70` or `job=none,part`."""
    from pellucid.core.errors import SpecError

    name, _, span = text.partition("=")
    low, colon, high = span.partition(":")
    try:
        if name and colon:
            return name, (float(low) if low else None, float(high) if high else None)
    except ValueError:
        pass
    if not name or not span or colon:
        raise SpecError(f"got '{text}'.", where="--range", mend="write FIELD=LOW:HIGH, or FIELD=ONE,ANOTHER for words")
    return name, tuple(span.split(","))


ASKED: dict[str, Callable[[Any, argparse.Namespace], Any]] = {
    "counterfactual": _counterfactual,
    "lime": lambda ask, args: ask.lime(
        at=args.at, task=args.task, around=args.around, samples=args.samples, grain=args.grain, parts=args.parts
    ),
    "rules": lambda ask, args: ask.rules(at=args.at, task=args.task, precision=args.precision),
    "dependence": lambda ask, args: ask.dependence(args.field, task=args.task, ale=args.ale),
    "interactions": lambda ask, args: ask.interactions(at=args.at, task=args.task, grain=args.grain, parts=args.parts),
    "importance": lambda ask, args: ask.importance(
        task=args.task, repeats=args.repeats, grain=args.grain, parts=args.parts
    ),
    "surrogate": lambda ask, args: ask.surrogate(task=args.task, leaves=args.leaves),
}
