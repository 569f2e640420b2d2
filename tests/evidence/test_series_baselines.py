"""Baselines of series: closed forms, statsmodels' own forecasts, nothing of the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from pellucid.core.task import Task
from pellucid.data.clock import labels_of
from pellucid.data.series import read_series
from pellucid.data.windows import FUTURE, windows
from pellucid.evidence.baselines import SeriesContext, answer
from pellucid.evidence.baselines.series import fit_ar
from pellucid.spec.series import SeriesData

H, SEASON, TRAIN = 6, 12, 80
QUANTILES = [0.1, 0.5, 0.9]


def task(transform: str = "none") -> Task:
    options = {
        "quantiles": QUANTILES, "horizon": H, "season": SEASON, "target": FUTURE, "lags": "y",
        "level": "y.level", "scale": "y.scale", "transform": transform,
    }  # fmt: skip
    return Task("y", "horizons", (), tuple(f"o{i}" for i in range(18)), "units", "mase", (), options)


def values(n: int = 200, seed: int = 0) -> npt.NDArray[np.float64]:
    generator, y = np.random.default_rng(seed), np.zeros(n)
    for t in range(2, n):
        y[t] = 0.9 * y[t - 1] - 0.3 * y[t - 2] + generator.standard_normal()
    return 100 + 3 * np.sin(2 * np.pi * np.arange(n) / SEASON) + y


def context(y: npt.NDArray[np.float64], transform: str = "none", train: int = TRAIN) -> SeriesContext:
    frame = pd.DataFrame({"t": labels_of(np.arange(len(y)), "month"), "y": y})
    data = SeriesData.model_validate(
        {
            "kind": "series",
            "source": "x",
            "target": "y",
            "time": "t",
            "window": 24,
            "horizon": H,
            "transform": transform,
        }
    )
    rows, _ = windows(read_series(frame, data), data)
    return SeriesContext.from_rows(rows, np.arange(train), np.arange(train + H, len(rows) - H), task(transform))


def medians(name: str, y: npt.NDArray[np.float64], transform: str = "none") -> npt.NDArray[np.float64]:
    outputs = answer(task(transform), name, context(y, transform)).outputs
    assert outputs is not None
    return outputs.reshape(len(outputs), H, 3)[:, :, 1]


FIRST = 24 + TRAIN + H  # the first tested step: windows begin at step 24


def test_series_are_rebuilt_from_their_rows() -> None:
    y = values()
    one = context(y).series[0]
    assert one.values == pytest.approx(y)
    assert one.test[0] == FIRST
    assert one.train[-1] == 24 + TRAIN - 1


def test_naive_ones_are_what_they_say() -> None:
    y = values()
    assert medians("persistence", y)[3] == pytest.approx(np.full(H, y[FIRST + 3]))
    assert medians("seasonal_naive", y)[3] == pytest.approx(y[FIRST + 3 + 1 - SEASON : FIRST + 3 + 1 - SEASON + H])


def test_the_autoregression_is_that_of_statsmodels() -> None:
    y = values()
    seen = y[: 24 + TRAIN + H]
    weights = fit_ar(seen, 13)
    reference = AutoReg(seen, lags=len(weights) - 1).fit()
    assert weights == pytest.approx(reference.params, rel=1e-6)
    later = reference.append(y[len(seen) : FIRST + 10 + 1])
    assert medians("autoregression", y)[10] == pytest.approx(later.forecast(H), rel=1e-6)


def test_ets_forecasts_as_statsmodels_does_from_every_origin() -> None:
    y = values()
    found = medians("ets", y)
    ways = [(t, d, s) for t, d in ((None, False), ("add", False), ("add", True)) for s in (None, "add")]
    seen = pd.Series(y[: 24 + TRAIN + H])
    fits = [
        ETSModel(seen, error="add", trend=t, damped_trend=d, seasonal=s, seasonal_periods=SEASON if s else None)
        .fit(disp=False) for t, d, s in ways
    ]  # fmt: skip
    best = min(range(len(fits)), key=lambda i: fits[i].aicc)
    t, d, s = ways[best]
    for i in (0, 25):
        upto = pd.Series(y[: FIRST + i + 1])
        model = ETSModel(upto, error="add", trend=t, damped_trend=d, seasonal=s, seasonal_periods=SEASON if s else None)
        assert found[i] == pytest.approx(model.smooth(fits[best].params).forecast(H).to_numpy(), rel=1e-6)


def test_ets_is_left_out_of_many_series_with_a_note() -> None:
    shown = context(values())
    many = replace(shown, series=shown.series * 31)
    found = answer(task(), "ets", many)
    assert found.losses is None
    assert "31 series" in found.note


@pytest.mark.parametrize("name", ["persistence", "seasonal_naive", "autoregression", "ets"])
def test_a_forecast_does_not_change_with_what_came_later(name: str) -> None:
    y = values()
    other = y.copy()
    other[FIRST + 21 :] += 50
    assert np.array_equal(medians(name, y)[:21], medians(name, other)[:21])


def test_logarithms_are_modelled_when_so_declared() -> None:
    y = np.exp(values() / 50)
    assert medians("persistence", y, "log")[0] == pytest.approx(np.full(H, y[FIRST]))
    assert medians("autoregression", y, "log") == pytest.approx(np.exp(medians("autoregression", np.log(y))))


def test_quantiles_hold_what_they_promise_on_long_series() -> None:
    inside = []
    for seed in range(4):
        shown = context(values(1600, seed), train=800)
        found = answer(task(), "autoregression", shown)
        assert found.outputs is not None
        said, came = found.outputs.reshape(-1, H, 3), shown.y_test[:, :-1]
        inside.append(((came >= said[:, :, 0]) & (came <= said[:, :, 2])).mean())
        assert (np.diff(said, axis=2) >= 0).all()
    assert 0.77 < np.mean(inside) < 0.83
