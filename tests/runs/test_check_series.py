"""Checks of series: planted leaks are found by name, clean series raise no alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pellucid.cli.main import main
from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.data.clock import labels_of
from pellucid.data.windows import windows
from pellucid.runs import check_series as checks
from pellucid.runs.check_series import check_series
from pellucid.spec.loader import build_spec
from pellucid.spec.model import Spec

N, AHEAD = 80, 3


def table(seed: int = 0, *, walk: bool = False) -> pd.DataFrame:
    """Two shops with a season, a price that is known ahead and matters, and visitors, which are not."""
    frames = []
    for i, name in enumerate(("north", "south")):
        draw = np.random.default_rng([seed, i])
        price, noise = draw.normal(size=N + AHEAD), draw.normal(size=N + AHEAD)
        sold = 50 + 3 * np.sin(np.pi * np.arange(N + AHEAD) / 2) - price + (np.cumsum(noise) if walk else noise)
        frames.append(
            pd.DataFrame(
                {
                    "shop": name,
                    "when": labels_of(np.arange(N + AHEAD), "quarter"),
                    "sold": np.where(np.arange(N + AHEAD) < N, sold, np.nan),
                    "price": price,
                    "visitors": 10 * sold + 30 * draw.normal(size=N + AHEAD),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def spec(**data: Any) -> Spec:
    given = {"kind": "series", "source": "shops.csv", "target": "sold", "time": "when", "group": "shop"}
    return build_spec(
        name="shops", data={**given, "window": 6, "horizon": AHEAD, "known": ["price"], "past": ["visitors"], **data}
    )


@pytest.mark.parametrize("walk", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_no_alarm_on_clean_series(seed: int, walk: bool) -> None:
    report = check_series(table(seed, walk=walk), spec())
    assert report.problems == []
    assert report.checks == dict.fromkeys(checks.CHECKS, "passed")
    assert {c.name: c.use for c in report.columns}["price"] == "known ahead"
    assert report.split["folds"] == 3


def test_a_column_known_ahead_that_tells_the_target_is_found() -> None:
    frame = table()
    whole = frame["sold"].fillna(50.0)
    frame["stock"] = 1000 - 2 * whole + 0.01 * np.random.default_rng(0).normal(size=len(frame))
    (problem,) = check_series(frame, spec(known=["price", "stock"])).problems
    assert (problem.check, "'stock'" in problem.what) == ("target leakage", True)


@pytest.mark.parametrize(("ahead", "found"), [(0, False), (-1, True), (-3, True), (1, False)])
def test_a_column_of_the_past_that_holds_the_future_is_found(ahead: int, found: bool) -> None:
    frame = table()
    frame["visitors"] = frame.groupby("shop")["sold"].shift(ahead).fillna(50.0)
    problems = check_series(frame, spec()).problems
    assert [p.check for p in problems] == ["target leakage"] * found
    if found:
        assert f"{-ahead} steps later" in problems[0].what


def test_windows_that_look_ahead_or_at_other_series_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def centred(given: Any, data: Any) -> tuple[Rows, tuple[str, ...]]:
        """By a mean over all that was given: over the future, and over other series."""
        rows, notes = windows(given, data)
        mean = np.mean(np.concatenate([one.values for one in given.series]))
        return Rows(
            rows.keys, {**rows.fields, "sold": rows.fields["sold"] - mean}, rows.targets, rows.times, rows.extra
        ), notes

    monkeypatch.setattr(checks, "windows", centred)
    report = check_series(table(), spec())
    assert {p.check: "'sold'" in p.what for p in report.problems} == {
        "truncation invariance": True,
        "entity isolation": True,
    }
    assert report.checks["truncation invariance"] == "1 problem"


def test_what_cannot_be_read_is_a_problem_and_a_missing_column_an_error() -> None:
    report = check_series(table().drop(index=5), spec())
    assert [p.check for p in report.problems] == ["reading"]
    assert report.checks["truncation invariance"] == "not made"
    with pytest.raises(DataError, match="prise"):
        check_series(table(), spec(known=["prise"]))


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table().to_csv(tmp_path / "shops.csv", index=False)
    (tmp_path / "shops.yaml").write_text(
        "name: shops\ndata: {kind: series, source: shops.csv, target: sold, time: when, group: shop, window: 6, "
        "horizon: 3, known: [price]}\n"
    )
    assert main(["check", "data", str(tmp_path / "shops.yaml")]) == 0
    out = capsys.readouterr().out
    assert "check truncation invariance: passed" in out
    assert "Next: pellucid fit" in out
