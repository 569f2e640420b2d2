"""`pellucid feedback`: tell a version what must not matter."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_store, open_store, then, whole

EXAMPLE = """\
example:
  pellucid feedback add stocks@1 --ignore volume --because "volume is revised after the close"
  pellucid feedback list stocks"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="{add,list}")
    add = actions.add_parser("add", help="say what must not matter", allow_abbrev=False)
    add.add_argument("version", help="the version that was looked at, e.g. stocks@1")
    add.add_argument("--ignore", required=True, metavar="FIELD", help="a field whose value must not matter")
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
    store = open_store(args)
    if args.action == "list":
        records = store.feedback(store.resolve(args.name).name)
        for record in records:
            state = "open" if record.open else f"used by {', '.join(record.used_by) or record.superseded_by}"
            print(f"#{record.id}  {record.version}  {record.kind} {record.payload.get('field', '')}  ({state})")
            print(f"    {record.author}: {record.because}")
        if not records:
            print("no feedback yet")
        return 0
    from pellucid.core.schema import Schema

    entry = store.resolve(args.version)
    schema = Schema.from_json(store.blobs.get_json(entry.manifest["blobs"]["program"])["schema"])
    schema[args.ignore]  # refuses an unknown name with the nearest one
    number = store.add_feedback(
        entry.name,
        entry.ref,
        "ignore",
        {"field": args.ignore},
        author=args.author,
        because=args.because,
        supersedes=args.supersedes,
    )
    print(f"feedback #{number} on {entry.ref}: ignore {args.ignore}. {then(args, f'revise {entry.ref}')}")
    return 0
