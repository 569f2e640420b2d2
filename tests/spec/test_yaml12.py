"""Scalars against the tables of the YAML 1.2.2 core schema (section 10.3.2)."""

from __future__ import annotations

import math

import pytest
import yaml

from pellucid.spec.yaml12 import Document

CORE = {
    "null": None,
    "~": None,
    "": None,
    "true": True,
    "FALSE": False,
    "no": "no",
    "yes": "yes",
    "on": "on",
    "off": "off",
    "0": 0,
    "012": 12,
    "0o14": 12,
    "0x1F": 31,
    "-19": -19,
    "+7": 7,
    "1_000": "1_000",
    "12:30:45": "12:30:45",
    "2018-02-05": "2018-02-05",
    "1e-3": 0.001,
    "1E3": 1000.0,
    "1.": 1.0,
    ".5": 0.5,
    "-2.5e+2": -250.0,
    "12e03": 12000.0,
    ".inf": math.inf,
    "-.Inf": -math.inf,
    "1e": "1e",
    ".": ".",
    "0b11": "0b11",
    "<<": "<<",
    "=": "=",
}


@pytest.mark.parametrize(("text", "value"), CORE.items(), ids=list(CORE))
def test_scalars_of_the_core_schema(text: str, value: object) -> None:
    document = Document(f"a: {text}", "f")
    assert not document.problems
    read = document.value["a"]
    assert read == value
    assert type(read) is type(value)


def test_nan() -> None:
    assert math.isnan(Document("a: .nan", "f").value["a"])


def test_the_traps_are_real() -> None:
    """If PyYAML ever moves to 1.2, this fails and yaml12.py can go."""
    assert yaml.safe_load("[1e-3, no, 012, 12:30:45]") == ["1e-3", False, 10, 45045]


def test_quoted_scalars_stay_text() -> None:
    assert Document("a: '1e-3'\nb: \"null\"\nc: !!str 12", "f").value == {"a": "1e-3", "b": "null", "c": "12"}


def test_lines() -> None:
    document = Document("a:\n  b: 1\n  c:\n    - 2\n    - 3\n", "f")
    assert document.lines[("a", "b")] == 2
    assert document.lines[("a", "c")] == 3
    assert document.lines[("a", "c", "1")] == 5


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3", 3, "first on line 1"),
        ("a: 1\nb: [1, 2\nc: 3", 3, "not YAML"),
        ("a: !!python/object/apply:os.system [true]", 1, "the tag"),
        ("a: !!int x", 1, "the tag"),
        ("a: &x [*x]", 1, "alias of itself"),
        ("? [1, 2]\n: 3", 1, "a key that is a list"),
        ("a: 1\n---\nb: 2", 2, "not YAML"),
        ("a: \x00", 1, "not YAML"),
        ("a: " + "9" * 5000, 1, "5000 digits"),
        ("a: " + "[" * 5000, 1, ""),
        ("a: *nothing", 1, "not YAML"),
    ],
)
def test_problems_name_their_line(text: str, line: int, words: str) -> None:
    problems = Document(text, "f").problems
    assert problems
    assert problems[0].where == f"f:{line}"
    assert words in problems[0].got


def test_aliases_cannot_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    document = Document("\n".join(lines), "f")
    assert "too large" in document.problems[0].got
    assert len(document.problems) == 1
