"""`pellucid demo`: the whole loop on real prices; every command is shown as a user would type it, then run."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pellucid.cli.common import console, show

DAY = "2018-02-05"  # the volatility shock of early 2018
WHY = "volume is revised after the close"
STEPS = 8
PAGES = {"report": "everything", "diff": "the behaviour diff", "explain": "why, on that day"}
PLAIN = re.compile(r"[\w@%+=:,./][\w@%+=:,./~-]*|--?[\w-]+")
EXITS = {0: "the claim is kept", 1: "a gate failed", 3: "these rows cannot decide"}

EXAMPLE = """\
example:
  pellucid demo
  pellucid demo --source planted          a simulated market: needs no extra package
  pellucid demo --folder tour --set train.updates=200"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", default="pellucid-demo", help="where store and pages go (default: pellucid-demo)")
    parser.add_argument("--source", metavar="S", help="another price source, e.g. planted or my.csv")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=v", help="override a value of the spec")


def run(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    tour = Tour(Path(args.folder))
    overrides = [*args.set, *([f"data.source={_source(args.source)}"] if args.source else [])]
    sets = [word for value in overrides for word in ("--set", value)]
    day = [] if args.source else ["--at", DAY]
    tour.step(
        "The trading environment obeys the conventions",
        "Daily prices become an environment: a position is chosen after the close and filled at the next one.",
    )
    tour.type("check", "env", "pellucid/StockTrading-v0")
    tour.step(
        "Learn, and be judged on days never seen",
        "One network learns a forecast of tomorrow, the risk of the next days and a position to hold. It is judged in "
        "walk-forward folds beside honest baselines, and on two simulated markets whose truth is known.",
    )
    tour.type("fit", _spec(), *sets, store=True)
    tour.step(
        "Ask why",
        "What did it rest on, on the day of the volatility shock?" if day else "What did it rest on, on the last day?",
    )
    tour.type("explain", "stocks@1", *day, "--html", tour.path("explain.html"), store=True)
    tour.step(
        "A person corrects it",
        "Somebody knows what the data do not say: volume is revised after the close. So it must not matter.",
    )
    tour.type("feedback", "add", "stocks@1", "--ignore", "volume", "--because", WHY, store=True)
    tour.step(
        "The correction is a small delta on the frozen program",
        "The effect of do(volume): how far the outputs move, in standard deviations, when volume alone is another "
        "day's. It must fall by 80 %; on ordinary data the correction may cost 20 % of the loss: 500 days cannot "
        "decide much less.",
    )
    tour.type("revise", "stocks@1", "--budget", "0.2", store=True)
    candidate = tour.candidate()
    if candidate is None:
        tour.say("Nothing to forbid: the program does not respond to volume beyond its noise.")
        return 0
    tour.step(
        "Review it like a pull request",
        "What changed in behaviour, row by row, against what was claimed. The exit code is for continuous integration.",
    )
    code = tour.type("diff", "stocks@1", candidate, "--html", tour.path("diff.html"), store=True, passing=(0, 1, 3))
    tour.say(f"exit code {code}: {EXITS[code]}")
    if code == 1:
        tour.type("reject", candidate, "--because", "a gate failed", store=True)
        reviewed = candidate
    else:
        why = "volume no longer matters, within the budget"
        tour.type("accept", candidate, "--because", why, store=True)
        reviewed = "stocks@2"
    tour.type("diff", "stocks@1", "stocks@1", store=True)
    tour.step("The whole story on one page", "Evidence, learning curves, explanations, correction, diff and history.")
    tour.type("report", reviewed, *day, "--html", tour.path("report.html"), store=True)
    tour.step("Roll back, exactly", "Nothing is deleted: the head moves, and the history says who did it and why.")
    before = tour.fingerprint("stocks@1")
    tour.type("rollback", "stocks", "--to", "1", "--because", "to show that it is exact", store=True)
    same = before == tour.fingerprint("stocks")
    print("every parameter, buffer and prediction equals version 1's, bit by bit" if same else "NOT EQUAL")
    tour.type("log", "stocks", store=True)
    tour.end(time.perf_counter() - started)
    return 0 if same else 1


def _source(name: str) -> str:
    """A file is named from here, not from the folder of the spec."""
    from pellucid.spec.model import FILE_SUFFIXES

    is_file = name.lower().endswith(FILE_SUFFIXES) or "/" in name
    return str(Path(name).resolve()) if is_file else name


def _spec() -> str:
    """The example as a user of the repository would name it, else the copy inside the package."""
    local = Path("examples/stocks.yaml")
    return str(local) if local.exists() else str(files("pellucid") / "examples" / "stocks.yaml")


class Tour:
    """A folder of its own in which commands are shown and run.

    Args:
        folder: emptied first, if an earlier tour made it.
    """

    def __init__(self, folder: Path) -> None:
        from pellucid.core.errors import StoreError

        self.folder, self.marker = folder, folder / ".tour"
        if folder.exists() and not self.marker.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(
                f"'{folder}' holds something that no demo made.",
                where="--folder",
                mend="name a folder that is empty or does not exist yet",
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.marker.touch()
        self.times: list[tuple[str, float]] = []
        self.steps = 0

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def step(self, title: str, text: str) -> None:
        """A heading, and what is about to happen."""
        from rich.text import Text

        self.steps += 1
        show(Text(f"\n{self.steps} of {STEPS}  {title}", style="bold cyan"), Text(text, style="italic"))

    def say(self, text: str) -> None:
        from rich.text import Text

        show(Text(f"\n{text}", style="italic"))

    def type(self, *words: str, store: bool = False, passing: Sequence[int] = (0,)) -> int:
        """Show a command and run it; its error, or any other exit code, ends the tour."""
        from rich.text import Text

        from pellucid.cli.main import dispatch
        from pellucid.core.errors import ReviewError

        typed = [*words, "--store", self.path("store")] if store else list(words)
        console().print(Text(f"\n$ pellucid {_quoted(typed)}", style="bold"), soft_wrap=True)  # can be copied
        sys.stdout.flush()
        started = time.perf_counter()
        code = dispatch(typed)
        sys.stdout.flush()
        self.times.append((words[0], time.perf_counter() - started))
        if code not in passing:
            raise ReviewError(
                f"`pellucid {words[0]}` ended with exit code {code}.",
                where="pellucid demo",
                mend="see the message above",
            )
        return code

    def candidate(self) -> str | None:
        """The candidate that waits for its review."""
        from pellucid.store.store import Store

        waiting = Store(self.path("store")).candidates("stocks")
        return waiting[-1].ref if waiting else None

    def fingerprint(self, ref: str) -> str:
        """SHA-256 over parameters, buffers and outputs on the review rows."""
        from pellucid.nn.delta import parameters_sha
        from pellucid.runs.artefact import load_network, load_rows
        from pellucid.store.store import Store

        store = Store(self.path("store"))
        entry = store.resolve(ref)
        program = load_network(store, entry, what="demo")
        parts = [parameters_sha(program.network)]
        for name in program.tasks:
            rows = load_rows(store, entry.manifest["blobs"][f"explained/{name}"])
            parts.append(str(program(program.encode(rows), name).numpy().tobytes()))
        return "".join(parts)

    def end(self, seconds: float) -> None:
        spent = ", ".join(f"{name} {value:.0f} s" for name, value in self.times if value >= 1)
        print(f"\n{seconds:.0f} s in all ({spent}). Open in a browser:")
        for name, about in PAGES.items():
            print(f"  {Path(self.path(f'{name}.html')).resolve().as_uri()}  {about}")
        print("Next: pellucid fit --data my.csv --target COLUMN, or pellucid --help")


def _quoted(words: Sequence[str]) -> str:
    """Words as a person types them: `stocks~3f2a` needs no quotes, a sentence does."""
    return " ".join(word if PLAIN.fullmatch(word) else shlex.quote(word) for word in words)
