"""Imports point only downwards; nothing unpickles; no module hides a public name. Standard library only.

The floors are listed top first. A line with several names holds siblings, which do not import each other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pellucid"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = """
testing
cli
studio
estimators
entrance
handle
runs
review
feedback
report
store
search
assemble
rl supervised multitask meta explain adapt compress privacy
evidence
train
envs
optim
nn
data
spec
core
"""
HEIGHT = {name: -i for i, line in enumerate(FLOORS.strip().splitlines()) for name in line.split()}
ONLY_CORE = {"spec", "explain"}  # besides themselves
UNPICKLING = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}


def imports(tree: ast.AST, module: str) -> Iterator[tuple[int, Any]]:
    """(line, absolute name) of every import, wherever it stands: in a function and under TYPE_CHECKING too."""
    package = module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, origin
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            yield from ((node.lineno, arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts if parts[-1] != "__init__" else (*parts[:-1], "__init__"))


def violations(source: str, module: str) -> list[str]:
    """What the module imports that it must not."""
    floor = module.split(".")[1]
    found = []
    for line, name in imports(ast.parse(source), module):
        parts = name.split(".")
        if parts[0] in UNPICKLING or name == "torch.load":
            found.append(f"{module}:{line} imports {name}: artefacts hold arrays and JSON only")
        if parts[0] != "pellucid" or len(parts) < 2 or parts[1] not in HEIGHT or floor == "__init__":
            continue
        other = parts[1]
        if other != floor and HEIGHT[other] >= HEIGHT[floor]:
            found.append(f"{module}:{line} imports {name}: {other} does not lie below {floor}")
        if floor in ONLY_CORE and other not in (floor, "core"):
            found.append(f"{module}:{line} imports {name}: {floor} sees only core")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_downwards(file: Path) -> None:
    assert violations(file.read_text(), module_name(file)) == []


def test_every_module_stands_on_a_floor() -> None:
    tops = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert tops <= set(HEIGHT), "name the new floor in FLOORS"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pellucid.data.x", "from pellucid.nn import network"),
        ("pellucid.data.x", "def f():\n    import pellucid.store.store"),
        ("pellucid.data.x", "if TYPE_CHECKING:\n    from pellucid.handle import fit"),
        ("pellucid.data.x", "from pellucid import handle"),
        ("pellucid.data.x", "from ..nn import network"),
        ("pellucid.data.x", "importlib.import_module('pellucid.nn')"),
        ("pellucid.rl.x", "from pellucid.supervised.learner import Supervised"),
        ("pellucid.explain.x", "from pellucid.nn.network import Network"),
        ("pellucid.store.x", "import pickle"),
        ("pellucid.store.x", "from torch import load"),
    ],
)
def test_the_rule_sees(module: str, source: str) -> None:
    assert violations(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pellucid.nn.x", "from pellucid.data.encoding import Encoding"),
        ("pellucid.rl.ppo", "from pellucid.rl.gae import gae"),
        ("pellucid.rl.ppo", "from .gae import gae"),
        ("pellucid.cli.x", "from pellucid import __version__"),
    ],
)
def test_the_rule_allows(module: str, source: str) -> None:
    assert violations(source, module) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_unpickles(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load":
            assert getattr(node.func.value, "id", "") not in {"torch", *UNPICKLING}, f"{file.name}:{node.lineno}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant), f"{file.name}: allow_pickle must be False"
            assert node.value.value is False, f"{file.name}: allow_pickle must be False"


def test_no_module_bears_a_public_name() -> None:
    """`pellucid/fit.py` would take the place of the function `pellucid.fit` once it is imported."""
    import pellucid

    tops = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not tops & set(pellucid.__all__)


def test_the_public_names_come_from_where_they_say() -> None:
    """The lazy table is data, which `ast` cannot follow: its targets must be modules of the package."""
    import pellucid

    for home in set(pellucid._HOME.values()):
        assert home.split(".")[1] in HEIGHT
