"""The core stays small, and its page lists exactly what is installed."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LARGEST_CORE = 40
# torch for CUDA brings these; the count is that of the CPU build, as the page says.
CUDA = re.compile(r"nvidia-|triton|cuda-")


def closure(requirements: list[str]) -> set[str]:
    """Names of all packages that these requirements install here."""
    found: set[str] = set()
    waiting = [(Requirement(line), "") for line in requirements]
    done: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found.add(name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in done:
                done.add((name, wanted))
                waiting += [(Requirement(line), wanted) for line in metadata.requires(name) or []]
    return {name for name in found if not CUDA.match(name)}


def listed() -> dict[str, str]:
    """Package -> reason, from the page's table."""
    page = (ROOT / "docs/reference/dependencies.md").read_text().partition("## Extras")[0]
    rows = re.findall(r"^\| `([\w.-]+)` \| ([^|]+) \|", page, re.MULTILINE)
    return {canonicalize_name(name): reason.strip() for name, reason in rows}


def test_the_core_has_at_most_40_packages_and_each_has_a_reason() -> None:
    core = closure(PROJECT["dependencies"]) | {"pellucid"}
    assert len(core) <= LARGEST_CORE
    assert set(listed()) == core
    assert all(listed().values())


def test_the_page_tells_the_number() -> None:
    page = (ROOT / "docs/reference/dependencies.md").read_text()
    assert f"**{len(listed())} packages**" in page
    assert f"[{len(listed())} packages]" in (ROOT / "README.md").read_text()


def test_every_extra_is_explained() -> None:
    for page in ("README.md", "docs/reference/dependencies.md"):
        text = (ROOT / page).read_text()
        assert [extra for extra in PROJECT["optional-dependencies"] if f"| `{extra}` |" not in text] == []


def test_everything_that_is_installed_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    extras = PROJECT["optional-dependencies"]
    wanted = closure([*PROJECT["dependencies"], *extras["finance"], *extras["test"]]) - {"setuptools"}
    assert wanted <= pins


def test_floors_allow_the_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in lines if "==" in line}
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), line
