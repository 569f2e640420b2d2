"""What several commands share: the store, the reporter, printing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
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
    """Standard output; a pipe gets 100 columns and no colour."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=100)


def show(*what: RenderableType) -> None:
    out = console()
    for item in what:
        out.print(item)


def dump(value: Any) -> None:
    """JSON with sorted keys: the same input gives the same bytes."""
    print(json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, default=str))


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter]:
    """Progress on standard error."""
    if quiet:
        from pellucid.runs.progress import Silent

        yield Silent()
        return
    from pellucid.report.progress import Progress

    with Progress() as progress:
        yield progress


def write_page(path: str, page: str) -> str:
    """A page as a file; returns its address for a browser."""
    from pellucid.store.files import write_atomic

    write_atomic(Path(path), page.encode())
    return Path(path).resolve().as_uri()
