"""The documents tell the truth: their Python runs, their commands and links exist.

A block that begins with ```python runs, the blocks of one page one after the other in an empty folder; one that begins
with ```python no-run is an excerpt. Commands run in the demo and in their own tests; here their names are checked.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from pellucid.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if page.exists()
]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\bpellucid (?!COMMAND)([a-z]+)\b")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    return [(info.strip(), body) for name, info, body in BLOCK.findall(page.read_text()) if name == language]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if any(i != "no-run" for i, _ in blocks(p, "python"))], ids=name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "__main__"}
    for info, body in blocks(page, "python"):
        if info != "no-run":
            exec(compile(body, name(page), "exec"), scope)  # noqa: S102


def commands(page: Path) -> list[str]:
    """The command lines of a page: `pellucid ...` in console and shell blocks, continuation lines joined."""
    lines = "\n".join(body for language in ("console", "sh", "bash", "shell") for _, body in blocks(page, language))
    lines = lines.replace("\\\n", " ")
    return [line.strip().removeprefix("$ ") for line in lines.splitlines() if re.match(r"\s*(\$ )?pellucid ", line)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_exist(page: Path) -> None:
    named = {word for text in re.findall(r"`([^`\n]+)`", page.read_text()) for word in COMMAND.findall(text)}
    named |= {word for line in commands(page) for word in COMMAND.findall(line)}
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=name)
def test_options_exist(page: Path) -> None:
    for line in commands(page):
        words = shlex.split(line, comments=True)[1:]
        if words and words[0] in COMMANDS and importlib.util.find_spec(f"pellucid.cli.{words[0]}"):
            parser = argparse.ArgumentParser(allow_abbrev=False)
            importlib.import_module(f"pellucid.cli.{words[0]}").add_arguments(parser)
            known = options(parser)
            for word in words[1:]:
                assert not word.startswith("--") or word.partition("=")[0] in {*known, "--debug"}, line


def options(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a parser and of its sub-parsers."""
    found = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                found |= options(child)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_address_of_one_machine(page: Path) -> None:
    assert not re.search(r"(^|[\s`(])/(home|root|work|tmp|Users)/", page.read_text())


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make ([a-z]+)", page.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name(page)}: make {target}"
