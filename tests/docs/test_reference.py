"""The reference is complete: commands, options, public names, parts and fields are there; the tree hangs together."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pellucid
from pellucid.cli.main import COMMANDS
from pellucid.core import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "src" / "pellucid"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def page(name: str) -> str:
    return (DOCS / name).read_text()


def reference() -> str:
    return "\n".join(path.read_text() for path in sorted((DOCS / "reference").glob("*.md")))


# The command line


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"pellucid.cli.{command}").add_arguments(parser)
    return parser


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from actions(child)
        elif "--help" not in action.option_strings:
            yield action


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_section_with_an_example_and_all_its_options(command: str) -> None:
    parts = re.split(r"^## ", page("reference/cli.md"), flags=re.MULTILINE)
    section = next((part for part in parts if part.startswith(f"`{command}`")), "")
    assert re.search(rf"^pellucid {command}\b", section, re.MULTILINE), f"no example of {command}"
    for action in actions(parser_of(command)):
        for option in action.option_strings:
            assert re.search(rf"{option}(?![\w-])", section), f"{command} {option}"
        if action.choices is not None and action.option_strings:
            assert all(str(choice) in section for choice in action.choices), f"{command} {action.option_strings}"


@pytest.mark.parametrize(
    ("command", "option", "home"),
    [("explain", "--method", "pellucid.explain"), ("revise", "--method", "pellucid.adapt")],
)
def test_the_command_line_offers_what_there_is(command: str, option: str, home: str) -> None:
    """The command line loads no torch, so it repeats the names."""
    offered = next(list(a.choices or ()) for a in actions(parser_of(command)) if option in a.option_strings)
    assert {*offered} - {"auto"} == {*importlib.import_module(home).ALL}


def test_every_exit_code_is_explained() -> None:
    table = page("reference/cli.md").partition("| exit code |")[2].partition("\n\n")[0]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    raised = {getattr(errors, name).exit_code for name in errors.__all__ if name[0].isupper()}
    from pellucid.review.diff import EXIT_CODES

    assert raised | {*EXIT_CODES.values()} <= codes


def test_commands_in_messages_exist() -> None:
    """A mend that names a command must name one that there is, with options that it has."""
    found = 0
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            text = _constant(node)
            for command, rest in re.findall(r"`pellucid ([a-z]+)\b([^`]*)`", text):
                if command == "x":  # the command itself is inserted
                    continue
                found += 1
                assert command in COMMANDS, f"{file.name}: pellucid {command}"
                known = {o for action in actions(parser_of(command)) for o in action.option_strings} | {"--help"}
                assert {*re.findall(r"(?<!\S)--[a-z-]+", rest)} <= known | {"--debug"}, f"{file.name}: {text}"
    assert found > 10


def _constant(node: ast.AST) -> str:
    """The text of a string, with something in the place of what an f-string inserts."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_extras_in_messages_exist() -> None:
    for file in PACKAGE.rglob("*.py"):
        for extra in re.findall(r'require\([^)]*\bextra="(\w+)"', file.read_text()):
            assert extra in PROJECT["optional-dependencies"], f"{file.name}: {extra}"


# Python


def test_every_public_name_is_described() -> None:
    text = page("reference/python.md")
    assert [name for name in pellucid.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_the_table_of_errors_is_the_tree() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page("reference/python.md"), re.MULTILINE))
    for name in pellucid.__all__:
        error = getattr(pellucid, name)
        if isinstance(error, type) and issubclass(error, errors.PellucidError):
            assert rows[name] in [parent.__name__ for parent in error.__mro__[1:]], name


@pytest.mark.parametrize(
    "floor", ["explain", "adapt", "optim", "optim.schedules", "multitask", "feedback", "envs", "rl", "search"]
)
def test_every_part_is_mentioned(floor: str) -> None:
    text = reference()
    parts = importlib.import_module(f"pellucid.{floor}").ALL
    assert parts
    assert [name for name in parts if f"`{name}`" not in text] == []


def test_every_metric_and_baseline_is_mentioned() -> None:
    from pellucid.evidence import baselines, metrics

    text = page("reference/evidence.md")
    names = {*metrics.ALL, *(name for group in baselines.ALL.values() for name in group)}
    assert sorted(name for name in names if f"`{name}`" not in text) == []


def test_every_field_of_a_diff_is_described() -> None:
    from pellucid.review import gates

    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])
    rows["y"] = np.where(rows["a"] > 0, "1", "0")
    sides = [
        pellucid.wrap(
            lambda x, w=w: np.stack([0.5 - w * np.tanh(x[:, 0]), 0.5 + w * np.tanh(x[:, 0])], 1),
            inputs=["a", "b"],
            kind="classify",
            outputs=["0", "1"],
            name=f"w{w}",
        )
        for w in (0.3, -0.4)
    ]
    found = pellucid.diff(*sides, rows, target="y")
    attribution = {"player", "base", "candidate", "shift", "noise", "shown"}
    keys = {*_keys(found), *gates._gate("t", "title", "keep", "required", "seen", None), *attribution}
    text = page("reference/diff.md")
    assert sorted(key for key in keys if f"`{key}`" not in text) == []


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in ("provenance", "parameters"):
                yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


# The tree


def anchors(text: str) -> set[str]:
    """Headings as GitHub links to them."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_anchors_exist(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        file, _, anchor = link.partition("#")
        if anchor:
            target = path if not file else path.parent / file
            assert anchor in anchors(target.read_text()), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        waiting += [
            (path.parent / link.partition("#")[0]).resolve()
            for link in LINK.findall(path.read_text())
            if link[0] != "#"
        ]
    assert sorted(set(pages()) - reached) == []


def test_the_readme_is_short_and_part_of_the_package() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    assert PROJECT["readme"] == "README.md"


def test_the_floors_are_those_that_the_test_draws() -> None:
    source = (ROOT / "tests" / "test_floors.py").read_text()
    drawn = re.search(r'FLOORS = """\n(.*?)"""', source, re.DOTALL)
    assert drawn
    built = {path.stem for path in PACKAGE.iterdir()}
    floors = [[name for name in line.split() if name in built] for line in drawn[1].strip().splitlines()]
    block = re.search(r"^```\n(testing.*?)^```", page("explanation/architecture.md"), re.DOTALL | re.MULTILINE)
    assert block
    shown = [re.split(r"\s{2,}", line)[0].split() for line in block[1].splitlines() if not line.startswith("-")]
    assert shown == [names for names in floors if names]


def test_an_algorithm_is_understood_from_15_files() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (`[^|]+) \|$", page("explanation/reading-the-code.md"), re.MULTILINE)
    assert len(rows) > 10
    for algorithm, listed in rows:
        files = re.findall(r"`([^`]+)`", listed)
        lines = sum(len((PACKAGE / file).read_text().splitlines()) for file in files)
        assert len(files) <= 15, algorithm
        assert lines <= 1500, f"{algorithm}: {lines} lines"


def test_decisions_are_listed() -> None:
    records = {path.name for path in (DOCS / "adr").glob("0*.md")}
    assert records == {*re.findall(r"\((0\d{3}-[\w-]+\.md)\)", page("adr/README.md"))}
