"""How a text is cut into players, and how it reads without some of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.explain.words import Cut, breaks, pieces_of, tree_of, words_of

FILM = "Great, (really great) film—don't miss it!"


def told(text: str, grain: str = "word") -> list[str]:
    return [text[a:b] for a, b in pieces_of(text, grain)]


def test_words_take_the_signs_that_touch_them() -> None:
    assert told(FILM) == ["Great,", "(really", "great)", "film—", "don't", "miss", "it!"]
    assert told("good/bad 🙂 ...") == ["good/", "bad", "🙂", "..."]
    assert told("这部电影 was fun。") == ["这", "部", "电", "影", "was", "fun。"]
    assert told("") == told(" \n\t") == []


def test_phrases_end_at_signs_and_after_five_words() -> None:
    assert told(FILM, "phrase") == ["Great,", "(really great)", "film—", "don't miss it!"]
    assert told("one two three four five six", "phrase") == ["one two three", "four five six"]
    assert told("So it goes. And on, again!", "sentence") == ["So it goes.", "And on, again!"]
    assert told("first line\nsecond line", "sentence") == ["first line", "second line"]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["word", "phrase", "sentence"]))
def test_pieces_cover_all_that_can_be_seen_once(text: str, grain: str) -> None:
    spans = pieces_of(text, grain)
    assert all(a < b for a, b in spans)
    assert all(one.stop <= two.start for one, two in itertools.pairwise(spans))
    covered = np.zeros(len(text), dtype=int)
    for a, b in spans:
        covered[a:b] += 1
    assert all(covered[i] == 1 for i, letter in enumerate(text) if not letter.isspace())
    cut = Cut(text, spans, "drop")
    assert cut.without([True] * len(spans)) == text
    assert cut.without([False] * len(spans)) == "" or not spans


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab.,", min_size=1, max_size=4), min_size=1, max_size=40))
def test_a_hierarchy_splits_every_part_and_is_never_deep(words: list[str]) -> None:
    text = " ".join(words)
    pieces = words_of(text)
    tree = tree_of(text, pieces)
    assert len(tree) == len(pieces) - 1
    parts = {(0, len(pieces))}
    depth = {(0, len(pieces)): 0}
    for start, middle, stop in tree:  # a part before those within it
        assert (start, stop) in parts
        assert start < middle < stop
        for half in ((start, middle), (middle, stop)):
            parts.add(half)
            depth[half] = depth[start, stop] + 1
    assert max(depth.values()) <= 2.5 * np.log2(max(len(pieces), 2)) + 1


def test_a_hierarchy_keeps_sentences_together() -> None:
    text = "One two three. Four five six seven."
    assert tree_of(text, words_of(text))[0] == (0, 3, 7)
    assert breaks(text, words_of(text)) == [0, 0, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("mask", "keep", "said"),
    [
        ("token", [0, 1, 1, 1, 1, 1, 1], "[MASK] (really great) film—don't miss it!"),
        ("token", [1, 1, 1, 0, 1, 1, 0], "Great, (really great) [MASK] don't miss [MASK]"),
        ("token", [0] * 7, "[MASK] [MASK] [MASK] [MASK] [MASK] [MASK] [MASK]"),
        ("drop", [1, 0, 1, 0, 1, 1, 1], "Great, great) don't miss it!"),
        ("drop", [0] * 7, ""),
    ],
)
def test_a_text_without_some_words(mask: str, keep: list[int], said: str) -> None:
    cut = Cut(FILM, words_of(FILM), mask, "[MASK]")
    assert cut.without(list(map(bool, keep))) == said


def test_ideographs_are_dropped_without_a_gap() -> None:
    text = "电影很好"
    assert Cut(text, words_of(text), "drop").without([True, False, True, True]) == "电很好"
