"""Specs from YAML files, from keyword arguments and with `--set a.b=v`, through one model."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pellucid.core.errors import SpecError, nearest
from pellucid.spec.crosscheck import cross_problems
from pellucid.spec.model import Spec
from pellucid.spec.problems import Guide, Problem, from_pydantic, show, spec_error
from pellucid.spec.problems import Path as Keys
from pellucid.spec.searching import search_problems
from pellucid.spec.yaml12 import Document

DATA_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq", ".arrow", ".feather", ".gz", ".zst")
LARGEST_FILE = 1_000_000  # bytes


def load_spec(path: str | Path, overrides: Sequence[str] = ()) -> Spec:
    """The spec in a YAML file.

    Args:
        path: the file; relative sources inside it start at its folder.
        overrides: `a.b=v` each, as after `--set`; v is read as YAML.
    Raises:
        SpecError: with every problem of the file and of the overrides at once.
    """
    file = Path(path)
    document = Document(_read(file), str(path))
    if document.value is None and not document.problems:
        document.value = {}
    places = {keys: f"{path}:{line}" for keys, line in document.lines.items()}
    return _checked(document.value, places, document.problems, overrides, str(path)).within(file.resolve().parent)


def build_spec(**keywords: Any) -> Spec:
    """The spec of keyword arguments: `build_spec(name="bank", data={...})`; sections may be models or mappings."""
    return spec_from(keywords, where="keyword")


def spec_from(
    raw: Mapping[str, Any], *, where: str, changes: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> Spec:
    """The spec of nested mappings.

    Args:
        raw: the values; models among them are taken as they are.
        where: what is named as the place of a problem.
        changes: dotted key -> value, put over `raw`.
        overrides: `a.b=v` each, put over both.
    """
    value = _plain(dict(raw))
    problems: list[Problem] = []
    for dotted, new in (changes or {}).items():
        _put(value, tuple(dotted.split(".")), _plain(new), where, problems)
    return _checked(value, {(): where}, problems, overrides, where)


def _read(file: Path) -> str:
    def error(what: str, mend: str) -> SpecError:
        return SpecError(what, where=str(file), mend=mend)

    if file.suffix.lower() in DATA_SUFFIXES:
        raise error("this is a file of data, not a spec.", f"pellucid fit --data {file} --target COLUMN")
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        there = sorted(other.name for other in file.parent.glob("*.y*ml")) if file.parent.is_dir() else []
        listed = f"spec files there: {', '.join(there[:5])}" if there else "give the path of a YAML file"
        raise error("there is no such spec file.", nearest(file.name, there) or listed) from None
    except (OSError, ValueError) as reason:
        raise error(f"the spec file cannot be read: {reason}.", "give the path of a readable YAML file") from None
    if len(data) > LARGEST_FILE:
        raise error(
            f"the file has {len(data)} bytes; a spec has at most {LARGEST_FILE}.", "is it the data instead of the spec?"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error("the file is not text in UTF-8.", "is it the data instead of the spec?") from None


def _checked(
    raw: Any, places: Mapping[Keys, str], problems: Sequence[Problem], overrides: Sequence[str], source: str
) -> Spec:
    found, places = list(problems), dict(places)
    if not isinstance(raw, dict):
        if not found:
            found.append(
                Problem(
                    places.get((), source), (), show(raw), "a mapping with the keys " + ", ".join(Spec.model_fields)
                )
            )
        raise spec_error(found, source)
    for override in overrides:
        _override(raw, override, places, found)
    spec, wrong = _validated(raw, functools.partial(_place, places, source))
    found += [
        problem for problem in wrong if not any(problem.path[: len(p.path)] == p.path and p.path for p in problems)
    ]
    if found or spec is None:
        raise spec_error(found, source)
    return spec


def _validated(raw: dict[str, Any], place: Callable[[Keys], str]) -> tuple[Spec | None, list[Problem]]:
    guide = Guide(_schema())
    try:
        spec, problems = Spec.model_validate(raw), []
    except ValidationError as error:
        spec, problems = None, from_pydantic(error.errors(include_url=False), raw, guide, place)
    known = {problem.path for problem in problems}
    problems += [
        Problem(place(path), path, got, allowed) for path, got, allowed in cross_problems(raw) if path not in known
    ]
    problems += _search_problems(raw, guide, place)
    return (None if problems else spec), problems


def _search_problems(raw: dict[str, Any], guide: Guide, place: Callable[[Keys], str]) -> list[Problem]:
    """Ranges that name no setting, or values that the setting may not have."""

    def check(changed: dict[str, Any]) -> list[tuple[Keys, str, str]]:
        try:
            Spec.model_validate(changed)
        except ValidationError as error:
            found = from_pydantic(error.errors(include_url=False), changed, guide, place)
            return [(one.path, one.got, one.allowed) for one in found]
        return []

    found = search_problems(raw, lambda path: guide.keys(path, raw), check)
    return [Problem(place(path), path, got, allowed, near) for path, got, allowed, near in found]


@functools.cache
def _schema() -> dict[str, Any]:
    return Spec.model_json_schema()


def _place(places: Mapping[Keys, str], source: str, path: Keys) -> str:
    """Where a path stands: its own line, or that of the nearest section around it."""
    for end in range(len(path), -1, -1):
        if path[:end] in places:
            return places[path[:end]]
    return source


def _override(raw: dict[str, Any], override: str, places: dict[Keys, str], problems: list[Problem]) -> None:
    dotted, sign, text = override.partition("=")
    keys = tuple(dotted.strip().split("."))
    where = f"--set {dotted.strip()}"
    if not sign or not all(keys):
        problems.append(
            Problem(f"--set {override}", (), show(override), "a dotted key, =, and a value, e.g. train.lr=1e-3")
        )
        return
    document = Document(text, where)
    if document.problems:
        problems.append(Problem(where, keys, show(text), "a YAML value"))
    elif _put(raw, keys, document.value, where, problems):
        for old in [old for old in places if old[: len(keys)] == keys]:
            del places[old]
        places[keys] = where
        for end in range(1, len(keys)):
            places.setdefault(keys[:end], where)


def _put(raw: dict[str, Any], keys: Keys, value: Any, where: str, problems: list[Problem]) -> bool:
    node = raw
    for depth, key in enumerate(keys[:-1], start=1):
        if node.get(key) is None:
            node[key] = {}
        if not isinstance(node[key], dict):
            problems.append(
                Problem(
                    where,
                    keys,
                    f"a key below {'.'.join(keys[:depth])}",
                    f"nothing below {'.'.join(keys[:depth])}, which is {show(node[key])}",
                )
            )
            return False
        node = node[key]
    node[keys[-1]] = value
    return True


def _plain(value: Any) -> Any:
    """Models as mappings and copies of containers, so that nothing of the caller's is changed."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return copy.copy(value)


def whole_numbers(spec: Spec, paths: Sequence[str]) -> list[str]:
    """Which of these dotted paths are settings that are whole numbers."""
    guide, raw = Guide(_schema()), spec.to_json()
    return [path for path in paths if guide.at(tuple(path.split(".")), raw).get("type") == "integer"]


def setting(spec: Spec, dotted: str) -> Any:
    """The value at a dotted path."""
    value: Any = spec.to_json()
    for key in dotted.split("."):
        value = value[key]
    return value
