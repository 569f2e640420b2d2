"""Numbers, words, texts and pictures in one table, each a part of the signal: fitted, explained, stored, loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import pellucid
from pellucid.assemble import assemble, problem
from pellucid.data.tables import rows_from_frame
from pellucid.nn.tokens import TokensNetwork
from pellucid.runs.artefact import load_program
from pellucid.spec.loader import build_spec
from pellucid.spec.model import Spec
from pellucid.store.store import Store
from pellucid.train.loop import Hooks

WORDS = np.array(["red", "green", "blue", "grey"])
EFFECTS = np.array([-1.2, 1.2, -0.6, 0.6])
FILLER = np.array(["it", "came", "on", "time", "and", "we", "like", "the", "box", "a", "lot", "but", "its", "lid"])
ROWS, TESTED = 700, 200


def shop(folder: Path) -> Path:
    """y = 1.2 sin(2 size) + the colour's effect ± 1 by a word of the remark ± 1.5 by the bar's way in the picture."""
    g = np.random.default_rng(0)
    size, colour, standing = g.normal(size=ROWS), g.integers(0, 4, ROWS), g.integers(0, 2, ROWS)
    broken = g.integers(0, 2, ROWS)
    remarks = []
    for word in np.where(broken, "broken", "sturdy"):
        remark = g.choice(FILLER, 9)
        remark[g.integers(9)] = word
        remarks.append(" ".join(remark))
    (folder / "photos").mkdir()
    for i in range(ROWS):
        pixels = g.integers(0, 60, (8, 8)).astype(np.uint8)
        a, b = g.integers(0, 8), g.integers(0, 4)
        pixels[(slice(b, b + 5), a) if standing[i] else (a, slice(b, b + 5))] = 220
        Image.fromarray(pixels).save(folder / "photos" / f"{i}.png")
    y = 1.2 * np.sin(2 * size) + EFFECTS[colour] + 1.5 * (2 * standing - 1) - (2.0 * broken - 1)
    paths = [f"photos/{i}.png" for i in range(ROWS)]
    frame = pd.DataFrame({"size": size, "colour": WORDS[colour], "remark": remarks, "photo": paths, "y": y})
    frame.to_csv(folder / "shop.csv", index=False)
    return folder / "shop.csv"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(tmp_path_factory.mktemp("shop"))


def spec_of(table: Path, drop: tuple[str, ...] = (), **changes: Any) -> Spec:
    fields = {"photo": {"kind": "image", "image": {"shape": [8, 8]}}, "remark": {"kind": "text"}}
    data = {"kind": "table", "source": str(table), "target": "y", "drop": list(drop)}
    spec = build_spec(
        name="shop",
        data={**data, "fields": {n: how for n, how in fields.items() if n not in drop}},
        network={"kind": "tokens", "width": 32, "depth": 1, "vision": {"width": 8}, "text": {"width": 16}},
        train={"updates": 150, "batch": 64, "lr": 3e-3, "schedule": "one_cycle", "warmup": 0.2},
        evidence={"folds": 2},
        explain={"background": 16, "evaluations": 64},
    )
    return spec.replace(changes) if changes else spec


def explained(spec: Spec) -> float:
    """R² on rows that the fit had not seen."""
    prob = problem(spec)
    assert prob.rows is not None
    made = assemble(prob, np.arange(ROWS - TESTED), seed=0)
    made.trainer.run(made.config, Hooks(made.schedule))
    program, rows = made.finish(), prob.rows.take(slice(ROWS - TESTED, ROWS))
    y = rows.targets["target"]
    answers = program(program.encode(rows), "y")[:, 0].double().numpy()
    return 1.0 - float(np.mean((answers - y) ** 2) / y.var())


def test_every_kind_carries_its_part(table: Path) -> None:
    """Without any one of the four fields, at least a seventh of the variance is lost: nothing replaces it."""
    whole = explained(spec_of(table))
    assert whole > 0.95
    without = {field: explained(spec_of(table, (field,))) for field in ("size", "colour", "remark", "photo")}
    assert {field: left for field, left in without.items() if left > whole - 1 / 7} == {}
    assert without["photo"] < 0.5


@pytest.mark.slow
def test_it_is_fitted_explained_stored_and_loaded_as_any_other(table: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / ".pellucid")
    learned = pellucid.fit(spec_of(table), store=store.root)
    entry = learned.evidence["tasks"][0]
    assert entry["verdict"] == "better"
    program = load_program(store, store.resolve(learned.ref))
    assert isinstance(program.network, TokensNetwork)  # type: ignore[union-attr]
    rows = learned.rows()
    y, answers = rows.targets["target"], program(program.encode(rows), "y")[:, 0].double().numpy()
    assert 1.0 - np.mean((answers - y) ** 2) / y.var() > 0.95  # what was stored is what was trained
    frame = pd.read_csv(table).head(20).drop(columns="y")
    frame["photo"] = [str(table.parent / path) for path in frame["photo"]]
    again = pellucid.load(learned.ref, store=store.root)
    assert np.array_equal(learned.predict(frame), again.predict(frame))
    rows = rows_from_frame(frame, list(program.schema.inputs))
    explanation = again.explain(rows)
    assert explanation.players == ("size", "colour", "remark", "photo")
    assert np.allclose(explanation.values.sum(1), explanation.prediction - explanation.base, atol=1e-4)
    # A standing bar adds some three more than a lying one.
    pixels = rows.fields["photo"].reshape(-1, 8, 8) > 200
    standing = pixels.sum(1).max(1) == 5
    share = explanation.values[:, 3, 0]
    assert 2.0 < share[standing].mean() - share[~standing].mean() < 4.0
