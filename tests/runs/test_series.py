"""Series from a table to a forecast: fit, evidence, explanation, diff, the future."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pellucid
from pellucid.assemble import problem
from pellucid.cli.main import main
from pellucid.core.errors import DataError, SpecError
from pellucid.data.clock import labels_of
from pellucid.data.windows import FUTURE
from pellucid.evidence.metrics import row_losses, with_scale
from pellucid.runs.judge import judge_elsewhere
from pellucid.runs.moments import split_series, touched_moments
from pellucid.spec.loader import build_spec
from pellucid.spec.model import Spec

H = 4


def table(n: int = 120) -> pd.DataFrame:
    frames = []
    for i, name in enumerate(("north", "south")):
        generator = np.random.default_rng(i)
        y = np.zeros(n)
        for t in range(2, n):
            y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + generator.standard_normal()
        season = 3 * np.sin(2 * np.pi * np.arange(n) / 4)
        frames.append(
            pd.DataFrame({"shop": name, "when": labels_of(np.arange(n), "quarter"), "sold": 10 ** (i + 1) + y + season})
        )
    return pd.concat(frames, ignore_index=True)


def spec(**changes: Any) -> Spec:
    data = {"kind": "series", "source": "shops.csv", "target": "sold", "time": "when", "group": "shop"}
    return build_spec(
        name="shops",
        data={**data, "window": 8, "horizon": H},
        network={"kind": "tcn", "width": 8, "depth": 1},
        train={"updates": 40, "batch": 64, "early_stop": {"held_out": 0.2}},
        evidence={"folds": 2, "block": 8},
        explain={"background": 16, "evaluations": 200},
    ).replace(changes)


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("shops")
    table().to_csv(folder / "shops.csv", index=False)
    return folder, pellucid.fit(spec().within(folder), store=folder / "store")


def test_labels_of_the_training_part_are_known_before_the_first_test() -> None:
    prob = problem(spec(), table())
    assert prob.rows is not None
    train, review, folds, _ = split_series(prob, None)
    step = prob.rows.extra["step"]
    assert step[train].max() + H < step[review].min()
    for fold in folds:
        assert step[fold.train].max() + H < step[fold.test].min()
        assert set(fold.test) <= set(train)
    assert np.isfinite(prob.rows.targets[FUTURE][review]).all()
    assert np.intersect1d(touched_moments(prob, train), review).size == 0
    for group in np.unique(step[review]):  # whole moments
        assert (step[review] == group).sum() == 2


def test_the_review_rows_stay_when_the_series_go_on() -> None:
    prob = problem(spec(), table(120))
    assert prob.rows is not None
    _, review, _, _ = split_series(prob, None)
    keys = [str(k) for k in prob.rows.keys[review]]
    later = problem(spec(), table(140))
    assert later.rows is not None
    train, again, _, notes = split_series(later, keys)
    assert [str(k) for k in later.rows.keys[again]] == keys
    assert later.rows.extra["step"][train].max() + H < later.rows.extra["step"][again].min()
    assert "after the frozen review rows are not used" in notes[0]


def test_the_evidence_stands_beside_its_baselines(shops: tuple[Path, Any]) -> None:
    entry = shops[1].evidence["tasks"][0]
    assert [b["name"] for b in entry["baselines"]] == ["persistence", "seasonal_naive", "autoregression", "ets"]
    assert all(b["value"] is not None for b in entry["baselines"])
    assert entry["skill"]
    assert entry["value"] < min(b["value"] for b in entry["baselines"][:2])
    extra = entry["extra"]
    assert len(extra["mase_by_step"]) == H
    assert 0.6 < extra["inside"]["10 to 90 % quantile"] <= 1
    assert extra["mase"]["value"] == pytest.approx(np.mean(extra["mase_by_step"]), rel=1e-6)


def test_outputs_are_quantiles_in_units_and_losses_are_the_metric(shops: tuple[Path, Any]) -> None:
    program = shops[1]
    assert program.program.tasks["sold"].outputs[:3] == ("h1_q10", "h1_q50", "h1_q90")
    rows = program.rows()
    said = program.predict(rows).to_numpy().reshape(-1, H, 3)
    assert (np.diff(said, axis=2) >= 0).all()
    south = np.asarray(rows.fields["shop"]) == "south"
    assert said[south].mean() > 80
    assert said[~south].mean() < 20
    known = np.isfinite(rows.targets[FUTURE]).all(1)
    y = with_scale(rows.targets[FUTURE], rows.extra["error_scale"])
    losses = row_losses(program.program.tasks["sold"], y, said.reshape(len(said), -1))
    assert np.isfinite(losses[known]).all()
    assert np.isnan(losses[~known]).all()


def test_the_future_is_that_after_the_last_value(shops: tuple[Path, Any]) -> None:
    found = shops[1].forecast()
    assert len(found) == 2 * H
    assert found["series"].tolist() == ["north"] * H + ["south"] * H
    assert found["time"].tolist()[:H] == ["2000Q1", "2000Q2", "2000Q3", "2000Q4"]
    assert set(found["origin"]) == {"1999Q4"}
    assert (found["q10"] < found["q50"]).all()
    assert (found["q50"] < found["q90"]).all()
    longer = shops[1].forecast(table(124))
    assert longer["time"].tolist()[0] == "2001Q1"
    rows = shops[1].rows()
    last = shops[1].predict(rows.take(rows.keys == "north/1999Q4"))
    assert found["q50"].iloc[1] == pytest.approx(last["h2_q50"].iloc[0])


def test_the_command_line_shows_the_future(shops: tuple[Path, Any], capsys: pytest.CaptureFixture[str]) -> None:
    store = str(shops[0] / "store")
    assert main(["forecast", "shops", "--store", store]) == 0
    shown = capsys.readouterr().out
    assert "north" in shown
    assert "2000Q4" in shown
    assert "explain shops@1 --at north/1999Q4" in shown
    assert main(["forecast", "shops@1", "--store", store, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert records[0]["q50"] == pytest.approx(shops[1].forecast()["q50"].iloc[0])
    assert main(["forecast", "nothing", "--store", store]) == 2


def test_an_explanation_by_segments_says_where_they_lie(shops: tuple[Path, Any]) -> None:
    found = shops[1].explain(at="south/1998Q1", grain="part", parts=4)
    (sold,) = (one for one in found.laid if one.field == "sold")
    assert sold.places == ((0, 2), (2, 4), (4, 6), (6, 8))
    assert {"sold[t-1..2]", "sold[t-7..8]", "sold.level", "shop"} <= set(found.players)
    assert sold.moments().tolist() == list(range(-1, -9, -1))


def test_an_explanation_names_groups_of_lags_and_adds_up(shops: tuple[Path, Any]) -> None:
    found = shops[1].explain(at="south/1998Q1")
    assert {"sold.level", "sold.scale", "sold[t-1]", "sold[t-2..4]", "sold.mean", "calendar", "shop"} <= set(
        found.players
    )
    assert found.values.sum(1) + found.base == pytest.approx(found.prediction, abs=1e-3)
    both = shops[1].explain(at="1998-01-01")  # of a moment, the rows of all series
    assert [str(key) for key in both.keys] == ["north/1998Q1", "south/1998Q1"]


def test_the_same_fit_has_an_empty_diff_and_another_one_is_told(shops: tuple[Path, Any]) -> None:
    folder, first = shops
    assert pellucid.diff(first, first)["empty"]
    second = pellucid.fit(spec(**{"train.lr": 0.02, "seed": 1}).within(folder), store=folder / "store")
    told = second.diff
    assert not told["empty"]
    assert told["contaminated"] == 0
    assert told["tasks"][0]["n"] == len(first.store.review_keys("shops"))


def test_a_table_that_goes_on_is_predicted_from_its_own_history(shops: tuple[Path, Any]) -> None:
    found = shops[1].predict(table(124))
    assert found.index[-1] == "south/2000Q4"


def test_later_moments_are_judged_beside_baselines_and_touched_rows_are_left_out(shops: tuple[Path, Any]) -> None:
    folder, program = shops
    table(140).to_csv(folder / "later.csv", index=False)
    found = judge_elsewhere(program.store, program.entry, str(folder / "later.csv"))
    entry = found["tasks"][0]
    assert "were touched by its training and are left out" in found["notes"][0]
    assert entry["n"] > 60
    assert [b["name"] for b in entry["baselines"] if b["value"] is not None] == [
        "persistence",
        "seasonal_naive",
        "autoregression",
        "ets",
    ]


def test_a_fit_is_the_same_twice(tmp_path: Path) -> None:
    small = spec(**{"train.updates": 5, "evidence.folds": 1})
    a, b = (pellucid.fit(small, data=table(), store=tmp_path / name) for name in "ab")
    assert a.entry.manifest["blobs"]["weights"] == b.entry.manifest["blobs"]["weights"]


def test_others_forecast_nothing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0), "y": np.arange(40.0) ** 2})
    program = pellucid.fit(
        data=frame, target="y", store=tmp_path, overrides=["network.kind=mlp", "train.updates=2", "evidence.folds=2"]
    )
    with pytest.raises(DataError, match="was not learned from series"):
        program.forecast()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network.kind": "ensemble"}, "network.kind"),
        ({"data.past": ["sold"]}, "data.past"),
        ({"data.known": ["when"]}, "data.known"),
        ({"tasks": {"f": {"kind": "regress"}}}, "data.kind: table"),
        ({"tasks": {"f": {"kind": "horizons", "quantiles": [0.1, 0.9]}}}, "0.5"),
        ({"evidence.purge": 3}, "evidence.purge"),
        ({"data.step.frequency": "fortnight"}, "data.step.frequency"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        spec(**changes)


@pytest.mark.slow
def test_what_is_known_ahead_is_learned_and_can_be_forbidden(tmp_path: Path) -> None:
    """The series follows a price that is known ahead: linear forecasters cannot see it, the network can."""
    generator, n = np.random.default_rng(0), 160
    price, y = generator.standard_normal(n + H), np.zeros(n)
    for t in range(1, n):
        y[t] = 0.6 * y[t - 1] + 2 * price[t] + 0.3 * generator.standard_normal()
    quarters = labels_of(np.arange(n + H), "quarter")
    frame = pd.DataFrame({"when": quarters, "sold": np.r_[50 + y, [np.nan] * H], "price": price})
    changes = {"data.group": None, "data.known": ["price"], "train.updates": 400, "train.lr": 3e-3}
    learned = spec(**changes, **{"network.width": 64, "network.depth": 2})
    program = pellucid.fit(learned, data=frame, store=tmp_path)
    entry = program.evidence["tasks"][0]
    assert entry["verdict"] == "better"
    assert entry["value"] < 0.6 * min(b["value"] for b in entry["baselines"])
    found = program.explain(source=frame)
    assert np.abs(found.values[0, found.players.index("price[ahead]"), 1]) > 0.1
    program.feedback.forbid("price", because="not known in time after all")
    revision = program.revise(source=frame)
    gates = {gate["name"]: gate for gate in revision.diff["gates"]}
    assert gates["sold: effect of do(price)"]["passed"]
    assert revision.diff["parameters"]["share"] <= 0.05
