"""What several commands share: the store, the reporter, printing."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from pellucid.runs.progress import Reporter
    from pellucid.store.store import Store


def add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", default=".pellucid", metavar="FOLDER", help="the store (default: .pellucid)")


def add_reviewer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--because", required=True, metavar="WHY", help="one line for the history")
    parser.add_argument("--reviewer", metavar="WHO", help="default: $PELLUCID_USER or the login name")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress")


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="FILE", help="read the rows from here instead of the spec's source")


def whole(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number of at least `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"got '{text}'; give a whole number of at least {least}")
        return value

    return read


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """An argparse type: a finite number from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            bounds = f"between {low:g} and {high:g}" if math.isfinite(high) else f"of at least {low:g}"
            raise argparse.ArgumentTypeError(f"got '{text}'; give a number {bounds}")
        return value

    return read


def new_file(text: str) -> str:
    """An argparse type: where a file is to be written; told before the work begins."""
    if not text or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"got '{text}', which is no name for a file; give a path like page.html")
    return text


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Rows of the program's data."""
    parser.add_argument(
        "--at", action="append", default=[], metavar="ROW", help="a date, key or row number (repeatable)"
    )


def add_answers(parser: argparse.ArgumentParser) -> None:
    """How a question about a program is answered, and where its data and its store are."""
    parser.add_argument("--seed", type=whole(0), metavar="N", help="default: the program's own")
    parser.add_argument("--html", type=new_file, metavar="FILE", help="also write a page with pictures")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_data(parser)
    add_store(parser)
    add_quiet(parser)


def open_store(args: argparse.Namespace, *, create: bool = False) -> Store:
    from pellucid.core.errors import StoreError
    from pellucid.store.store import Store

    if not create and not Path(args.store).is_dir():
        raise StoreError(
            f"there is no store at '{args.store}'.",
            where="--store",
            mend="go to the folder where you fitted, or fit first: pellucid fit SPEC",
        )
    return Store(args.store, create=create)


def console() -> Console:
    """Standard output; a pipe gets $COLUMNS or 100 columns and no colour."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal or "COLUMNS" in os.environ else Console(width=100)


def show(*what: RenderableType) -> None:
    """Print; what goes into a file or a pipe has no blanks at the ends of its lines."""
    out = console()
    if out.is_terminal:
        for item in what:
            out.print(item)
        return
    with out.capture() as captured:
        for item in what:
            out.print(item)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def dump(value: Any) -> None:
    """JSON with sorted keys: the same input gives the same bytes."""
    print(json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, default=str))


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter]:
    """Progress on standard error."""
    from pellucid.runs.progress import Shown

    with Shown(not quiet) as shown:
        yield shown.reporter


def then(args: argparse.Namespace, command: str) -> str:
    """The next sensible step, as it can be typed: with the store, where it is not the usual one."""
    store = getattr(args, "store", ".pellucid")
    return f"Next: pellucid {command}" + ("" if store == ".pellucid" else f" --store {shlex.quote(store)}")


def write_page(path: str, page: str) -> str:
    """A page as a file; returns its address for a browser."""
    from pellucid.store.files import write_atomic

    write_atomic(Path(path), page.encode())
    return Path(path).resolve().as_uri()
