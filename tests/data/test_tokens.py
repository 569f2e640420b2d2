"""Tokenizers: fitted on the training part, written as JSON, the same tokens again; where they stand in a text."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.data.columns import BAG, bagged
from pellucid.data.encoding import Encoding, Texts
from pellucid.data.tokens import ALL, BEGIN, END, FIRST, UNKNOWN, fit_tokens, tokens_from_json

TEXTS = ["The cat sat on the mat.", "A cat is a cat!", "Dogs bark; cats do not.", "on the mat the dog sat"] * 5


@pytest.mark.parametrize("how", ALL)
def test_json_gives_the_same_tokenizer(how: str) -> None:
    fitted = ALL[how](TEXTS, 300)
    again = tokens_from_json(json.loads(json.dumps(fitted.to_json())))
    for text in [*TEXTS[:4], "", "unseen: Ünïcode 猫"]:
        assert again.ids(text, 50) == fitted.ids(text, 50)
        assert again.spans(text, 50) == fitted.spans(text, 50)
    assert again.size == fitted.size
    assert max(fitted.ids(TEXTS[0], 50)) < fitted.size


@pytest.mark.parametrize("how", ALL)
@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=40), most=st.integers(4, 12))
def test_tokens_are_positive_as_many_as_their_spans_and_at_most_so_many(how: str, text: str, most: int) -> None:
    fitted = FITTED[how]
    ids, spans = fitted.ids(text, most), fitted.spans(text, most)
    assert len(ids) == len(spans) <= most
    assert all(0 < i < fitted.size for i in ids)
    assert all(0 <= a <= b <= len(text) for a, b in spans)
    assert ids == [] or text


FITTED = {how: make(TEXTS, 300) for how, make in ALL.items()}


def test_spans_name_the_words_of_the_text() -> None:
    text = "The cat, unheard of"
    found = FITTED["words"]
    assert [text[a:b] for a, b in found.spans(text, 9)] == ["The", "cat", ",", "unheard", "of"]
    assert found.ids(text, 9)[3:] == [UNKNOWN, UNKNOWN]
    assert found.ids("THE CAT", 9) == found.ids("the cat", 9)


def test_characters_keep_capitals_and_mark_the_ends() -> None:
    found = FITTED["characters"]
    ids = found.ids("The", 9)
    assert (ids[0], ids[-1], len(ids)) == (BEGIN, END, 5)
    assert found.ids("the", 9)[1] != ids[1] >= FIRST


def test_short_texts_are_read_by_character() -> None:
    assert fit_tokens(["Lisboa", "Praha"] * 10).to_json()["kind"] == "characters"
    assert fit_tokens(["a sentence that is rather longer than a name"] * 10).to_json()["kind"] == "words"


def _rows(texts: list[str]) -> Rows:
    return Rows(np.asarray([f"k{i}" for i in range(len(texts))]), {"t": np.asarray(texts, dtype=object)})


def test_the_encoding_is_fitted_on_the_training_part_alone() -> None:
    field = Field("t", "text")
    encoding = Encoding.fit(
        (field,), _rows(["good film it undoubtedly remains today", "bad film it undoubtedly remained today"] * 4)
    )
    assert encoding.scales["t"].width == 6
    block = encoding.encode(_rows(["good zebra", "", "bad film it was so now today"]))["t"]
    assert block.dtype == torch.int32
    assert block.shape == (3, 6)  # what is longer is cut off
    assert block[0].tolist()[1:] == [UNKNOWN, 0, 0, 0, 0]
    assert block[1].tolist() == [0] * 6
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert torch.equal(again.encode(_rows(["good zebra"]))["t"], block[:1])


def test_longest_bounds_the_block() -> None:
    words = fit_tokens(["one two three four five six seven eight nine"] * 2, "words")
    rows = _rows(["one two three four five six seven eight nine"] * 2)
    assert Encoding.fit((Field("t", "text"),), rows, {"t": Texts(words, 5)}).scales["t"].columns == 5


def test_other_encodings_are_written_as_before() -> None:
    rows = Rows(np.asarray(["a", "b"]), {"x": np.asarray([0.0, 1.0])})
    assert "tokens" not in Encoding.fit((Field("x"),), rows).to_json()["x"]


def test_bags_are_shares() -> None:
    block = torch.tensor([[5, 5, 7, 0], [0, 0, 0, 0], [5 + BAG, 0, 5, 0]], dtype=torch.int32)
    found = bagged(block)
    assert found[0, 5] == pytest.approx(2 / 3)
    assert found[0, 7] == pytest.approx(1 / 3)
    assert found[1].sum() == 0
    assert found[2, 5] == 1.0


@pytest.mark.parametrize("how", ALL)
def test_what_stands_in_for_a_word_is_unknown(how: str) -> None:
    fitted = ALL[how](TEXTS, 300)
    stand_in, known = fitted.stand_in()
    assert not known  # none of them has a mask token
    if how == "bpe":
        assert stand_in is None  # it knows every byte
        return
    ids = fitted.ids(f"the {stand_in} sat", 50)
    strange = set(ids) - set(fitted.ids("the  sat", 50))
    assert len(strange) == 1
    assert strange <= set(fitted.ids("\u732b", 50))
