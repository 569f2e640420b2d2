"""`pellucid explain --grain word`: what the words of a text add."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pellucid.cli.common import dump, reporting, show, write_page

if TYPE_CHECKING:
    from pellucid.store.records import Entry
    from pellucid.store.store import Store


WORDS = ["word", "phrase", "sentence"]


def refuse_words(args: argparse.Namespace, why: str) -> None:
    """Raises: DataError: pieces of a text are asked for where there is none."""
    if args.grain in WORDS:
        from pellucid.core.errors import DataError

        raise DataError(f"{why}, not about words.", where=f"--grain {args.grain}", mend="use --grain field or group")


def add_words(parser: argparse.ArgumentParser) -> None:
    """How words are left out."""
    parser.add_argument("--text", metavar="FIELD", help="the text whose words are meant, when there are several")
    parser.add_argument(
        "--mask",
        choices=["auto", "token", "drop", "replace"],
        default="auto",
        help="a word left out: a mask token stands for it, it was never written, or --replacement stands for it",
    )
    parser.add_argument("--replacement", metavar="TEXT", default="…", help="with --mask replace")


def run_words(args: argparse.Namespace, store: Store, entry: Entry) -> int:
    from pellucid.core.errors import DataError
    from pellucid.report.html import words_page
    from pellucid.report.terminal.texts import texts_view
    from pellucid.runs.explaining_texts import explain_texts

    players = "leave it out: the players are the words"
    given = {
        "--value": (args.value != "interventional", "leave it out: a word is there, or masked"),
        "--parts": (args.parts is not None, players),
        "--together": (bool(args.together), players),
    }
    for option, (is_given, mend) in given.items():
        if is_given:
            raise DataError(f"{option} does not go with --grain {args.grain}.", where=option, mend=mend)
    if len(args.task) > 1:
        raise DataError("words are explained of one task at a time.", where="--task", mend="give one --task")
    with reporting(args.quiet) as reporter:
        found = explain_texts(
            store,
            args.version,
            at=args.at,
            task=args.task[0] if args.task else None,
            source=args.data,
            seed=args.seed,
            reporter=reporter,
            field=args.text,
            grain=args.grain,
            mask=args.mask,
            replacement=args.replacement,
            method=args.method,
            seconds=args.seconds,
            checks=args.checks,
            **({"evaluations": args.evaluations} if args.evaluations else {}),
            **({"error": args.error} if args.error else {}),
        )
    main = {"main": args.output} if args.output else {}
    drawn = [{**raw, "values": {**raw["values"], **main}} for raw in (one.to_json() for one in found)]
    if args.json:
        dump(drawn)
    else:
        show(texts_view(drawn))
    if args.html:
        address = write_page(args.html, words_page(drawn, program=entry.ref))
        if not args.json:
            print(f"picture: {address}")
    return 0 if len(found) == max(1, len(args.at)) else 130
