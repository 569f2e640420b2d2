"""Fairness: shares by hand, a planted gap is found, equal groups have none beyond chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from pellucid.core.random import stream
from pellucid.evidence.fairness import gaps, group_metrics
from pellucid.evidence.slices import groups_of


def test_shares_by_hand() -> None:
    groups = groups_of("sex", np.array(["f"] * 4 + ["m"] * 2))
    came, predicted = np.array([1.0, 1, 0, 0, 1, 0]), np.array([0.9, 0.2, 0.6, 0.1, 0.7, 0.3])
    f, m = group_metrics(groups, came, predicted)
    assert (f.name, f.n, f.selected.value, f.found.value, f.alarms.value) == ("sex = f", 4, 0.5, 0.5, 0.5)
    assert f.calibration.value == pytest.approx(0.05)
    assert (m.found.value, m.alarms.value, m.found.n) == (1.0, 0.0, 1)
    assert gaps(groups, came, predicted) == []  # groups of less than 30 rows


def _simulated(seed: int, shift: float) -> list:
    """A calibrated program of two groups; of the second it takes `shift` off the log-odds."""
    g = stream(seed, "fair")
    sex, z = g.choice(["f", "m"], 1500), 1.5 * g.normal(size=1500)
    came = (g.random(1500) < expit(z)).astype(float)
    return gaps(groups_of("sex", sex), came, expit(z - shift * (sex == "m")), draws=200, seed=seed)


def test_a_planted_gap_is_found() -> None:
    for seed in range(5):
        _, odds, calibration = _simulated(seed, 1.5)
        assert odds.low > 0.1
        assert calibration.low > 0.1
        assert odds.low < odds.value < odds.high


def test_equal_groups_have_small_gaps() -> None:
    found = [_simulated(seed, 0.0) for seed in range(40)]
    assert np.mean([one[2].value for one in found]) < 0.03
    assert sum(one[2].low > 0.02 for one in found) <= 3
