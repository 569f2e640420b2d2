"""`pellucid diff`: what changed in behaviour between two versions, paired row by row.

Exit codes: 0 the claim is kept (without a claim: better or equivalent), 1 a gate failed (or worse), 2 usage or data
error, 3 undecided.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.cli.common import add_store, dump, new_file, open_store, show, then, write_page

if TYPE_CHECKING:
    from pellucid.store.records import Entry

EXAMPLE = """\
example:
  pellucid diff stocks@1 stocks~3f2a
  pellucid diff stocks@1 stocks~3f2a --html diff.html --markdown comment.md --svg diff.svg
  pellucid diff stocks@1 stocks@1                       says that nothing differs

exit codes: 0 the claim is kept (without a claim: better or equivalent), 1 a gate failed (or worse),
2 usage or data error, 3 undecided"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", help="a version, e.g. stocks@1")
    parser.add_argument("candidate", help="a candidate or another version")
    parser.add_argument("--json", action="store_true", help="print the diff as JSON: same inputs, same bytes")
    parser.add_argument("--html", type=new_file, metavar="FILE", help="also write one self-contained page")
    parser.add_argument("--markdown", type=new_file, metavar="FILE", help="also write a comment for a pull request")
    parser.add_argument(
        "--svg", type=new_file, metavar="FILE", help="also write one picture, for a comment or a README"
    )
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.report.html import diff_page
    from pellucid.report.markdown import diff_comment
    from pellucid.report.picture import diff_picture
    from pellucid.report.terminal import diff_view
    from pellucid.review.diff import EXIT_CODES
    from pellucid.runs.diffing import diff_versions
    from pellucid.store.files import write_atomic

    store = open_store(args)
    found = diff_versions(store, args.base, args.candidate)
    if args.json:
        dump(found)
    else:
        show(diff_view(found))
    if args.html:
        address = write_page(args.html, diff_page(found))
        if not args.json:
            print(f"\npage: {address}")
    if args.markdown:
        write_atomic(Path(args.markdown), diff_comment(found).encode())
    if args.svg:
        write_atomic(Path(args.svg), diff_picture(found).encode())
    code = EXIT_CODES[found["verdict"]]
    if not args.json and not found["empty"]:
        print("\n" + _then(args, store.resolve(args.candidate), code))
    return code


def _then(args: argparse.Namespace, entry: Entry, code: int) -> str:
    """What a reviewer does now: decide about a candidate; look at a version."""
    if entry.state != "proposed":
        return then(args, f"log {entry.name}")
    accept, reject = (f"{verb} {entry.ref} --because WHY" for verb in ("accept", "reject"))
    if code == 3:
        return f"{then(args, accept)}\n  or: pellucid {reject}"
    return then(args, reject if code else accept)
