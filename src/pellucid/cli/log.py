"""`pellucid log`: who changed a program, when, why, on what evidence."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from pellucid.cli.common import add_store, dump, open_store, show, then

if TYPE_CHECKING:
    from pellucid.store.store import Store

EXAMPLE = """\
example:
  pellucid log stocks
  pellucid log                       all programs and their heads"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="the program; without it, all programs are listed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store(parser)


def _summary(store: Store, name: str) -> dict[str, Any]:
    head = store.head(name)
    versions, waiting = len(store.versions(name)), len(store.candidates(name))
    return {"name": name, "head": head.ref if head else None, "versions": versions, "candidates": waiting}


def run(args: argparse.Namespace) -> int:
    from pellucid.report.terminal import log_view
    from pellucid.runs.history import history

    store = open_store(args)
    if args.name is None:
        listed = [_summary(store, name) for name in store.names()]
        if args.json:
            dump(listed)
            return 0
        for one in listed:
            waiting = f", {one['candidates']} waiting for a review" if one["candidates"] else ""
            plural = "" if one["versions"] == 1 else "s"
            print(f"{one['head'] or one['name'] + ': no head':<24} {one['versions']} version{plural}{waiting}")
        if not listed:
            print("no program yet")
        return 0
    named = re.split("[@~]", args.name)[0]
    if named != args.name:
        store.resolve(args.name)  # of a version that there is not, nothing is told
    events = history(store, named)
    if args.json:
        dump(events)
        return 0
    head, tried = store.head(named), sum(event.kind == "trial" for event in store.log(named, trials=True))
    if events:
        show(log_view(events))
    else:
        print(f"no version yet; {tried} trial{'' if tried == 1 else 's'} counted")
    if head is not None:
        print(f"\n{then(args, f'show {head.ref}')}")
    return 0
