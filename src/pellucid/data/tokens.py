"""How a text is cut into tokens: fitted on the training part, saved with the program as JSON, applied again at predict.

A token is a whole number from 1 on; 0 is nothing, wherever it stands: behind a short text, or where an explanation has
left a token out. `spans` says where in a text its tokens are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pellucid.core.errors import DataError, require

UNKNOWN, BEGIN, END, FIRST = 1, 2, 3, 4  # of characters and words; the first that is fitted
SHORT = 32  # characters of a median text up to which it is read by character
LEAST = 2  # times that a word or letter must stand in the training part
WORD = re.compile(r"\w+|[^\w\s]")
STRANGE = "\ue000"  # for private use: a sign, and none that a text has

Span = tuple[int, int]  # of characters: from, to


class Tokens(Protocol):
    """A fitted tokenizer."""

    @property
    def size(self) -> int:
        """One more than the largest token."""
        ...

    def ids(self, text: str, most: int) -> list[int]:
        """At most so many tokens of a text; none of an empty one."""
        ...

    def spans(self, text: str, most: int) -> list[Span]:
        """Where each of these tokens stands in the text; an empty span for marks that are not in it."""
        ...

    def stand_in(self) -> tuple[str | None, bool]:
        """What may stand in a text for a word that is not told, and whether it is a mask token; else an unknown one."""
        ...

    def to_json(self) -> dict[str, Any]: ...


class Characters:
    """Letters as they are written, capitals too, between a mark for the begin and one for the end."""

    def __init__(self, letters: str) -> None:
        self.letters = letters
        self._code = {letter: FIRST + i for i, letter in enumerate(letters)}

    @property
    def size(self) -> int:
        return FIRST + len(self.letters)

    def ids(self, text: str, most: int) -> list[int]:
        cut = text[: most - 2]
        return [BEGIN, *(self._code.get(letter, UNKNOWN) for letter in cut), END] if cut else []

    def spans(self, text: str, most: int) -> list[Span]:
        n = len(text[: most - 2])
        return [(0, 0), *((i, i + 1) for i in range(n)), (n, n)] if n else []

    def stand_in(self) -> tuple[str | None, bool]:
        return STRANGE, False

    def to_json(self) -> dict[str, Any]:
        return {"kind": "characters", "letters": self.letters}


class Words:
    """Words in small letters, and every other sign by itself."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._code = {word: FIRST + i for i, word in enumerate(self.words)}

    @property
    def size(self) -> int:
        return FIRST + len(self.words)

    def ids(self, text: str, most: int) -> list[int]:
        return [self._code.get(word.lower(), UNKNOWN) for word in WORD.findall(text)[:most]]

    def spans(self, text: str, most: int) -> list[Span]:
        return [found.span() for found in WORD.finditer(text)][:most]

    def stand_in(self) -> tuple[str | None, bool]:
        return STRANGE, False

    def to_json(self) -> dict[str, Any]:
        return {"kind": "words", "words": self.words}


class Library:
    """A tokenizer of the package `tokenizers`: byte pairs, word pieces, a pretrained encoder's; its ids plus one."""

    def __init__(self, text: str) -> None:
        require("tokenizers", extra="text", purpose="reading texts in pieces of words")
        from tokenizers import Tokenizer

        self.text = text
        self._tokenizer: Any = Tokenizer.from_str(text)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._most = 0

    @property
    def size(self) -> int:
        return int(self._tokenizer.get_vocab_size()) + 1

    def ids(self, text: str, most: int) -> list[int]:
        return [i + 1 for i in self._encoded(text, most).ids] if text else []

    def spans(self, text: str, most: int) -> list[Span]:
        return [(a, b) for a, b in self._encoded(text, most).offsets] if text else []

    def stand_in(self) -> tuple[str | None, bool]:
        special = [token.content for token in self._tokenizer.get_added_tokens_decoder().values() if token.special]
        for kind in ("mask", "unk"):
            found = [token for token in special if kind in token.lower()]
            if found:
                return found[0], kind == "mask"
        return None, False

    def _encoded(self, text: str, most: int) -> Any:
        if most != self._most:
            self._tokenizer.enable_truncation(most)
            self._most = most
        return self._tokenizer.encode(text)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "library", "tokenizer": self.text}


def fit_characters(texts: Iterable[str], vocabulary: int) -> Tokens:
    """The most frequent letters."""
    return Characters("".join(_frequent((letter for text in texts for letter in text), vocabulary)))


def fit_words(texts: Iterable[str], vocabulary: int) -> Tokens:
    """The most frequent words."""
    return Words(_frequent((word.lower() for text in texts for word in WORD.findall(text)), vocabulary))


def _frequent(pieces: Iterable[str], most: int) -> list[str]:
    """Those that stand more than once, the most frequent first; ties by the alphabet."""
    counts = Counter(pieces)
    ranked = sorted((-n, piece) for piece, n in counts.items() if n >= LEAST)
    return [piece for _, piece in ranked[:most]]


def fit_bpe(texts: Iterable[str], vocabulary: int) -> Tokens:
    """Byte pairs (Sennrich et al. 2016) over bytes: no text is unknown."""
    require("tokenizers", extra="text", purpose="learning byte pairs")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer: Any = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return Library(tokenizer.to_str())


def fit_wordpiece(texts: Iterable[str], vocabulary: int) -> Tokens:
    """Word pieces (Schuster & Nakajima 2012) in small letters, as BERT reads them."""
    require("tokenizers", extra="text", purpose="learning word pieces")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer: Any = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return Library(tokenizer.to_str())


# name -> fit(texts of the training part, how many different tokens at most)
ALL: dict[str, Callable[[Iterable[str], int], Tokens]] = {
    "characters": fit_characters,
    "words": fit_words,
    "bpe": fit_bpe,
    "wordpiece": fit_wordpiece,
}


def fit_tokens(texts: Sequence[str], how: str = "auto", vocabulary: int = 20_000) -> Tokens:
    """A tokenizer of the training part.

    Args:
        how: one of `ALL`; auto: characters of short texts (names), words of others.
        vocabulary: different tokens at most.
    """
    present = [text for text in map(str, texts) if text]
    if how == "auto":
        lengths = sorted(map(len, present)) or [0]
        how = "characters" if lengths[len(lengths) // 2] <= SHORT else "words"
    return ALL[how](present, vocabulary)


def tokens_of(folder: Path) -> Tokens:
    """The tokenizer of a pretrained encoder.

    Raises:
        DataError: the folder has none.
    """
    file = folder / "tokenizer.json"
    if file.is_file():
        return Library(file.read_text(encoding="utf-8"))
    require("transformers", extra="text", purpose="reading a tokenizer that is not in tokenizer.json")
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return Library(found.backend_tokenizer.to_str())
    except (OSError, ValueError, AttributeError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"this folder has no tokenizer that can be read: {said[0][:200].rstrip('.')}.",
            where=str(folder),
            mend="give a folder that Transformers' save_pretrained wrote, with tokenizer.json",
        ) from None


def tokens_from_json(data: Mapping[str, Any]) -> Tokens:
    """The inverse of `to_json`."""
    if data["kind"] == "characters":
        return Characters(data["letters"])
    return Words(data["words"]) if data["kind"] == "words" else Library(data["tokenizer"])
