"""Whatever is done to a spec file, loading it gives a Spec or a SpecError."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.errors import SpecError
from pellucid.spec.loader import load_spec, spec_from
from pellucid.spec.model import Spec
from pellucid.spec.problems import Problem

ROOT = Path(__file__).parents[2]
TEXTS = [file.read_text() for file in sorted((ROOT / "examples").glob("*.yaml"))]
WORDS = "[ ] { } &a *a !!set ' # | > ? % é 1e999 -1 null true .nan 0x data: kind prices table forecast control"
TOKENS = WORDS.split(" ")
TOKENS += [": ", "- ", "\n", "\n  ", "\t", "\x07", "9" * 30]
KEYS = st.sampled_from(
    ["name", "data", "kind", "source", "tasks", "train", "lr", "ppo", "quantiles", "forecast", "x", ""]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["prices", "table", "forecast", "a b", ""])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from(TOKENS) | st.text(max_size=3) | st.just("")) + text[end:]
    return text


def spec_or_problems(load: Callable[[], Spec]) -> None:
    problems: tuple[object, ...] | None = None
    try:
        assert isinstance(load(), Spec)
    except SpecError as error:
        problems = error.problems
    for p in problems or ():
        assert isinstance(p, Problem)
        assert p.where
        assert p.got
        assert p.allowed


@settings(max_examples=300, deadline=None)
@given(
    mutated(),
    st.lists(st.text(max_size=12) | st.sampled_from(["train.lr=1", "data=3", "tasks.a.b=[", "name=no"]), max_size=2),
)
def test_mutated_files(text: str, overrides: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "s.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        spec_or_problems(lambda: load_spec(file, overrides))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_mapping(raw: dict[str, object]) -> None:
    spec_or_problems(lambda: spec_from(raw, where="keyword"))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["data", "tasks.f", "tasks.f.ppo", "train", "train.lr", "review.rows", "seed"]), VALUES)
def test_any_value_anywhere(key: str, value: object) -> None:
    raw = {
        "name": "a",
        "data": {"kind": "prices", "source": "planted"},
        "tasks": {"f": {"kind": "control", "env": "E-v0"}},
    }
    spec_or_problems(lambda: spec_from(raw, where="keyword", changes={key: value}))
