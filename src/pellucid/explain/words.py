"""Words and phrases of a text: where they stand, how the text reads without some of them, and how they hang together.

A word is a run of letters and digits with the signs that touch it; signs by themselves are words, too, and so is every
letter of a script that is written without spaces. Together the words cover all that can be seen of a text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, nearest

Grain = Literal["word", "phrase", "sentence"]
Mask = Literal["auto", "token", "drop", "replace"]
Bools = npt.NDArray[np.bool_]

GRAINS: tuple[str, ...] = ("word", "phrase", "sentence")
MASKS: tuple[str, ...] = ("auto", "token", "drop", "replace")
LONGEST = 5  # words of a phrase

_APART = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Thai, Lao, kana, ideographs: no spaces
_ALONE = re.compile(f"[{_APART}]")
_CHUNK = re.compile(r"\S+")
_CORE = re.compile(rf"[{_APART}]|[^\W{_APART}]+(?:['’\-][^\W{_APART}]+)*")
_ENDS = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*$")  # of a sentence
_BREAKS = re.compile(r"[,;:—–)\]\"”»、，；：]+$")  # of a phrase
_OPENS = re.compile(r"^[(\[\"“«]")


class Span(NamedTuple):
    """Characters of a text: from `start` up to `stop`."""

    start: int
    stop: int


def words_of(text: str) -> list[Span]:
    """The words of a text, in order; none of an empty one."""
    found: list[Span] = []
    for chunk in _CHUNK.finditer(text):
        cores = [core.start() for core in _CORE.finditer(text, *chunk.span())]
        starts = [chunk.start(), *cores[1:]]  # signs before the first word belong to it, others to the word before
        found += [Span(a, b) for a, b in zip(starts, [*starts[1:], chunk.end()], strict=True)]
    return found


def pieces_of(text: str, grain: Grain) -> list[Span]:
    """The players of a text: words, phrases (at most five words between two signs), or sentences."""
    words = words_of(text)
    if grain == "word" or not words:
        return words
    strength = breaks(text, words)
    ends = [i + 1 for i, s in enumerate(strength) if s >= (2 if grain == "sentence" else 1)]
    cut: list[Span] = []
    for first, last in zip([0, *ends], [*ends, len(words)], strict=True):
        parts = 1 if grain == "sentence" else -(-(last - first) // LONGEST)
        at = [first + (last - first) * i // parts for i in range(parts + 1)]
        cut += [Span(words[a].start, words[b - 1].stop) for a, b in itertools.pairwise(at)]
    return cut


def breaks(text: str, pieces: Sequence[Span]) -> list[int]:
    """How strongly each piece but the last is parted from the next: 2 a sentence ends, 1 a sign, 0 nothing."""
    found = []
    for left, right in itertools.pairwise(pieces):
        word = text[left.start : left.stop]
        line = "\n" in text[left.stop : right.start]
        sign = _BREAKS.search(word) or _OPENS.search(text[right.start : right.stop])
        found.append(2 if line or _ENDS.search(word) else 1 if sign else 0)
    return found


def tree_of(text: str, pieces: Sequence[Span]) -> list[tuple[int, int, int]]:
    """A hierarchy of the pieces: (start, middle, stop) of every part that is split, a part before those within it.

    A part is split at the strongest break in its middle half, of several at the one nearest to the middle; so the
    depth stays within 2.5 log2 of the number of pieces.
    """
    strength, found = breaks(text, pieces), []
    left = [(0, len(pieces))]
    while left:
        start, stop = left.pop()
        if stop - start < 2:
            continue
        room = (stop - start) // 4
        places = range(start + max(1, room), stop - max(1, room) + 1)
        middle = max(places, key=lambda at: (strength[at - 1], -abs(2 * at - start - stop)))
        found.append((start, middle, stop))
        left += [(middle, stop), (start, middle)]
    return found


class Cut:
    """A text in pieces, and the text without some of them.

    Args:
        text: the text.
        pieces: its players, in order.
        mask: `drop`: what is left out was never written; else `stand_in` stands for every piece left out.
        stand_in: a mask token, or any text.
    """

    def __init__(self, text: str, pieces: Sequence[Span], mask: Mask, stand_in: str = "") -> None:
        self.text, self.drop, self.stand_in = text, mask == "drop", stand_in
        self.pieces = [text[piece.start : piece.stop] for piece in pieces]
        ends = [0, *(piece.stop for piece in pieces)]
        self.gaps = [text[end : piece.start] for end, piece in zip(ends, pieces, strict=False)]

    def without(self, keep: Sequence[bool]) -> str:
        """The text of a coalition: the pieces where `keep` is True."""
        if all(keep):
            return self.text
        parts: list[str] = []
        before = True  # the piece before was kept
        for gap, piece, kept in zip(self.gaps, self.pieces, keep, strict=True):
            if kept:
                glued = before or (self.drop and bool(_ALONE.match(piece)))
                parts += [gap if gap or glued else " ", piece]
            elif not self.drop:
                parts += [gap or " ", self.stand_in]
            before = kept
        return "".join(parts).strip()


def asked_for(name: str, value: str, known: Sequence[str]) -> None:
    """Raises: DataError: `value` is not one of them."""
    if value not in known:
        raise DataError(
            f"no {name} '{value}'; there are {', '.join(known)}.",
            where=f"explain.attribute_text({name}=...)",
            mend=nearest(value, known) or "use one of the names above",
        )
