"""Runs the tutorials and puts their present outputs into the pages and the README; draws the README's picture anew.

A line that no run prints any more is named: mend it by hand. Lines that a page leaves out stay left out.
Run: python tests/docs/refresh.py        a few minutes; needs the extra `finance`
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from test_tutorials import ROOT, TUTORIALS, key, masked, printed

PAGES = {name: [ROOT / "docs" / "tutorials" / f"{name}.md"] for name in TUTORIALS}
PAGES["first-program"].append(ROOT / "README.md")


def refreshed(text: str, outputs: dict[str, str]) -> tuple[str, list[str]]:
    """The page with every shown line as it is printed now, and the lines that are printed no more."""
    lines, lost, waiting, console = [], [], list[str](), False
    for line in text.split("\n"):
        if line.startswith("```"):
            console = line == "```console"
        elif console and line.startswith("$ "):
            waiting = outputs[key(line[2:])].split("\n")
        elif console and line.strip() not in ("", "..."):
            at = next((i for i, other in enumerate(waiting) if masked(other) == masked(line)), None)
            if at is None:
                lost.append(line)
            else:
                line, waiting = waiting[at].rstrip(), waiting[at + 1 :]
        lines.append(line)
    return "\n".join(lines), lost


def main() -> None:
    for name, pages in PAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            outputs, named = printed(name, Path(folder))
            if name == "first-program":
                shutil.copy(Path(folder) / "diff.svg", ROOT / "docs" / "images" / "diff.svg")
        for page in pages:
            text = page.read_text()
            for old, new in named.items():
                text = text.replace(old, new)
            text, lost = refreshed(text, outputs)
            page.write_text(text)
            for line in lost:
                print(f"{page.relative_to(ROOT)}: printed no more: {line}")


if __name__ == "__main__":
    main()
