"""Malformed files: the right error with its field, line and column, never a traceback, never a hang.

Two thousand inputs (slow), two hundred of them on every run.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import malformed
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from malformed import Malformed

from pellucid.core.errors import DataError, PellucidError, SpecError
from pellucid.data.quarantine import Quarantine
from pellucid.data.tables import Table, read_table
from pellucid.spec.loader import load_spec
from pellucid.spec.model import Spec
from pellucid.spec.problems import Problem

PLANTED = {  # format -> (inputs, how many)
    "csv": (malformed.malformed_csv(), 600),
    "json": (malformed.malformed_json(), 400),
    "parquet": (malformed.malformed_parquet(), 100),
    "yaml": (malformed.malformed_yaml(), 300),
}
GARBLED = {"csv": 200, "jsonl": 100, "json": 100, "parquet": 100, "arrow": 50, "yaml": 50}
LONGEST = 5  # seconds for one file
Open = Callable[[Path], Any]


def test_there_are_two_thousand() -> None:
    assert sum(n for _, n in PLANTED.values()) + sum(GARBLED.values()) == 2000


class Hung(BaseException):
    """Longer than five seconds. No Exception, so that nothing that is tested catches it."""


@contextmanager
def in_time() -> Iterator[None]:
    def ring(signum: int, frame: Any) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def opened(path: Path) -> Any:
    return load_spec(path) if path.suffix == ".yaml" else read_table(path, "y")


def outcome(case: Malformed, read: Open) -> Any:
    """What reading gives: a table, a spec, or an error of ours. Anything else is raised."""
    with tempfile.TemporaryDirectory() as folder, in_time():
        path = Path(folder) / case.name
        path.write_bytes(case.content)
        try:
            return read(path)
        except PellucidError as error:
            return error


def check(case: Malformed, read: Open = opened) -> None:
    """The outcome is the one that was planted."""
    found = outcome(case, read)
    if case.error is None:
        assert isinstance(found, Table), f"refused: {found}"
        assert [(row.number, row.column) for row in found.quarantine.rows] == list(case.bad)
        assert found.quarantine.count == len(case.bad)
        assert case.note in "\n".join(found.notes)
        return
    assert isinstance(found, PellucidError), "read, although it is malformed"
    assert type(found) is case.error
    assert found.mend
    for phrase in case.says:
        assert phrase in found.what
    assert found.where.endswith(case.where)
    if isinstance(found, SpecError):
        problems = [problem for problem in found.problems if isinstance(problem, Problem)]
        places = {(".".join(map(str, problem.path)), problem.where.rpartition(":")[2]) for problem in problems}
        wanted = {place for place in places if place[1] == str(case.line) and place[0] == (case.path or place[0])}
        assert wanted, f"{case.path} in line {case.line}, not {places}"


def run(strategy: st.SearchStrategy[Malformed], n: int, body: Callable[[Malformed], None]) -> None:
    @settings(max_examples=n, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def fuzz(case: Malformed) -> None:
        body(case)

    fuzz()


def sizes(wanted: dict[str, int]) -> list[Any]:
    few = [pytest.param(kind, max(5, n // 10), id=f"{kind}") for kind, n in wanted.items()]
    return few + [pytest.param(kind, n, id=f"{kind}-{n}", marks=pytest.mark.slow) for kind, n in wanted.items()]


@pytest.mark.parametrize(("kind", "n"), sizes({kind: n for kind, (_, n) in PLANTED.items()}))
def test_what_was_planted_is_told(kind: str, n: int) -> None:
    run(PLANTED[kind][0], n, check)


@pytest.mark.parametrize(("kind", "n"), sizes(GARBLED))
def test_anything_is_read_or_told(kind: str, n: int) -> None:
    def body(case: Malformed) -> None:
        found = outcome(case, opened)
        if isinstance(found, PellucidError):
            assert type(found) is (SpecError if kind == "yaml" else DataError), found
            assert found.where
            assert found.mend
            return
        assert isinstance(found, Spec if kind == "yaml" else Table)
        if isinstance(found, Table):
            assert len(found.rows) <= found.good
            assert found.quarantine.count <= 0.1 * (found.good + found.quarantine.count)

    run(malformed.garbled(malformed.texts(kind), f"t.{kind}"), n, body)


# What must not pass: handlers that say too little


def blanket(path: Path) -> Any:
    """Everything is one and the same error."""
    try:
        return opened(path)
    except Exception:
        raise DataError("the file cannot be read.", where=str(path), mend="mend the file") from None


def without_a_place(path: Path) -> Any:
    """The right words in the wrong place."""
    try:
        return opened(path)
    except PellucidError as error:
        error.where = "the data"
        for problem in getattr(error, "problems", ()):
            object.__setattr__(problem, "where", "the spec")
        raise


def silent(path: Path) -> Any:
    """Bad rows vanish."""
    found = opened(path)
    if isinstance(found, Table):
        object.__setattr__(found, "quarantine", Quarantine())
        object.__setattr__(found, "notes", ())
    return found


def one_line_off(path: Path) -> Any:
    """Lines are counted from 0."""
    found = opened(path)
    for row in getattr(getattr(found, "quarantine", None), "rows", ()):
        object.__setattr__(row, "number", row.number - 1)
    return found


@pytest.mark.parametrize("kind", PLANTED)
def test_a_blanket_handler_fails(kind: str) -> None:
    caught: dict[str, set[str]] = {"blanket": set(), "without_a_place": set(), "silent": set(), "one_line_off": set()}
    handlers = {"blanket": blanket, "without_a_place": without_a_place, "silent": silent, "one_line_off": one_line_off}
    seen: set[str] = set()

    def body(case: Malformed) -> None:
        seen.add(case.kind)
        for name, handler in handlers.items():
            wrong = (case.error is not None) == (name in ("blanket", "without_a_place"))
            if not wrong or (name == "one_line_off" and not case.bad):
                continue
            if kind == "parquet" and name == "blanket":
                continue  # its own error has no more to tell than the file
            try:
                check(case, handler)
            except AssertionError:
                caught[name].add(case.kind)
                continue
            raise RuntimeError(f"{name} passes for {case!r}")

    run(PLANTED[kind][0], 40, body)
    assert caught["without_a_place"]
    assert kind not in ("csv", "json") or (caught["blanket"] and caught["silent"] and caught["one_line_off"])
