"""YAML with the scalars of the YAML 1.2 core schema, on PyYAML's parser, keeping the line of every key.

PyYAML follows YAML 1.1, which reads `lr: 1e-3` as text, `no` as false, `012` as ten and `12:30:45` as 45045.
Duplicate keys are problems here, tags beyond the core schema too, and nothing is ever constructed but numbers, text,
lists and mappings.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from pellucid.spec.problems import Path, Problem

NODES = 20_000  # aliases multiply; a spec has some tens of values
DEPTH = 50

_CORE = "tag:yaml.org,2002:"
_SCALARS = (
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    ("int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), list("-+0123456789")),
    (
        "float",
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        list("-+0123456789."),
    ),
)


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the resolvers below in place of YAML 1.1's."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own attribute)


for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_CORE + _name, _pattern, _first)


class Document:
    """One parsed document: its value, the line of each path, and what was wrong with it."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.value: Any = None
        self._count = 0
        self._open: set[int] = set()
        try:
            node = yaml.compose(text, Loader=_Loader)
            self.value = None if node is None else self._build(node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._note((), mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}", "YAML 1.2")
        except yaml.YAMLError as error:  # characters that YAML does not allow
            self._note((), 1, f"not YAML: {str(error).splitlines()[0]}", "YAML 1.2 in UTF-8")
        except RecursionError:
            self._note((), 1, "nested too deeply", f"at most {DEPTH} levels")

    def _note(self, path: Path, line: int, got: str, allowed: str) -> None:
        self.problems.append(Problem(f"{self.file}:{line}", path, got, allowed))

    def _build(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._count += 1
        if self._count > NODES or len(path) > DEPTH or id(node) in self._open:
            if self._count <= NODES + 1:
                self._note(
                    path, line, "too large, too deep, or an alias of itself", f"at most {NODES} values, {DEPTH} levels"
                )
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, line)
        self._open.add(id(node))
        built = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._open.discard(id(node))
        return built

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._tag(node, path, "map")
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(path, line, "a key that is a list or a mapping", "a word as key")
                continue
            key = str(key_node.value)
            if key in built:
                self._note(
                    (*path, key),
                    line,
                    f"the key a second time (first on line {self.lines[(*path, key)]})",
                    "each key once",
                )
                continue
            self.lines[(*path, key)] = line
            built[key] = self._build(value_node, (*path, key))
        return built

    def _sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        self._tag(node, path, "seq")
        return [self._build(child, (*path, str(i))) for i, child in enumerate(node.value)]

    def _tag(self, node: yaml.Node, path: Path, expected: str) -> None:
        if node.tag != _CORE + expected:
            self._note(path, node.start_mark.line + 1, f"the tag {node.tag}", "no tags")

    def _scalar(self, node: yaml.ScalarNode, path: Path, line: int) -> Any:
        text, kind = str(node.value), node.tag.removeprefix(_CORE)
        if kind == "str":
            return text
        pattern = next((pattern for name, pattern, _ in _SCALARS if name == kind), None)
        if pattern is None or not pattern.match(text):
            self._note(path, line, f"the tag {node.tag} on {text[:40]!r}", "no tags")
            return None
        try:
            return _value(kind, text)
        except ValueError:  # an integer of thousands of digits
            self._note(path, line, f"a number of {len(text)} digits", "a number that a computer can hold")
            return None


def _value(kind: str, text: str) -> Any:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(re.sub(r"\.(inf|nan)\Z", r"\1", text.lower()))
