"""The tutorials' commands run as typed, one page in one folder, and print what the page shows.

Numbers, hashes, dates and bars are masked and lines joined, since digits and line breaks depend on the machine. A line
`...` stands for lines that are left out. Candidates bear other names in every run: the page's stand for the last one.
When outputs have changed for good: python tests/docs/refresh.py
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from pellucid.cli.main import main
from pellucid.store.store import Store

ROOT = Path(__file__).parents[2]
TUTORIALS = ("first-program", "table")
CANDIDATE = re.compile(r"\b([a-z]+)~[0-9a-f]{4,}\b")
REFUSES = {"diff": (0, 1, 3)}  # exit codes of commands that may say no


def typed(page: Path) -> list[tuple[str, list[str]]]:
    """(command line, the lines shown under it) of every console block."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip() not in ("", "..."):
                found[-1][1].append(line)
    return found


def masked(text: str) -> str:
    text = re.sub(r"[█░]+", "", CANDIDATE.sub(r"\1~#", text))
    text = re.sub(r"\b[0-9a-f]{16,64}\b", "#", text)
    text = re.sub(r"[-+−]?\d[\d,.:]*(e-?\d+)?", "#", text)
    text = re.sub(r"\(lowest: \w+\)", "", text)
    return " ".join(text.split())


def key(command: str) -> str:
    """A command without what does not change its output."""
    words = CANDIDATE.sub(r"\1~#", command).replace(" --quiet", "")
    return re.sub(r" --(html|svg) \S+", "", words)


@cache
def printed(tutorial: str, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Runs a tutorial in a folder; its commands with what they printed, the page's candidates with this run's."""
    (folder / "examples").symlink_to(ROOT / "examples")
    found: dict[str, str] = {}
    named: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PELLUCID_USER", "ada")
        for command, _ in typed(ROOT / "docs" / "tutorials" / f"{tutorial}.md"):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                for match in CANDIDATE.finditer(command):
                    named.setdefault(match[0], _latest(match))
                words = [named.get(word, word) for word in shlex.split(command)]
                code = main(words[1:])
            assert code in REFUSES.get(words[1], (0,)), f"{command}: exit code {code}\n{out.getvalue()}"
            found[key(command)] = found.get(key(command), "") + out.getvalue()
    return found, named


def _latest(match: re.Match[str]) -> str:
    store = Store(".pellucid", create=False)
    return (store.candidates(match[1], rejected=True) or store.versions(match[1]))[-1].ref


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in TUTORIALS}


def missing(page: Path, outputs: dict[str, str]) -> list[str]:
    """Lines that a page shows and no run prints."""
    return [
        f"{command}: {line}"
        for command, lines in typed(page)
        for line in lines
        if masked(line) not in masked(outputs[key(command)])
    ]


@pytest.mark.slow
@pytest.mark.parametrize("tutorial", TUTORIALS)
def test_the_tutorial_shows_what_is_printed(tutorial: str, folders: dict[str, Path]) -> None:
    if tutorial == "first-program":
        importlib.import_module("arch")
    outputs, _ = printed(tutorial, folders[tutorial])
    assert missing(ROOT / "docs" / "tutorials" / f"{tutorial}.md", outputs) == []


@pytest.mark.slow
def test_the_readme_shows_what_is_printed(folders: dict[str, Path]) -> None:
    importlib.import_module("arch")
    outputs, _ = printed("first-program", folders["first-program"])
    assert missing(ROOT / "README.md", outputs) == []


def test_masks_hide_digits_and_nothing_else() -> None:
    assert masked("change +0.024 [+0.007,\n +0.044] ██  stocks~3f2a") == "change # [# #] stocks~#"
    assert masked("stocks@1 is better") == "stocks@# is better"
    assert masked("no skill shown") != masked("skill shown")
