"""Series: steps of time, gaps and repetitions named, windows that see nothing of the future."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.core.errors import DataError
from pellucid.data.clock import frequency_of, labels_of, moments, steps_of, times_of
from pellucid.data.series import read_series, until
from pellucid.data.windows import expanding_scale, lag_groups, schema_fields, windows
from pellucid.spec.series import FUTURE, SEASONS, SeriesData


def declared(**changes: Any) -> SeriesData:
    raw = {"kind": "series", "source": "x.csv", "target": "y", "time": "t", "window": 6, "horizon": 3}
    return SeriesData.model_validate({**raw, **changes})


def monthly(n: int = 60, name: str = "a", seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    y = 10 + np.sin(2 * np.pi * np.arange(n) / 12) + 0.1 * np.cumsum(generator.standard_normal(n))
    promo = generator.integers(0, 2, n).astype(float)
    return pd.DataFrame({"g": name, "t": labels_of(np.arange(n), "month"), "y": y, "promo": promo, "heat": y**2})


# Steps of time


@pytest.mark.parametrize("frequency", SEASONS)
@given(start=st.integers(-800, 7000), n=st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_steps_and_moments_are_inverse_and_consecutive(frequency: str, start: int, n: int) -> None:
    steps = np.arange(start, start + n)
    times = times_of(steps, frequency).astype("datetime64[s]")
    assert np.array_equal(steps_of(times, frequency), steps)
    assert (np.diff(times) > np.timedelta64(0, "s")).all()
    read = moments(np.asarray(labels_of(steps, frequency), dtype=object), "t", "here")
    assert np.array_equal(steps_of(read, frequency), steps)


@pytest.mark.parametrize("frequency", SEASONS)
def test_the_frequency_is_found_out(frequency: str) -> None:
    times = times_of(np.arange(100, 160), frequency).astype("datetime64[s]")
    assert frequency_of(times, "here") == frequency


def test_month_ends_are_months() -> None:
    ends = np.asarray(["2024-01-31", "2024-02-29", "2024-03-31"], dtype="datetime64[s]")
    assert frequency_of(ends, "here") == "month"
    assert np.diff(steps_of(ends, "month")).tolist() == [1, 1]


def test_an_unknown_frequency_and_unreadable_moments_are_errors() -> None:
    with pytest.raises(DataError, match="3 days apart"):
        frequency_of(np.asarray(["2024-01-01", "2024-01-04", "2024-01-07"], dtype="datetime64[s]"), "here")
    with pytest.raises(DataError, match=r"'soon' in row 2, '' in row 3"):
        moments(np.asarray(["2024", "soon", ""], dtype=object), "t", "here")


# Regular in time


def test_gaps_and_repetitions_of_all_series_are_named_at_once() -> None:
    a, b = monthly(name="a").drop(index=[5, 6, 30]), monthly(name="b")
    with pytest.raises(DataError) as caught:
        read_series(pd.concat([a, b, b[3:4]]), declared(group="g"))
    said = str(caught.value)
    for part in ("a: 1970-06 to 1970-07 are missing", "a: 1972-07 is missing", "b: 1970-04 stands twice"):
        assert part in said
    assert "gaps=carry" in said


def test_carried_values_are_counted_and_are_no_targets() -> None:
    frame = monthly().drop(index=[40])
    frame.loc[50, "y"] = np.nan
    data = declared(step={"gaps": "carry", "frequency": "month"})
    table = read_series(frame, data)
    assert "missing in 2 of 60 steps" in table.notes[-1]
    assert table.series[0].values[40] == table.series[0].values[39]
    rows, _ = windows(table, data)
    future = dict(zip(rows.keys, rows.targets[FUTURE], strict=True))
    assert np.isnan(future["y/1973-04"][0])
    assert np.isfinite(future["y/1973-04"][1:]).all()


def test_an_empty_target_is_named() -> None:
    frame = monthly()
    frame.loc[50, "y"] = np.nan
    with pytest.raises(DataError, match="'y' is empty in 1974-03"):
        read_series(frame, declared())


def test_a_word_among_numbers_is_an_error_with_its_row() -> None:
    frame = monthly().astype({"y": str})
    frame.loc[7, "y"] = "lots"
    with pytest.raises(DataError, match="lots"):
        read_series(frame, declared())


def test_series_that_are_too_short_are_named() -> None:
    table = read_series(pd.concat([monthly(60, "a"), monthly(12, "b")]), declared(group="g"))
    rows, notes = windows(table, declared(group="g"))
    assert "1 series are too short and left out: b (12)" in notes[0]
    assert set(rows.fields["g"]) == {"a"}
    with pytest.raises(DataError, match="no series has"):
        windows(read_series(monthly(12), declared()), declared())


def test_a_logarithm_needs_positive_values() -> None:
    frame = monthly()
    frame.loc[9, "y"] = 0.0
    with pytest.raises(DataError, match="y: 0 in 1970-10"):
        read_series(frame, declared(transform="log"))


# Windows


def test_windows_hold_what_they_say() -> None:
    frame, data = monthly(), declared(past=["heat"])
    rows, _ = windows(read_series(frame, data), data)
    y, t = frame["y"].to_numpy(), 40
    row = rows.take(rows.keys == f"y/{labels_of(np.asarray([t]), 'month')[0]}")
    scale = np.abs(y[12 : t + 1] - y[: t - 11]).mean()
    assert row.fields["y.level"][0, 0] == y[t]
    assert row.extra["value"][0] == y[t]
    assert row.fields["y.scale"][0, 0] == pytest.approx(scale) == row.extra["error_scale"][0]
    assert row.fields["y"][0] == pytest.approx((y[t - 6 : t][::-1] - y[t]) / scale)
    assert row.fields["y.mean"][0, 0] == pytest.approx((y[: t + 1].mean() - y[t]) / scale)
    assert row.targets[FUTURE][0] == pytest.approx(y[t + 1 : t + 4])
    heat = frame["heat"].to_numpy()
    z = (heat[t - 5 : t + 1][::-1] - heat[: t + 1].mean()) / heat[: t + 1].std()
    assert row.fields["heat"][0] == pytest.approx(z)
    for field in schema_fields(read_series(frame, data), data):
        assert rows.fields[field.name].reshape(len(rows), -1).shape[1] == field.width


def test_a_logarithm_is_modelled_and_errors_are_measured_in_units() -> None:
    frame, data = monthly(), declared(transform="log")
    rows, _ = windows(read_series(frame, data), data)
    assert rows.fields["y.level"][-1, 0] == pytest.approx(np.log(frame["y"].iloc[-1]))
    assert rows.extra["error_scale"][-1] == pytest.approx(expanding_scale(frame["y"].to_numpy(), 12)[-1])


@pytest.mark.parametrize("transform", ["none", "log"])
def test_rows_do_not_change_when_the_future_is_cut_off(transform: str) -> None:
    frame = pd.concat([monthly(60, "a"), monthly(70, "b", seed=1)])
    data = declared(group="g", known=["promo"], past=["heat"], transform=transform)
    table = read_series(frame, data)
    whole, _ = windows(table, data)
    for step in (24, 30, 45, 58):
        cut, _ = windows(until(table, step), data)
        known = np.isin(whole.keys, cut.keys)
        assert known.sum() == len(cut) > 0
        for group in ("fields", "extra"):
            for name, values in getattr(cut, group).items():
                assert np.array_equal(getattr(whole.take(known), group)[name], values), (step, name)


def test_truncation_is_noticed_when_a_window_looks_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: a scale over the whole series is found out."""
    frame, data = monthly(), declared()
    table = read_series(frame, data)
    monkeypatch.setattr("pellucid.data.windows.expanding_scale", lambda y, season: np.full(len(y), np.abs(y).mean()))
    whole, _ = windows(table, data)
    cut, _ = windows(until(table, 45), data)
    assert not np.array_equal(whole.fields["y.scale"][: len(cut)], cut.fields["y.scale"])


def test_other_series_do_not_reach_into_a_row() -> None:
    a, data = monthly(60, "a"), declared(group="g")
    alone, _ = windows(read_series(a, data), data)
    both, _ = windows(read_series(pd.concat([monthly(70, "b", seed=1), a]), data), data)
    mine = both.take(both.fields["g"] == "a")
    assert np.array_equal(mine.keys, alone.keys)
    for name in alone.fields:
        assert np.array_equal(mine.fields[name], alone.fields[name])


def test_what_is_known_ahead_is_read_ahead_and_asked_for() -> None:
    frame = monthly(60)
    ahead = monthly(63)[60:].assign(y=np.nan)
    data = declared(known=["promo"])
    rows, notes = windows(read_series(frame, data), data)
    assert rows.keys[-1] == "y/1974-09"
    assert "3 moments are left out: promo" in notes[0]
    rows, notes = windows(read_series(pd.concat([frame, ahead]), data), data)
    assert rows.keys[-1] == "y/1974-12"
    assert not notes
    promo = np.r_[frame["promo"], ahead["promo"]]
    assert np.array_equal(rows.fields["promo"][-1], promo[60 - 6 : 63][::-1])
    assert np.isnan(rows.targets[FUTURE][-1]).all()


def test_rows_of_one_moment_lie_together() -> None:
    data = declared(group="g")
    rows, _ = windows(read_series(pd.concat([monthly(60, "b"), monthly(60, "a")]), data), data)
    assert rows.keys[:4].tolist() == ["a/1971-05", "b/1971-05", "a/1971-06", "b/1971-06"]
    assert rows.times is not None
    assert (np.diff(rows.times.astype(int)) >= 0).all()


@given(window=st.integers(2, 200), season=st.integers(1, 60))
def test_lag_groups_cover_every_lag_once(window: int, season: int) -> None:
    groups = lag_groups(window, season)
    assert [a for _, a, _ in groups] == [0, *(b for _, _, b in groups[:-1])]
    assert groups[-1][2] == window


def test_a_column_that_bears_the_name_of_a_field_is_refused() -> None:
    frame = monthly().rename(columns={"heat": "calendar"})
    data = declared(past=["calendar"])
    with pytest.raises(DataError, match="may not be called 'calendar'"):
        schema_fields(read_series(frame, data), data)
