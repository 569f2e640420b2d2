"""`pellucid feedback`: tell a version what must not matter, or what should have been done."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pellucid.cli.common import add_store, open_store, then, whole

if TYPE_CHECKING:
    from pellucid.store.records import Entry
    from pellucid.store.store import Store

EXAMPLE = """\
example:
  pellucid feedback add stocks@1 --ignore volume --because "volume is revised after the close"
  pellucid feedback add pole@1 --correct-action shown.csv --because "it leans too long"
  pellucid feedback list stocks"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="{add,list}")
    add = actions.add_parser("add", help="say what must not matter, or what should be done", allow_abbrev=False)
    add.add_argument("version", help="the version that was looked at, e.g. stocks@1")
    what = add.add_mutually_exclusive_group(required=True)
    what.add_argument("--ignore", metavar="FIELD", help="a field whose value must not matter")
    what.add_argument(
        "--correct-action", metavar="FILE", help="a CSV or Parquet file: observed states, and the action to take there"
    )
    add.add_argument("--task", metavar="NAME", help="the task whose actions are shown (default: the only policy)")
    add.add_argument("--because", required=True, metavar="WHY", help="the reason, for whoever reviews")
    add.add_argument("--author", metavar="WHO", help="default: $PELLUCID_USER or the login name")
    add.add_argument(
        "--supersedes", type=whole(1), metavar="N", help="number of an earlier feedback that this one replaces"
    )
    add_store(add)
    listed = actions.add_parser("list", help="what was said, and what became of it", allow_abbrev=False)
    listed.add_argument("name", help="the program")
    add_store(listed)


def run(args: argparse.Namespace) -> int:
    from pellucid.runs.said import about

    store = open_store(args)
    if args.action == "list":
        records = store.feedback(store.resolve(args.name).name)
        for record in records:
            state = "open" if record.open else f"used by {', '.join(record.used_by) or record.superseded_by}"
            print(f"#{record.id}  {record.version}  {about(record.kind, record.payload)}  ({state})")
            print(f"    {record.author}: {record.because}")
        if not records:
            print("no feedback yet")
        return 0
    entry = store.resolve(args.version)
    kind, payload = _ignored(store, entry, args.ignore) if args.ignore else _shown(store, entry, args)
    number = store.add_feedback(
        entry.name,
        entry.ref,
        kind,
        payload,
        author=args.author,
        because=args.because,
        supersedes=args.supersedes,
    )
    print(f"feedback #{number} on {entry.ref}: {about(kind, payload)}. {then(args, f'revise {entry.ref}')}")
    return 0


def _ignored(store: Store, entry: Entry, field: str) -> tuple[str, dict[str, Any]]:
    from pellucid.core.schema import Schema

    schema = Schema.from_json(store.blobs.get_json(entry.manifest["blobs"]["program"])["schema"])
    schema[field]  # refuses an unknown name with the nearest one
    return "ignore", {"field": field}


def _shown(store: Store, entry: Entry, args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    from pellucid.runs.shown_actions import shown_payload

    return "correct-action", shown_payload(store, entry, args.correct_action, args.task)
