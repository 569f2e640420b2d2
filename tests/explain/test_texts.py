"""Words as players: closed forms, brute force, and texts that nobody expects."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from spoken import Spoken, bag, said, tangled

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.rows import Rows
from pellucid.explain import TextExplanation, attribute_text

LONG = "It is not a very good film, and not a bad one: the story of a man who came to town to tell what he had seen."


def by_subsets(worth, d: int) -> np.ndarray:
    """Shapley's formula, literally."""
    v = {s: worth(s) for r in range(d + 1) for s in itertools.combinations(range(d), r)}
    values = np.zeros((d, len(v[()])))
    for i in range(d):
        for s in v:
            if i not in s:
                weight = math.factorial(len(s)) * math.factorial(d - len(s) - 1) / math.factorial(d)
                values[i] += weight * (v[tuple(sorted((*s, i)))] - v[s])
    return values


@pytest.mark.parametrize("method", ["auto", "exact", "gaussian", "owen", "permutation", "regression"])
def test_a_bag_of_words_gives_each_word_its_own_worth(method: str) -> None:
    (one,) = attribute_text(Spoken(bag), said("Very good, but bad: a good film"), "t", method=method)
    assert one.values.players == ("Very", "good,", "but", "bad:", "a", "good", "film")
    worth = [1.0, 4.0, 0.0, -6.0, 0.0, 4.0, 0.5]  # twice, for that is the row's other input
    assert np.allclose(one.values.values[0, :, 0], worth, atol=1e-6)
    assert one.values.base[0] == 0.0
    assert one.values.prediction[0, 0] == 3.5
    assert one.mask == "a word left out was never written"
    assert [one.text[a:b] for a, b in one.spans] == list(one.values.players)


@pytest.mark.parametrize("mask", ["drop", "replace"])
def test_exact_values_are_those_of_brute_force(mask: str) -> None:
    words = ["this", "is", "not", "at", "all", "a", "bad", "old", "film"]
    program = Spoken(tangled, ("one", "two"))

    def worth(coalition: tuple[int, ...]) -> np.ndarray:
        kept = [w if i in coalition else "thing" for i, w in enumerate(words) if mask == "replace" or i in coalition]
        return np.array(tangled(kept, 2.0))

    truth = by_subsets(worth, len(words))
    (one,) = attribute_text(program, said(" ".join(words)), "t", mask=mask, replacement="thing", evaluations=600)
    assert one.values.method.startswith("exact")
    assert np.allclose(one.values.values[0], truth, rtol=0, atol=1e-6)
    for method, evaluations in (("regression", 600), ("gaussian", 600), ("permutation", 20_000)):
        (other,) = attribute_text(
            program, said(" ".join(words)), "t", mask=mask, replacement="thing", method=method, evaluations=evaluations
        )
        off = np.abs(other.values.values[0] - truth)
        assert (off <= 6.0 * other.values.error[0] + 1e-5).all(), method


def test_equal_words_are_players_of_their_own_and_share_alike() -> None:
    (one,) = attribute_text(Spoken(lambda w, _: [float("good" in w)]), said("good good plain good"), "t")
    assert one.values.players == ("good", "good (2)", "plain", "good (3)")
    assert np.allclose(one.values.values[0, :, 0], [1 / 3, 1 / 3, 0.0, 1 / 3])


def test_the_same_words_in_the_same_places_are_asked_once() -> None:
    program = Spoken(bag)
    (one,) = attribute_text(program, said("a b c d e f"), "t", method="permutation", evaluations=5000)
    assert one.values.evaluations == len(program.heard) <= 2**6 + 1  # and once more to see whether it repeats itself


def test_empty_texts_and_single_words() -> None:
    empty, none, blank, single = attribute_text(Spoken(bag), said("", None, " \n", "good!"), "t")
    for one in (empty, none, blank):
        assert one.values.values.shape == (1, 0, 1)
        assert one.spans == ()
        assert one.values.base[0] == one.values.prediction[0, 0]
        assert "no players" in one.values.warnings[0]
    assert single.values.values[0, 0, 0] == 4.0
    assert single.values.error[0, 0, 0] == 0.0


def test_phrases_and_sentences_are_sums_of_their_words_in_a_bag() -> None:
    text = "A very good film, not bad. Good!"
    words, phrases, sentences = (
        attribute_text(Spoken(bag), said(text), "t", grain=grain)[0] for grain in ("word", "phrase", "sentence")
    )
    assert phrases.values.players == ("A very good film,", "not bad.", "Good!")
    assert np.allclose(phrases.values.values[0, :, 0], [5.5, -6.0, 4.0])
    assert np.allclose(sentences.values.values[0, :, 0], [-0.5, 4.0])
    assert np.isclose(words.values.values.sum(), sentences.values.values.sum())


def test_long_texts_get_owen_values_when_the_budget_is_small() -> None:
    program = Spoken(tangled, ("one", "two"))
    (one,) = attribute_text(program, said(LONG), "t", evaluations=60)
    assert one.values.method.startswith("owen")
    assert one.values.evaluations <= 63
    (many,) = attribute_text(program, said(LONG), "t", evaluations=600)
    assert many.values.method.startswith("gaussian")
    assert many.values.evaluations <= 601
    assert np.allclose(many.values.residual, 0.0, atol=1e-9)
    (other,) = attribute_text(program, said(LONG), "t", method="regression", evaluations=6000)
    apart = many.values.values - other.values.values
    assert np.linalg.norm(apart) < 0.2 * np.linalg.norm(other.values.values)
    assert (np.abs(apart) <= 6.0 * np.hypot(many.values.error, other.values.error) + 1e-6).all()


def test_a_stochastic_program_is_found_out() -> None:
    dice = np.random.default_rng(0)
    program = Spoken(lambda words, _: [len(words) + float(dice.normal(0.0, 0.1))])
    (one,) = attribute_text(program, said("a b c"), "t")
    assert any("stochastic" in warning for warning in one.values.warnings)
    assert (one.values.error > 0).all()


def test_checks_come_on_request() -> None:
    (one,) = attribute_text(Spoken(bag), said("a very good film and a bad one"), "t", checks=True)
    assert one.values.checks["additive_fit"] == 1.0
    assert "off_manifold" not in one.values.checks


def test_json_gives_everything_back() -> None:
    (one,) = attribute_text(Spoken(bag), said("very good 🙂"), "t")
    again = TextExplanation.from_json(one.to_json())
    assert again.to_json() == one.to_json()
    assert again.spans == one.spans
    assert again.mask == one.mask


def test_marks_and_a_picture_for_notebooks() -> None:
    one, empty = attribute_text(Spoken(bag), said("A very good film,\n not a bad one", ""), "t")
    shown = one.marked()
    assert shown.startswith("A very ▲good film,\n not a ▼bad one\n")
    assert "a word left out was never written" in shown
    assert "no players" in empty.marked(output="score")
    figure = one.plot()
    texts = {text.get_text(): text for text in figure.axes[0].texts}
    assert {"A", "very", "good", "film,", "not", "a", "bad", "one"} | {"+4", "-6"} == set(texts)
    assert texts["good"].get_bbox_patch().get_facecolor()[:3] != texts["bad"].get_bbox_patch().get_facecolor()[:3]
    empty.plot()


def test_what_is_wrong_is_named() -> None:
    program = Spoken(bag)
    with pytest.raises(DataError, match="no grain 'wrd'"):
        attribute_text(program, said("a"), "t", grain="wrd")
    with pytest.raises(DataError, match="no mask token"):
        attribute_text(program, said("a"), "t", mask="token")
    with pytest.raises(DataError, match="no method 'shapley'"):
        attribute_text(program, said("a"), "t", method="shapley")
    with pytest.raises(SchemaError, match="'age' is none of them"):
        attribute_text(program, said("a"), "t", field="age")
    with pytest.raises(SchemaError, match="no task 'u'"):
        attribute_text(program, said("a"), "u")
    with pytest.raises(DataError, match="NaN"):
        attribute_text(Spoken(lambda words, _: [math.nan]), said("a b"), "t")


def test_rows_are_explained_one_by_one_whatever_their_company() -> None:
    program, seen = Spoken(tangled, ("one", "two")), []
    rows: Rows = said(LONG, "not a bad film")
    two = attribute_text(program, rows, "t", progress=lambda done, n: seen.append((done, n)))
    (alone,) = attribute_text(program, rows.take(slice(1, 2)), "t")
    assert alone.to_json() == two[1].to_json()
    assert seen == [(1, 2), (2, 2)]


SIXTEEN = "it is not at all a bad old film but then it is no good one"


@pytest.mark.parametrize("method", ["auto", "permutation", "regression"])
def test_an_error_that_is_asked_for_is_met(method: str) -> None:
    program, row = Spoken(tangled, ("one", "two")), said(SIXTEEN)
    (rough,) = attribute_text(program, row, "t", method=method, error=1.0)
    size = float(rough.values.error.max())
    assert 0 < size <= 1.0
    (fine,) = attribute_text(program, row, "t", method=method, error=size / 3)
    assert float(fine.values.error.max()) <= size / 3
    assert fine.values.evaluations > rough.values.evaluations
    assert not fine.values.warnings


def test_an_error_that_cannot_be_met_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.explain.texts.LAST", 1024)
    (one,) = attribute_text(Spoken(tangled, ("one", "two")), said(SIXTEEN), "t", method="regression", error=1e-9)
    assert "above the 1e-09 asked for" in one.values.warnings[0]
    (exact,) = attribute_text(Spoken(tangled, ("one", "two")), said("not at all a bad film"), "t", error=1e-9)
    assert not exact.values.warnings  # all coalitions


@pytest.mark.parametrize("seconds", [0.05, 1.0, 3.0])
def test_about_so_long_as_is_asked_for(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that a text takes a millisecond of; two rows share the time."""
    texts = 0

    def counted(words: list[str], age: float) -> list[float]:
        nonlocal texts
        texts += 1
        return tangled(words, age)

    monkeypatch.setattr("pellucid.explain.texts.time.perf_counter", lambda: texts / 1000)
    attribute_text(Spoken(counted, ("one", "two")), said(SIXTEEN, SIXTEEN + " still"), "t", seconds=seconds)
    least = 2 * 4 * 17 / 1000 + 0.01
    assert seconds / 5 < texts / 1000 < max(1.1 * seconds, least)


def test_a_budget_that_is_none_is_refused() -> None:
    program, row = Spoken(bag), said("good film")
    with pytest.raises(DataError, match="both given"):
        attribute_text(program, row, "t", seconds=1.0, error=0.1)
    for budget in ({"seconds": 0.0}, {"error": -1.0}, {"error": math.nan}):
        with pytest.raises(DataError, match="is no budget"):
            attribute_text(program, row, "t", **budget)
