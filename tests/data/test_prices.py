from __future__ import annotations

import importlib
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pellucid.core.errors import DataError, MissingExtra
from pellucid.data import prices
from pellucid.data.planted import simulate
from pellucid.data.price_file import COLUMNS
from pellucid.data.prices import PriceTable, load_prices, schema_fields, stale_open_share, windows

HEADER = "Date,Open,High,Low,Close,Volume\n"


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return simulate("planted", 420, seed=5)[0]


def csv(tmp_path: Path, body: str, header: str = HEADER) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(header + body)
    return path


def test_values_against_the_definition(table: PriceTable) -> None:
    rows = windows(table, window=7, scale_days=50, horizon=3)
    assert len(rows) == 420 - 50
    i, t = 100, 150
    close, log_return = table.column("close"), np.diff(np.log(table.column("close")), prepend=np.nan)
    log_range = np.log(table.column("high") / table.column("low"))
    log_volume = np.log(table.column("volume"))
    past = slice(t - 49, t + 1)
    sigma = log_return[past].std()
    lags = t - np.arange(7)
    expected = {
        "return": log_return[lags] / sigma,
        "range": log_range[lags] / log_range[past].mean() - 1,
        "volume": (log_volume[lags] - log_volume[past].mean()) / log_volume[past].std(),
        "level": [np.log(sigma)],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(rows.fields[name][i], value, rtol=1e-9, atol=1e-12)
    assert rows.keys[i] == f"PLANTED:5/{table.dates[t]}"
    assert rows.times is not None
    assert rows.times[i] == table.dates[t]
    np.testing.assert_allclose(rows.targets["forecast"][i], log_return[t + 1])
    np.testing.assert_allclose(rows.targets["risk"][i], np.log((log_return[t + 1 : t + 4] ** 2).mean()))
    np.testing.assert_allclose(rows.extra["simple_return"][i], close[t] / close[t - 1] - 1)
    assert rows.extra["close"][i] == close[t]
    assert np.isclose(rows.extra["sigma"][i], sigma)


def test_targets_are_nan_only_where_the_future_is_not_there(table: PriceTable) -> None:
    rows = windows(table, 7, 50, horizon=3)
    assert np.flatnonzero(np.isnan(rows.targets["forecast"])).tolist() == [len(rows) - 1]
    assert np.isnan(rows.targets["risk"]).sum() == 3
    assert np.isnan(rows.targets["risk"][-3:]).all()
    assert all(np.isfinite(values).all() for values in rows.fields.values())


@pytest.mark.parametrize("cut", [60, 61, 75, 200, 419])
def test_no_feature_changes_when_the_future_does(table: PriceTable, cut: int) -> None:
    """Bit for bit: cut off, and overwritten by nonsense."""
    whole = windows(table, 7, 50, 3)
    future = table.frame.copy()
    future.iloc[cut:] *= np.array([3.0, 5.0, 2.0, 4.0, 0.0])
    for other in (table.frame.iloc[:cut], future):
        rows = windows(PriceTable(table.asset, other), 7, 50, 3)
        n = cut - 50
        for group in ("fields", "extra"):
            for name, values in getattr(whole, group).items():
                assert np.array_equal(getattr(rows, group)[name][:n], values[:n]), name
        assert (rows.keys[:n] == whole.keys[:n]).all()


def test_flat_prices_and_missing_volume_stay_finite(table: PriceTable) -> None:
    frame = table.frame.copy()
    frame[["open", "high", "low", "close"]] = 5.0
    frame["volume"] = 0.0
    rows = windows(PriceTable("FLAT", frame), 7, 50, 3)
    for name, values in rows.fields.items():
        assert np.isfinite(values).all(), name
        assert np.abs(values).max() <= prices.LIMIT, name
    assert (rows.fields["volume"] == 0).all()
    assert (rows.fields["return"] == 0).all()


def test_a_day_without_volume_repeats_the_last_known(table: PriceTable) -> None:
    holed, filled = table.frame.copy(), table.frame.copy()
    column = list(holed.columns).index("volume")
    holed.iloc[200, column], filled.iloc[200, column] = 0.0, holed.iloc[199, column]
    a, b = (windows(PriceTable("X", frame), 7, 50, 3).fields["volume"] for frame in (holed, filled))
    assert np.array_equal(a, b)


def test_too_few_rows_and_wrong_lengths(table: PriceTable) -> None:
    short = PriceTable("X", table.frame.iloc[:274])
    with pytest.raises(DataError, match=r"274 rows are too few.*275"):
        windows(short)
    assert len(windows(PriceTable("X", table.frame.iloc[:275]))) == 25
    with pytest.raises(DataError, match="at least window"):
        windows(table, window=60, scale_days=50)


def test_schema_fields_match_the_rows(table: PriceTable) -> None:
    rows = windows(table, 20, 50, 3)
    fields = schema_fields(20)
    assert [field.name for field in fields] == list(rows.fields)
    assert all(rows.fields[field.name].shape == (len(rows), field.width) for field in fields)
    assert fields[0].groups == (("t", 0, 1), ("t-1..4", 1, 5), ("t-5..", 5, 20))
    assert schema_fields(3)[0].groups == (("t", 0, 1), ("t-1..4", 1, 3))
    assert schema_fields(20, position=True)[-1].name == "position"


def test_csv_any_case_extra_columns_blank_lines_and_zones(tmp_path: Path) -> None:
    body = "2020-01-02 00:00:00-05:00,1,3,1,2,10,x\n\n2020-01-03,2,3,2,2.5,0,y\n"
    table = load_prices(csv(tmp_path, body, "DATE, open ,HIGH,low,Close,volume,note\n"))
    assert table.asset == "MINE"
    assert list(table.frame.columns) == list(COLUMNS)
    assert table.dates.astype(str).tolist() == ["2020-01-02", "2020-01-03"]
    assert table.column("close").tolist() == [2.0, 2.5]


def test_round_trip_through_csv_and_parquet(tmp_path: Path, table: PriceTable) -> None:
    table.frame.to_csv(tmp_path / "a.csv")
    table.frame.to_parquet(tmp_path / "a.parquet")
    table.frame.reset_index().to_parquet(tmp_path / "b.parquet")
    for name in ("a.csv", "a.parquet", "b.parquet"):
        loaded = load_prices(tmp_path / name).frame
        pd.testing.assert_frame_equal(loaded, table.frame, check_freq=False, check_index_type=False)


def test_start_and_end_are_inclusive(table: PriceTable) -> None:
    part = load_prices("planted", start="1999-01-06", end="1999-01-08")
    assert part.dates.astype(str).tolist() == ["1999-01-06", "1999-01-07", "1999-01-08"]
    with pytest.raises(DataError, match="no day between"):
        load_prices("planted", start="2050-01-01")
    with pytest.raises(DataError, match="is not a date"):
        load_prices("planted", start="soon")


def test_every_problem_of_a_file_at_once(tmp_path: Path) -> None:
    rows = [
        "2020-01-02,1,2,1,1.5,10",
        "2020-01-xx,1,2,1,1.5,10",
        "2020-01-06,1,2,1,,10",
        "2020-01-03,1,2,1,1.5,10",
        "2020-01-06,1,2,1,-4,10",
        "2020-01-07,inf,2,1,1.5,-1",
        "2020-01-08,1,2,3,1.5,ten",
    ]
    with pytest.raises(DataError) as caught:
        load_prices(csv(tmp_path, "\n".join(rows)))
    text = str(caught.value)
    for part in (
        "9 problems",
        "line 3: '2020-01-xx' is not a date",
        "line 4: close is missing",
        "line 5: 2020-01-03 comes after 2020-01-06",
        "line 6: 2020-01-06 repeats line 4",
        "line 6: close '-4' is not positive",
        "line 7: open 'inf' is not a finite number",
        "line 7: volume '-1' is negative",
        "line 8: high 2 is below low 3",
        "line 8: volume 'ten' is not a finite number",
        "mine.csv",
    ):
        assert part in text, text


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "is empty"),
        (HEADER, "no rows below the header"),
        ("Date,Open,High,Low,Clsoe,Volume\n2020-01-02,1,2,1,1.5,10\n", "missing column 'close'"),
        ("\x00\x01", "missing columns"),
        ("a,b\n1,2\n1,2,3,4\n", "cannot be read|missing columns"),
    ],
)
def test_files_that_are_no_price_files(tmp_path: Path, content: str, match: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=match):
        load_prices(path)


def test_more_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    (tmp_path / "latin.csv").write_bytes(b"Date,Open\n2020-01-02,\xe9\n")
    for name, match in (("bad.parquet", "cannot be read"), ("latin.csv", "byte 0xe9 in line 2 is not UTF-8")):
        with pytest.raises(DataError, match=match) as caught:
            load_prices(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)
    with pytest.raises(DataError, match="a folder, not a file"):
        load_prices(tmp_path)
    with pytest.raises(DataError, match=r"(?s)no such file.*did you mean 'bad.parquet'"):
        load_prices(tmp_path / "bda.parquet")


def test_nearest_names_are_given(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'clsoe'"):
        load_prices(csv(tmp_path, "2020-01-02,1,2,1,1.5,10\n", "Date,Open,High,Low,Clsoe,Volume\n"))
    with pytest.raises(DataError, match="did you mean 'sp500'"):
        load_prices("sp5000")
    with pytest.raises(DataError, match="is not a seed"):
        load_prices("planted:x")


def test_arch_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pellucid\[finance\]"):
        load_prices("sp500")


def test_sp500_shape_stale_opens_and_speed() -> None:
    importlib.import_module("arch")
    table = load_prices("sp500")
    assert (len(table), str(table.dates[0]), str(table.dates[-1])) == (5031, "1999-01-04", "2018-12-31")
    share = stale_open_share(table)
    assert all(share[year] > 0.9 for year in range(1999, 2006))
    assert share[2018] < 0.02
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        rows = windows(table)
        seconds.append(time.perf_counter() - begin)
    assert rows.keys[0] == "SP500/1999-12-30"
    assert len(rows) == 4781
    assert min(seconds) < 0.1, seconds  # 25 ms on an idle core
