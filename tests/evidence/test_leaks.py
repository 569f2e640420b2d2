"""Leaks are found where they were planted, and nowhere else. n = 60 clean tables of each kind, no alarm accepted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pellucid.core.rows import Rows
from pellucid.data.prices import load_prices, windows
from pellucid.data.tables import read_table
from pellucid.evidence.controls import entity_isolation, memoriser, shuffled_target, truncation_invariance
from pellucid.evidence.copies import copies_across, find_copies
from pellucid.evidence.folds import grouped_folds, stratified_folds
from pellucid.evidence.leaks import known_after, one_field_skill, target_leakage

sys.path.insert(0, str(Path(__file__).parent))

from leaky import clean, plant

KINDS = ("classify", "regress")
CLEAN = range(60)  # tables without a leak, of each kind: none may raise an alarm
PLANTED = range(12)
Array = npt.NDArray[Any]


# Target leakage


@pytest.mark.parametrize("kind", KINDS)
def test_no_alarm_on_clean_tables(kind: str) -> None:
    alarms = {seed: found for seed in CLEAN if (found := target_leakage(*clean(seed, kind), kind)[0])}
    assert alarms == {}


LEAKS = ("copy", "other names", "transform", "almost", "words that tell", "filled in after")
# A number that was rounded to a word is not given away to the last digit: no leak of a regression.
PAIRS = [(leak, kind) for leak in LEAKS for kind in KINDS if (leak, kind) != ("words that tell", "regress")]


@pytest.mark.parametrize(("leak", "kind"), PAIRS)
def test_a_planted_field_is_found_and_no_other(leak: str, kind: str) -> None:
    for seed in PLANTED:
        fields, y = clean(seed, kind)
        fields["after"] = plant(leak, fields, y, np.random.default_rng(seed))
        found, _ = target_leakage(fields, y, kind)
        assert [f.where for f in found] == ["data, column 'after'"], (seed, found)
        assert "drop 'after'" in found[0].mend


def test_parts_of_the_target_are_named() -> None:
    rng = np.random.default_rng(0)
    price, pieces, other = rng.uniform(1, 9, 300), rng.uniform(1, 9, 300), rng.normal(size=300)
    fields = {"price": price, "pieces": pieces, "other": other}
    assert (
        target_leakage(fields, price * pieces, "regress")[0][0].what == "'price', 'pieces' make up the target exactly."
    )
    assert target_leakage(fields, 2 * price - pieces, "regress")[0][0].what.startswith("'price', 'pieces' make up")
    assert target_leakage(fields, price * pieces + 0.1 * other**2 * rng.normal(size=300), "regress")[0] == []


@pytest.mark.parametrize("name", ["breast_cancer", "iris", "wine", "digits", "diabetes"])
def test_no_alarm_on_known_tables(name: str) -> None:
    table = read_table(name, "target")
    y = table.rows.targets["target"]
    assert target_leakage(table.rows.fields, y, table.kind)[0] == []
    for fold in stratified_folds(y if table.kind == "classify" else np.zeros(len(y)), 5, 0):
        assert copies_across(table.rows.fields, fold.train, fold.test)[0] == []


def test_the_skill_of_noise_is_nought_and_of_the_target_one() -> None:
    rng = np.random.default_rng(1)
    for kind in KINDS:
        noise, y = rng.normal(size=2000), rng.normal(size=2000)
        aim = np.where(y > 0, "1", "0") if kind == "classify" else y
        assert one_field_skill(noise, aim, kind) < 0.1
        assert one_field_skill(y, aim, kind) > 0.99


# Copies across a split


def test_no_alarm_without_copies() -> None:
    for seed in CLEAN:
        fields, y = clean(seed, "regress")
        day = np.arange(len(y), dtype=float)
        fold = stratified_folds(np.zeros(len(y)), 5, seed)[0]
        for more in ({}, {"day": day, "weekday": day % 7, "month": day // 30}):
            assert copies_across({**fields, **more}, fold.train, fold.test)[0] == [], seed


@pytest.mark.parametrize("away", [0.0, 1e-4])
def test_planted_copies_are_found(away: float) -> None:
    found = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(200, 1000)), int(rng.integers(3, 9))
        fields = {f"x{j}": rng.normal(size=n) * 10.0**j for j in range(k)}
        fields["word"] = rng.choice(["a", "b"], n).astype(object)
        fold = stratified_folds(np.zeros(n), 5, seed)[0]
        here, there = fold.test[:8], fold.train[:8]
        for x in fields.values():
            x[here] = x[there]
            if away and x.dtype.kind == "f":
                x[here] += away * x.std() * rng.normal(size=8)
        got = find_copies(fields, fold.train, fold.test)
        found += any(got.alarm) and {*here} <= {*got.near, *got.exact}
    assert found == 24


def test_coarse_rows_repeat_by_chance() -> None:
    rng = np.random.default_rng(0)
    fields = {"grade": rng.integers(1, 6, 500).astype(float), "word": rng.choice(["a", "b"], 500).astype(object)}
    fold = stratified_folds(np.zeros(500), 5, 0)[0]
    found, notes = copies_across(fields, fold.train, fold.test)
    assert found == []
    assert "no more than values so coarse repeat" in notes[0]


# Pipelines


def series(n: int = 300, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(size=n))
    return Rows(np.arange(n).astype(str), {"x": x}, {"y": rng.normal(size=n)})


def causal(rows: Rows) -> dict[str, Array]:
    x = rows.fields["x"]
    return {"lag": np.concatenate([[np.nan], x[:-1]]), "mean": np.cumsum(x) / np.arange(1, len(x) + 1)}


LOOKS_AHEAD = {
    "scaled by all rows": lambda x: (x - x.mean()) / x.std(),
    "lead": lambda x: np.append(x[1:], np.nan),
    "centred mean": lambda x: np.convolve(x, np.ones(5) / 5, mode="same"),
    "filled from later": lambda x: np.where(np.arange(len(x)) == len(x) // 3, x[-1], x),
    "early rows only": lambda x: np.where(np.arange(len(x)) < 4, x[min(9, len(x) - 1)], x),
    "rank": lambda x: np.argsort(np.argsort(x)).astype(float),
}


@pytest.mark.parametrize("leak", LOOKS_AHEAD)
def test_a_pipeline_that_looks_ahead_is_found(leak: str) -> None:
    def pipeline(rows: Rows) -> dict[str, Array]:
        return {**causal(rows), "ahead": LOOKS_AHEAD[leak](rows.fields["x"])}

    for seed in range(10):
        assert [f.what.split()[0] for f in truncation_invariance(pipeline, series(seed=seed))] == ["'ahead'"]


def test_causal_pipelines_pass() -> None:
    for seed in range(30):
        assert truncation_invariance(causal, series(seed=seed)) == []


def test_the_windows_of_prices_do_not_look_ahead() -> None:
    table = load_prices("planted")
    frame = table.frame.iloc[:700]

    def pipeline(rows: Rows) -> dict[str, Array]:
        some = type(table)(table.asset, frame.iloc[: int(rows.fields["day"][-1]) + 1])
        got = windows(some, 10, 60)
        first = len(some.frame) - len(got)
        return {name: np.concatenate([np.zeros((first, *x.shape[1:])), x]) for name, x in got.fields.items()}

    days = Rows(np.arange(700).astype(str), {"day": np.arange(700.0)})
    assert truncation_invariance(pipeline, days, cuts=(0.15, 0.5, 0.9)) == []


def test_entities_that_mix_are_found() -> None:
    rows = series()
    groups = np.repeat(["a", "b", "c"], 100)

    def apart(rows: Rows) -> dict[str, Array]:
        x, name = rows.fields["x"], rows.keys.astype(int) // 100
        return {"own mean": np.asarray([x[name == g].mean() for g in name])}

    def mixed(rows: Rows) -> dict[str, Array]:
        return {**apart(rows), "lag": np.concatenate([[0.0], rows.fields["x"][:-1]])}

    assert entity_isolation(apart, rows, groups) == []
    assert [f.what.split()[0] for f in entity_isolation(mixed, rows, groups)] == ["'lag'"]


# Fields of a table in time


def panel(seed: int) -> tuple[dict[str, Array], Array, Array]:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(6), 60)
    a, b = (np.concatenate([np.cumsum(rng.normal(size=60)) for _ in range(6)]) for _ in range(2))
    fields = {"a": a, "b": b, "a before": before(a, groups), "mean": (a + before(a, groups)) / 2}
    return fields, np.concatenate([np.cumsum(rng.normal(size=60)) for _ in range(6)]), groups


def before(x: Array, groups: Array) -> Array:
    return np.where(np.append(True, groups[1:] != groups[:-1]), np.nan, np.append(np.nan, x[:-1]))


def ahead(x: Array, groups: Array) -> Array:
    return before(x[::-1], groups[::-1])[::-1]


def test_lags_are_no_leak() -> None:
    for seed in range(30):
        fields, y, groups = panel(seed)
        fields["y before"] = before(y, groups)
        assert known_after(fields, y, groups=groups) == [], seed


@pytest.mark.parametrize("leak", ["lead of the target", "lead of a field", "centred", "across entities"])
def test_fields_from_the_future_or_from_others_are_found(leak: str) -> None:
    for seed in range(10):
        fields, y, groups = panel(seed)
        fields["z"] = {
            "lead of the target": ahead(y, groups),
            "lead of a field": ahead(fields["b"], groups),
            "centred": (before(y, groups) + y + ahead(y, groups)) / 3,
            "across entities": np.append(np.nan, fields["b"][:-1]),
        }[leak]
        found = known_after(fields, y, groups=groups)
        assert [f.where for f in found] == ["data, column 'z'"], (seed, found)
        assert found[0].check == ("entity isolation" if leak == "across entities" else "future")


# Shuffled targets


def entities(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(60), 8)
    return rng.normal(size=(60, 3))[groups] + 0.05 * rng.normal(size=(480, 3)), groups


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_that_divides_entities_shows_skill_on_shuffled_targets(kind: str) -> None:
    for seed in range(4):
        x, groups = entities(seed)
        y = np.random.default_rng(seed).normal(size=60)[groups]
        target = np.where(y > 0, "1", "0") if kind == "classify" else y
        torn, whole = stratified_folds(np.zeros(480), 3, seed)[0], grouped_folds(groups, 3, seed)[0]
        found, skill = shuffled_target(memoriser(x), target, torn.train, torn.test, units=groups, repeats=8)
        assert len(found) == 1
        assert skill > 0.5
        found, skill = shuffled_target(memoriser(x), target, whole.train, whole.test, units=groups, repeats=8)
        assert found == []
        assert abs(skill) < 0.3


def test_a_pipeline_that_sees_the_target_shows_skill_on_shuffled_targets() -> None:
    words = np.random.default_rng(0).integers(0, 150, 300)

    def encoded(target: Array, train: Array, test: Array) -> Array:
        """Mean target by word over all rows, the tested ones too."""
        return np.asarray(np.bincount(words, target) / np.maximum(np.bincount(words), 1))[words[test]]

    y = np.random.default_rng(1).normal(size=300)
    found, skill = shuffled_target(encoded, y, np.arange(200), np.arange(200, 300))
    assert found
    assert skill > 0.5


def test_no_alarm_from_independent_rows() -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(200, 3)), rng.normal(size=200)
        y = np.where(y > 0.8, "rare", "usual") if seed % 2 else y
        assert shuffled_target(memoriser(x), y, np.arange(150), np.arange(150, 200), repeats=6, seed=seed)[0] == []
