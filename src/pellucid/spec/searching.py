"""The search section of a spec: which values are tried, and what is wrong with the ranges that it names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from pellucid.core.errors import nearest
from pellucid.spec.section import Count, OpenShare, Positive, Section, Share

Keys = tuple[str, ...]
Found = tuple[Keys, str, str, str]  # path, got, allowed, nearest
Validate = Callable[[dict[str, Any]], list[tuple[Keys, str, str]]]

SEARCHED = ("train", "network", "tasks")
FIXED = {"device", "checkpoint_every"}  # of train: they change no result
POPULATION = ("train.lr", "train.weight_decay")  # what a training under way can change


class RangeSpec(Section):
    """The values of one setting: from `low` to `high`, or a list of `choices`."""

    low: float | int | None = Field(default=None, description="least value")
    high: float | int | None = Field(default=None, description="largest value")
    log: bool = Field(default=False, description="even over the logarithm: for what goes over several powers of ten")
    choices: list[str | int | float | bool | None] = Field(default=[], description="instead of low and high: values")


class PopulationSpec(Section):
    """Population-based training: members train side by side, the worst go on from copies of the best."""

    size: int = Field(default=8, ge=2, le=256, description="members")
    rounds: Count = Field(default=8, le=1000, description="times at which they are compared, evenly over the updates")
    share: float = Field(default=0.25, gt=0, le=0.5, description="share of the members that is replaced at a time")
    factor: float = Field(default=1.25, gt=1, description="a copied setting is multiplied or divided by this")
    anew: Share = Field(default=0.25, description="chance that a copied setting is drawn anew instead")


class SearchSpec(Section):
    """Which settings are tried, and how (`pellucid search`)."""

    space: dict[str, RangeSpec] = Field(
        min_length=1, description="dotted path -> range, e.g. train.lr: {low: 1e-4, high: 1e-1, log: true}"
    )
    trials: Count = Field(default=32, description="settings that are tried, the spec's own among them")
    seconds: Positive | None = Field(default=None, description="no trial begins later; null: no limit")
    sampler: Literal["tpe", "cmaes", "random", "population"] = Field(
        default="tpe", description="how the next settings are chosen; population: population-based training"
    )
    pruner: Literal["median", "hyperband", "none"] = Field(
        default="median", description="which trials are ended early, by their loss on the way"
    )
    task: str | None = Field(default=None, description="whose loss is searched by; null: the only task's")
    choose: OpenShare = Field(default=0.25, description="share of the training rows by which settings are chosen")
    confirm: OpenShare = Field(
        default=0.25, description="share by which the choice is then compared with the spec as it stands"
    )
    population: PopulationSpec = PopulationSpec()


def search_problems(raw: Mapping[str, Any], keys: Callable[[Keys], list[str]], check: Validate) -> list[Found]:
    """(path, got, allowed, nearest) of every range that the rest of the spec does not allow.

    Args:
        raw: the spec as it was given.
        keys: the keys that a section may have, by its path.
        check: what is wrong with a whole spec: (path, got, allowed) each.
    """
    search = raw.get("search")
    space = search.get("space") if isinstance(search, Mapping) else None
    if not isinstance(search, Mapping) or not isinstance(space, Mapping):
        return []
    population = search.get("sampler") == "population"
    found: list[Found] = []
    for dotted, given in space.items():
        path = ("search", "space", str(dotted))
        wrong = _path_problem(raw, str(dotted), keys, population)
        if wrong is not None:
            found.append((path, *wrong))
        elif isinstance(given, Mapping):
            found += _range_problems(raw, str(dotted), given, path, check)
    found += _task_problem(raw, search)
    return found


def _path_problem(
    raw: Mapping[str, Any], dotted: str, keys: Callable[[Keys], list[str]], population: bool
) -> tuple[str, str, str] | None:
    parts = tuple(dotted.split("."))
    if parts[0] not in SEARCHED:
        known = [f"{root}." for root in SEARCHED]
        return f"the path {dotted!r}", f"a path below {', '.join(known)}", nearest(parts[0], SEARCHED)
    if population and dotted not in POPULATION:
        return f"the path {dotted!r}", f"for a population: {', '.join(POPULATION)}", nearest(dotted, POPULATION)
    for depth in range(1, len(parts)):
        before, key = parts[:depth], parts[depth]
        named = _tasks(raw) if before == ("tasks",) else keys(before)
        named = [name for name in named if not (before == ("train",) and name in FIXED)]
        if key not in named:
            whole = [".".join((*before, name)) for name in named]
            near = nearest(key, named).replace("'", "").removeprefix("did you mean ").removesuffix("?")
            said = f"did you mean '{'.'.join((*before, near, *parts[depth + 1 :]))}'?" if near else ""
            return f"the path {dotted!r}", ", ".join(whole) or f"what the spec has below {'.'.join(before)}", said
    inner = keys(parts) if parts != ("tasks",) else _tasks(raw)
    if len(parts) == 1 or inner:
        return f"the section {dotted!r}", ", ".join(f"{dotted}.{name}" for name in inner), ""
    return None


def _tasks(raw: Mapping[str, Any]) -> list[str]:
    tasks = raw.get("tasks")
    return [str(name) for name in tasks] if isinstance(tasks, Mapping) else []


def _range_problems(
    raw: Mapping[str, Any], dotted: str, given: Mapping[str, Any], path: Keys, check: Validate
) -> Iterator[Found]:
    low, high, choices = given.get("low"), given.get("high"), given.get("choices")
    numbers = [v for v in (low, high) if isinstance(v, int | float) and not isinstance(v, bool)]
    if choices and (low is not None or high is not None or given.get("log")):
        yield path, "choices beside low, high or log", "choices alone, or low and high", ""
    elif choices:
        words = choices if isinstance(choices, list | tuple) else []
        if len(words) < 2 or len({repr(word) for word in words}) < len(words):
            yield (*path, "choices"), f"{len(words)} choices", "two choices at least, each once", ""
        for word in words:
            yield from _refused(raw, dotted, word, (*path, "choices"), check)
    elif low is None or high is None:
        yield path, "no range", "low and high, or choices", ""
    elif len(numbers) == 2:
        if numbers[1] <= numbers[0]:
            yield (*path, "high"), str(high), f"more than low, {low}", ""
        elif given.get("log") is True and numbers[0] <= 0:
            yield (*path, "low"), str(low), "more than 0 with log: true", ""
        for key, value in (("low", low), ("high", high)):
            yield from _refused(raw, dotted, value, (*path, key), check)


def _refused(raw: Mapping[str, Any], dotted: str, value: Any, path: Keys, check: Validate) -> Iterator[Found]:
    """What the rest of the spec says to this value; of the range, only its own path counts."""
    parts = tuple(dotted.split("."))
    for at, got, allowed in check(changed(raw, {dotted: value})):
        if at == parts:
            yield path, got, allowed, ""


def changed(raw: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the raw spec with dotted keys replaced, and without its search section."""
    copied = copy.deepcopy({key: value for key, value in raw.items() if key != "search"})
    for dotted, value in values.items():
        node: dict[str, Any] = copied
        *sections, last = dotted.split(".")
        for key in sections:
            inner = node.get(key)
            if not isinstance(inner, dict):
                inner = node[key] = {}
            node = inner
        node[last] = value
    return copied


def _task_problem(raw: Mapping[str, Any], search: Mapping[str, Any]) -> Iterator[Found]:
    names, task = _tasks(raw), search.get("task")
    if isinstance(task, str) and names and task not in names:
        yield ("search", "task"), repr(task), ", ".join(names), nearest(task, names)
    elif task is None and len(names) > 1:
        yield ("search", "task"), "no task", f"one of {', '.join(names)}: by its loss settings are chosen", ""
    whole = [search.get(key, 0.25) for key in ("choose", "confirm")]
    if all(isinstance(share, int | float) for share in whole) and sum(whole) > 0.8:
        yield ("search", "confirm"), str(whole[1]), "choose and confirm together at most 0.8 of the rows", ""
