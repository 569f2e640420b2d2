"""Calibration: closed forms, what is planted is found, and what is calibrated shows no more error than chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence import calibration as c


def test_error_of_a_known_table() -> None:
    predicted = np.repeat([0.2, 0.8], 10)
    came = np.array([1] * 4 + [0] * 6 + [1] * 8 + [0] * 2)
    assert c.calibration_error(predicted, came, bins=2) == pytest.approx(0.5 * 0.2)
    assert c.calibration_error(predicted, came, bins=1) == pytest.approx(0.1)  # 0.6 came, 0.5 was said


def test_bins_hold_equally_many_rows_in_any_order() -> None:
    g = stream(0, "t")
    p = g.random(1003)
    y = (g.random(1003) < p).astype(float)
    order = g.permutation(1003)
    assert c.calibration_error(p, y) == pytest.approx(c.calibration_error(p[order], y[order]), abs=1e-12)
    sizes = [point.n for point in c.reliability_curve(p, y, bins=10)]
    assert sum(sizes) == 1003
    assert max(sizes) - min(sizes) <= 1


def test_calibrated_predictions_stay_below_the_null_and_overconfident_ones_do_not() -> None:
    above, found = 0, 0
    for seed in range(100):
        g = stream(seed, "null")
        z = g.normal(size=500)
        y = (g.random(500) < expit(z)).astype(float)
        above += c.calibration_error(expit(z), y) > c.null_error(expit(z), draws=100, seed=seed)[1]
        found += c.calibration_error(expit(3 * z), y) > c.null_error(expit(3 * z), draws=100, seed=seed)[1]
    assert above <= 12  # 5 expected of 100
    assert found == 100


def test_brier_parts_sum_up_and_equal_closed_forms() -> None:
    g = stream(1, "brier")
    p = g.random(400)
    y = (g.random(400) < p).astype(float)
    b = c.brier(p, y)
    assert b.score == pytest.approx(np.mean((p - y) ** 2))
    assert b.score == pytest.approx(b.reliability - b.resolution + b.uncertainty + b.within, abs=1e-12)
    same = c.brier(np.full(400, 0.3), y, bins=1)  # one bin, one probability: nothing is hidden, nothing resolved
    assert same.resolution == pytest.approx(0, abs=1e-12)
    assert same.within == pytest.approx(0, abs=1e-12)
    assert same.reliability == pytest.approx((y.mean() - 0.3) ** 2)


def test_wilson_known_values() -> None:
    low, high = c.wilson(0, 10)
    assert (low, high) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert c.wilson(5, 10) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
    assert c.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_the_planted_temperature_is_found(classes: int, heat: float) -> None:
    g = stream(classes, "heat")
    z = 2.0 * g.normal(size=(20_000, classes))
    codes = (z + g.gumbel(size=z.shape)).argmax(1)
    said = heat * (z[:, 1:] - z[:, :1] if classes == 2 else z)
    assert c.fit_temperature(said, codes) == pytest.approx(heat, rel=0.04)


def test_scaling_mends_overconfidence_and_changes_no_decision() -> None:
    g = stream(3, "mend")
    z = g.normal(size=(4000, 3))
    codes = (z + g.gumbel(size=z.shape)).argmax(1)
    heat = c.fit_temperature(4 * z[:2000], codes[:2000])
    before, after = (c.calibration_error(*c.event(codes[2000:], softmax(4 * z[2000:] / t, axis=1))) for t in (1, heat))
    assert before > 0.2
    assert after < 0.04
    assert ((4 * z / heat).argmax(1) == z.argmax(1)).all()


def test_no_mistake_on_few_rows_is_not_believed_without_bounds() -> None:
    codes = np.arange(30) % 2
    assert 0.2 < c.fit_temperature(np.where(codes == 1, 5.0, -5.0)[:, None], codes) < 1


def test_the_event_is_the_second_class_or_the_likeliest() -> None:
    p, came = c.event(np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]]))
    assert (p.tolist(), came.tolist()) == ([0.1, 0.6], [0.0, 1.0])
    p, came = c.event(np.array([2, 1]), np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]))
    assert (p.tolist(), came.tolist()) == ([0.7, 0.5], [1.0, 0.0])
    with pytest.raises(DataError):
        c.event(np.array([0]), np.ones((2, 2)))
    with pytest.raises(DataError):
        c.fit_temperature(np.ones(3), np.array([0, 1, 1]))
