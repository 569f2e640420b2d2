"""JSON Lines and JSON: one object a row; nested objects become columns with dots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.data.quarantine import BadRow, Quarantine
from pellucid.data.sources.located import Located
from pellucid.data.sources.opened import Chunk, Opened, rows_of
from pellucid.data.sources.text import not_in, open_text
from pellucid.spec.model import ReadSpec

DEEPEST = 8  # objects within objects


def read_json_lines(file: Located, read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    """Chunks of one object a line; lines that are none are set aside."""
    opened.quarantine.unit = "line"
    spent = 0
    found: list[dict[str, Any]] = []
    places: list[int] = []
    with open_text(file, read.encoding, opened.notes) as text:
        try:
            for number, line in enumerate(text, start=1):
                spent += len(line)
                if not line.strip():
                    continue
                record = _record(line, file.name, number, opened.quarantine)
                if record is None:
                    continue
                found.append(record)
                places.append(number)
                if len(found) >= rows_of(len(found[0])):
                    yield _chunk(found, places, file, spent)
                    found, places = [], []
        except UnicodeError as error:
            raise not_in(file, error, read.encoding) from None
    yield _chunk(found, places, file, spent)


def read_json(file: Located, read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    """An array of objects, alone or under a key; JSON Lines under this suffix, too.

    Raises:
        DataError: it is broken (line and column), or holds no list of objects.
    """
    with open_text(file, read.encoding, opened.notes) as stream:
        try:
            text = stream.read()
        except UnicodeError as error:
            raise not_in(file, error, read.encoding) from None
    if not text.strip():
        raise DataError("the file is empty.", where=file.name, mend="give an array of objects")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            yield from read_json_lines(file, read, opened)
            return
        raise DataError(
            f"the JSON is broken in line {error.lineno}, column {error.colno}: {error.msg}.",
            where=f"{file.name}, line {error.lineno}, column {error.colno}",
            mend="mend it there; for one object a line, name the file .jsonl",
        ) from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"the JSON cannot be read: {_short(error)}.", where=file.name, mend="flatten it") from None
    yield from of_records(table_of(value, read.records, file.name), file, opened.quarantine)


def of_records(values: list[Any], file: Located, quarantine: Quarantine) -> Iterator[Chunk]:
    """Chunks of decoded records; values that are no objects are set aside."""
    quarantine.unit = "record"
    found: list[dict[str, Any]] = []
    places: list[int] = []
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            found.append(flat(value))
            places.append(number)
        else:
            what = f"{_kind(value)} instead of an object"
            quarantine.add(BadRow(file.name, number, what, json.dumps(value)), "no object")
    for start in range(0, max(len(found), 1), size := rows_of(len(found[0]) if found else 1)):
        yield _chunk(found[start : start + size], places[start : start + size], file, 0)


def table_of(value: Any, records: str | None, where: str) -> list[Any]:
    """The list of records within a JSON value: itself, the list at `records` (dotted), or the only one below it."""
    for key in records.split(".") if records else ():
        if not isinstance(value, dict) or key not in value:
            has = ", ".join(map(repr, list(value)[:8])) if isinstance(value, dict) else _kind(value)
            raise DataError(f"no key '{key}' in the JSON, which has {has}.", where=where, mend="data.read.records")
        value = value[key]
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list) and (not v or isinstance(v[0], dict))]
        if len(lists) == 1:
            return lists[0]
        if value and not lists and all(not isinstance(v, dict | list) for v in value.values()):
            return [value]  # one record
    raise DataError(
        f"the JSON holds no single list of objects, but {_kind(value)}.",
        where=where,
        mend="give an array of objects, or name the key under which it lies: data.read.records",
    )


def flat(record: dict[str, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and value and depth < DEEPEST:
            found |= flat(value, f"{name}.", depth + 1)
        else:
            found[name] = value
    return found


def _record(line: str, name: str, number: int, bad: Quarantine) -> dict[str, Any] | None:
    try:
        value = json.loads(line.rstrip("\r\n"))  # the line end is no part of what a column counts
    except json.JSONDecodeError as error:
        bad.add(BadRow(name, number, f"broken JSON in column {error.colno}: {error.msg}", line.strip()), "JSON")
        return None
    except (RecursionError, ValueError) as error:
        bad.add(BadRow(name, number, f"JSON that cannot be read: {_short(error)}", line.strip()), "JSON")
        return None
    if not isinstance(value, dict):
        bad.add(BadRow(name, number, f"{_kind(value)} instead of an object", line.strip()), "no object")
        return None
    return flat(value)


def _short(error: Exception) -> str:
    return "too deeply nested" if isinstance(error, RecursionError) else str(error).partition(";")[0]


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a truth value"
    names = {int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names[type(value)]


def _chunk(records: list[dict[str, Any]], places: list[int], file: Located, spent: int) -> Chunk:
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {name: pd.Series([record.get(name) for record in records], dtype=object) for name in names}
    done = min(1.0, spent / file.size) if file.size and spent else float("nan")
    return Chunk(pd.DataFrame(columns), np.asarray(places, dtype=np.int64), file.name, done)
