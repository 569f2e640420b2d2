"""What is wrong with a spec: every problem at once, with its place, what came, what is allowed, the nearest name.

What is allowed is read off the model's JSON Schema, so a new option describes itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.core.errors import SpecError, nearest

Path = tuple[str, ...]
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """One problem.

    Args:
        where: `file:line`, `--set` or `keyword`.
        path: keys from the top of the spec.
        got: what came.
        allowed: what may stand there.
        near: "did you mean ...", or empty.
    """

    where: str
    path: Path
    got: str
    allowed: str
    near: str = ""

    def __str__(self) -> str:
        dotted = ".".join(self.path) or "spec"
        return f"{dotted}: got {self.got}; allowed: {self.allowed}" + (f"; {self.near}" if self.near else "")


def spec_error(problems: Sequence[Problem], source: str) -> SpecError:
    """One error for all of them: three lines for one problem, one more line for each further one."""
    problems = sorted(problems, key=_order)
    first = problems[0]
    if len(problems) == 1:
        error = SpecError(
            str(first),
            where=first.where,
            mend=first.near or "`pellucid check spec --schema` prints what a spec may hold",
        )
    else:
        width = max(len(p.where) for p in problems)
        lines = [f"{len(problems)} problems in the spec.", *(f"  {p.where:<{width}}  {p}" for p in problems)]
        error = SpecError(
            "\n".join(lines),
            where=source,
            mend="mend the lines above; `pellucid check spec --schema` prints what a spec may hold",
        )
    error.problems = tuple(problems)
    return error


def _order(problem: Problem) -> tuple[bool, int]:
    line = problem.where.rpartition(":")[2]
    return (not line.isdigit(), int(line) if line.isdigit() else 0)


class Guide:
    """The JSON Schema of the model, walked along a path of raw values."""

    def __init__(self, schema: Node) -> None:
        self.schema = schema

    def resolve(self, node: Node, value: object) -> Node:
        """Follows references, and of a choice takes the branch that `value` asks for by its `kind`."""
        while True:
            if "$ref" in node:
                node = self.schema["$defs"][node["$ref"].rsplit("/", 1)[1]] | {
                    k: v for k, v in node.items() if k != "$ref"
                }
            elif "discriminator" in node:
                kind = value.get("kind") if isinstance(value, Mapping) else None
                branch = node["discriminator"]["mapping"].get(kind) if isinstance(kind, str) else None
                if branch is None:
                    return node
                node = {"$ref": branch}
            elif "anyOf" in node and "type" not in node:
                real = next(option for option in node["anyOf"] if option.get("type") != "null")
                node = (
                    real
                    | {k: v for k, v in node.items() if k != "anyOf"}
                    | {"nullable": any(option.get("type") == "null" for option in node["anyOf"])}
                )
            else:
                return node

    def at(self, path: Path, raw: object) -> Node:
        """The schema of the value at `path`; empty where the path leaves the schema."""
        node, value = self.resolve(self.schema, raw), raw
        for key in path:
            if "items" in node:
                child = node["items"]
            elif key in node.get("properties", {}):
                child = node["properties"][key]
            else:
                other = node.get("additionalProperties")
                child = next(
                    iter(node.get("patternProperties", {}).values()), other if isinstance(other, Mapping) else {}
                )
            value = child_of(value, key)
            node = self.resolve(child, value)
        return node

    def keys(self, path: Path, raw: object) -> list[str]:
        """The keys that a mapping at `path` may have."""
        return list(self.at(path, raw).get("properties", {}))

    def kinds(self, path: Path, raw: object) -> list[str]:
        """The kinds between which a section at `path` chooses."""
        return list(self.at(path, raw).get("discriminator", {}).get("mapping", {}))

    def choices(self, path: Path, raw: object) -> list[str]:
        """The words between which a value at `path` chooses."""
        return [str(word) for word in self.at(path, raw).get("enum", [])]

    def allowed(self, path: Path, raw: object) -> str:
        """One line: type, range and meaning."""
        node = self.at(path, raw)
        text = _type_text(node)
        if node.get("nullable"):
            text += " or null"
        description = node.get("description")
        return f"{text} ({description})" if description and "properties" not in node else text


def child_of(value: object, key: str) -> object:
    """The raw value one key down, whatever the value is."""
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list | tuple) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    return None


def _type_text(node: Node) -> str:
    if "enum" in node:
        return ", ".join(str(word) for word in node["enum"])
    if "const" in node:
        return str(node["const"])
    if "discriminator" in node:
        return f"a section with kind: {', '.join(node['discriminator']['mapping'])}"
    if "properties" in node:
        return f"a section with the keys {', '.join(node['properties'])}"
    kind = str(node.get("type", "a value"))
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "a section",
    }
    if node.get("format") == "date":
        return "a date as YYYY-MM-DD"
    bounds = [f"{sign} {node[key]}" for key, sign in _BOUNDS.items() if key in node]
    if kind == "array" and "items" in node:
        bounds.append(f"of {_type_text(node['items'])}")
    return " ".join([words.get(kind, kind), " and ".join(bounds)]).strip()


_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def show(value: object) -> str:
    """A raw value in one short line."""
    if isinstance(value, Mapping):
        return f"a section with the keys {', '.join(map(str, list(value)[:5]))}" if value else "an empty section"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def from_pydantic(
    errors: Sequence[Mapping[str, Any]], raw: object, guide: Guide, place: Callable[[Path], str]
) -> list[Problem]:
    """Pydantic's errors in the words above; `place` tells where a path stands."""
    return [problem for error in errors if error["type"] != "cross" for problem in _one(error, raw, guide, place)]


def _one(error: Mapping[str, Any], raw: object, guide: Guide, place: Callable[[Path], str]) -> list[Problem]:
    path, value, is_key = _data_path(error["loc"], raw)
    kind, parent = str(error["type"]), path[:-1]
    if kind == "extra_forbidden":
        keys = guide.keys(parent, raw)
        return [Problem(place(path), path, "an unknown key", ", ".join(keys) or "nothing", nearest(path[-1], keys))]
    if is_key:
        return [
            Problem(
                place(path),
                path,
                f"the name {path[-1]!r}",
                "a name of small letters, digits and _, beginning with a letter",
            )
        ]
    if kind == "missing":
        return [Problem(place(path), path, "nothing", guide.allowed(path, raw))]
    if kind.startswith("union_tag"):
        kinds = guide.kinds(path, raw)
        tag = child_of(value, "kind")
        got = "no kind" if tag is None else show(tag)
        return [Problem(place((*path, "kind")), (*path, "kind"), got, ", ".join(kinds), nearest(str(tag), kinds))]
    if kind in ("increasing", "day"):
        return [Problem(place(path), path, show(value), str(error["msg"]))]
    near = nearest(value, guide.choices(path, raw)) if isinstance(value, str) else ""
    return [Problem(place(path), path, show(value), guide.allowed(path, raw), near)]


def _data_path(loc: Sequence[str | int], raw: object) -> tuple[Path, object, bool]:
    """Pydantic's location without the tags of unions, which are no keys of the data, and whether it is about a key."""
    path: list[str] = []
    value, skip = raw, False
    for part in loc:
        tagged = (len(path) == 1 and path[0] == "data") or (len(path) == 2 and path[0] == "tasks")
        if tagged and not skip:
            skip = True
            if isinstance(value, Mapping) and value.get("kind") == part:
                continue
        if part == "[key]":
            return tuple(path), value, True
        path.append(str(part))
        value = child_of(value, str(part))
        skip = False
    return tuple(path), value, False
