"""`pellucid`: finds the command, imports its module alone, prints errors as three lines.

Exit codes: 0 pass, 1 a gate failed, 2 usage or data error, 3 undecided, 70 a bug, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, Protocol, cast

from pellucid import __version__
from pellucid.core.errors import PellucidError, nearest

COMMANDS = {
    "demo": "the whole loop on real prices, each command shown and run",
    "fit": "learn a program from a spec, a table or an environment",
    "import": "keep a policy that Stable-Baselines3 has trained as a version",
    "seeds": "fit a spec once a seed, and judge all fits by one figure with its interval",
    "search": "try the settings that a spec names, and fit the best",
    "evaluate": "a version's evidence: metrics with intervals beside honest baselines",
    "forecast": "the steps after the last value of each series",
    "explain": "what a version's outputs rest on, with error bars",
    "inspect": "counterfactuals, LIME, rules, dependence, interactions, importance, a surrogate tree",
    "feedback": "tell a version what must not matter, or what it should have done",
    "revise": "train a small change from feedback: a candidate revision",
    "diff": "the behaviour diff of two versions or candidates",
    "accept": "make a reviewed candidate the next version",
    "reject": "turn a candidate down and keep the record",
    "log": "versions, revisions and reviews of a program",
    "rollback": "move a program's head to an earlier version",
    "show": "one version, candidate or run in detail",
    "report": "one self-contained HTML page of evidence, explanations and diffs",
    "check": "a spec, an environment, a data file or the store, before it is needed",
}

EXAMPLE = """\
example:
  pellucid fit examples/stocks.yaml                          learn, then print the evidence: stocks@1
  pellucid explain stocks@1 --task trade --at 2018-02-05
  pellucid feedback add stocks@1 --ignore volume --because "revised after the close"
  pellucid revise stocks@1                                   proposes stocks~3f2a
  pellucid diff stocks@1 stocks~3f2a

exit codes: 0 pass, 1 a gate failed, 2 usage or data error, 3 undecided
`pellucid COMMAND --help` tells more about a command."""


class Command(Protocol):
    """What the module of a command has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


class UsageError(PellucidError, ValueError):
    """The command line cannot be understood."""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are the package's own."""

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", message)
        option = re.search(r"unrecognized arguments: (-\S*)", message)
        near = ""
        if choice:
            near = nearest(choice[1], re.findall(r"[\w-]+", choice[2]))
        elif option:
            near = nearest(option[1].partition("=")[0], self.options())
        raise UsageError(f"{message}.", where=self.prog, mend=near or f"see `{self.prog} --help`")

    def options(self) -> list[str]:
        """Every option of this parser and of those below it."""
        found = [option for action in self._actions for option in action.option_strings]
        for action in self._actions:
            if isinstance(action.choices, dict):
                found += [option for parser in action.choices.values() for option in parser.options()]
        return found


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; errors become three lines on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with _ctrl_c() as pressed:
        return _guarded(words, debug, pressed)


def _guarded(words: list[str], debug: bool, pressed: list[int]) -> int:
    try:
        code = dispatch(words)
        sys.stdout.flush()
        return code
    except PellucidError as error:
        if debug:
            raise
        _print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        return _interrupted()
    except BrokenPipeError:  # the reader, `head` say, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # the last resort: a full disk, or a bug of ours
        if debug:
            raise
        return _interrupted() if pressed else _unforeseen(error, words)


@contextmanager
def _ctrl_c() -> Iterator[list[int]]:
    """Notes that Ctrl-C was pressed: an import that it breaks, numpy's say, ends in another error."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):  # ignored, as by nohup
        yield pressed
        return

    def note(number: int, _frame: object) -> NoReturn:
        pressed.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted() -> int:
    print("Interrupted.", file=sys.stderr)
    return 130


def _unforeseen(error: Exception, words: list[str]) -> int:
    """Three lines for an error that nobody foresaw."""
    system = isinstance(error, OSError)
    said = next(iter(str(error).strip().splitlines()), "no message")
    what = f"{error.strerror}: {error.filename!r}" if isinstance(error, OSError) and error.strerror else said
    again = f"pellucid {' '.join(words)} --debug"
    mend = (
        "free the disk or the permission and try again"
        if system
        else f"this is a bug; please report what `{again}` prints"
    )
    print(
        f"{type(error).__name__}: {what}.\n  where: pellucid {words[0] if words else ''}\n  mend:  {mend}",
        file=sys.stderr,
    )
    return 2 if system else 70


def dispatch(words: list[str]) -> int:
    """Run one command; its errors come out as they are."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"pellucid {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise UsageError(
            f"no {kind} '{name}'; the commands are {', '.join(COMMANDS)}.",
            where="pellucid",
            mend=nearest(name, COMMANDS) or "see `pellucid --help`",
        )
    command = cast(Command, importlib.import_module(f"pellucid.cli.{name}"))
    parser = Parser(
        prog=f"pellucid {name}",
        description=COMMANDS[name][0].upper() + COMMANDS[name][1:] + ".",
        epilog=getattr(command, "EXAMPLE", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    try:
        args = parser.parse_args(rest)
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
    return command.run(args)


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {line}" for name, line in COMMANDS.items())
    head = "usage: pellucid COMMAND [options]   (every command takes --debug: show the traceback of an error)"
    return f"Learned programs, reviewed like written ones.\n\n{head}\n\ncommands:\n{commands}\n\n{EXAMPLE}"


def _print_error(error: PellucidError) -> None:
    sys.stdout.flush()
    print(f"{type(error).__name__}: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
