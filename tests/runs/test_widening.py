"""Outer quantiles are moved out by what was missed, never in, and never across one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pellucid.core.task import Task
from pellucid.runs.widening import _widening

TASK = Task("f", "horizons", (), (), "", "mase", (), {"quantiles": [0.05, 0.25, 0.5, 0.75, 0.95]})
NORMAL = np.asarray([-1.645, -0.674, 0.0, 0.674, 1.645])


def missed(n: int, said: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """What came less each quantile of a normal whose deviation was said to be `said` instead of 1, two steps ahead."""
    came = np.random.default_rng(seed).standard_normal((n, 2, 1))
    return np.asarray(came - said * NORMAL)


def test_too_narrow_quantiles_become_as_wide_as_they_should_be() -> None:
    found = np.asarray(_widening(TASK, [missed(4000, 0.5), missed(4000, 0.5, 1)])["widening"])
    assert found + 0.5 * NORMAL == pytest.approx(np.tile(NORMAL, (2, 1)), abs=0.06)


def test_quantiles_that_are_wide_enough_stay() -> None:
    assert _widening(TASK, [missed(4000, 2.0)]) == {}


def test_too_few_rows_promise_nothing_and_no_fold_none() -> None:
    assert _widening(TASK, []) == {}
    found = np.asarray(_widening(TASK, [missed(8, 0.5)])["widening"])
    assert (found[:, 2] == 0).all()
    assert np.isfinite(found).all()


def test_none_cross_whatever_was_missed() -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        said = np.sort(generator.standard_normal(5)) * generator.uniform(0, 2)
        said -= said[2]
        found = _widening(TASK, [generator.standard_normal((40, 3, 1)) * 2 - said])
        moved = said + np.asarray(found.get("widening", np.zeros((3, 5))))
        assert (np.diff(moved, axis=1) >= -1e-9).all()


def test_unknown_steps_do_not_count() -> None:
    whole = missed(500, 0.5)
    holed = np.concatenate([whole, np.full((50, 2, 5), np.nan)])
    assert _widening(TASK, [whole]) == _widening(TASK, [holed])
