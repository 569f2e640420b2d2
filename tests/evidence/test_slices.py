"""Slices: what is planted is found by name, and clean data raise no alarm."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.core.random import stream
from pellucid.evidence.slices import benjamini_hochberg, groups_of, worst_slices


def _fields(g: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {
        "sex": g.choice(["f", "m"], n),
        "town": g.choice(list("abcdefgh"), n),
        "age": g.uniform(18, 90, n),
        "income": np.where(g.random(n) < 0.1, np.nan, g.lognormal(size=n)),
    }


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).tolist() == pytest.approx(
        [0.04, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.5]
    )


def test_benjamini_hochberg_as_scipy_does() -> None:
    from scipy.stats import false_discovery_control

    p = stream(0, "bh").random(200) ** 2
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))


def test_groups_are_levels_quarters_and_lacking_rows() -> None:
    assert list(groups_of("sex", np.array(["f", "m", "f"], dtype=object))) == ["sex = f", "sex = m"]
    assert groups_of("one", np.array(["f", "f"])) == {}
    quarters = groups_of("x", np.array([*range(100), np.nan]))
    assert [int(mask.sum()) for mask in quarters.values()] == [25, 25, 25, 25, 1]
    assert list(quarters)[-1] == "x is missing"
    assert list(groups_of("flag", np.array([0.0, 1.0, 1.0]))) == ["flag = 0", "flag = 1"]


def test_a_planted_level_and_a_planted_pair_are_found() -> None:
    for seed in range(10):
        g = stream(seed, "planted")
        fields = _fields(g, 4000)
        loss = g.exponential(size=4000)
        town = worst_slices(fields, loss + 1.0 * (fields["town"] == "c"))
        assert town.slices[0].name == "town = c"
        assert town.slices[0].difference == pytest.approx(1.0, abs=0.25)
        pair = (fields["town"] == "c") & (fields["sex"] == "f")
        found = worst_slices(fields, loss + 2.0 * pair).slices[0]
        assert set(found.name.split(" and ")) == {"town = c", "sex = f"}
        assert found.n == pair.sum()


def test_rows_that_lack_a_value_are_a_group() -> None:
    g = stream(0, "lack")
    fields = _fields(g, 3000)
    found = worst_slices(fields, g.exponential(size=3000) + np.isnan(fields["income"]))
    assert found.slices[0].name == "income is missing"


@pytest.mark.parametrize("loss", ["exponential", "zero_one", "squared"])
def test_clean_data_raise_no_alarm(loss: str) -> None:
    """At most 5 % of 200 simulations, and not never because nothing was looked at."""
    alarms, looked = 0, 0
    for seed in range(200):
        g = stream(seed, f"clean/{loss}")
        fields = _fields(g, 1000)
        draws = {"exponential": g.exponential(size=1000), "zero_one": (g.random(1000) < 0.2) * 1.0}
        found = worst_slices(fields, draws.get(loss, g.normal(size=1000) ** 2))
        alarms += bool(found.slices)
        looked += found.looked_at
    assert alarms <= 10
    assert looked / 200 > 60


def test_without_the_correction_clean_data_would_alarm() -> None:
    """Negative control: with a level of 1 by BH, i.e. no bar, nearly every simulation names a slice of small p."""
    small = 0
    for seed in range(50):
        g = stream(seed, "clean/exponential")
        found = worst_slices(_fields(g, 1000), g.exponential(size=1000), level=1.0, most=100)
        small += any(s.p < 0.05 for s in found.slices)
    assert small > 25


def test_welch_as_scipy_does() -> None:
    from scipy.stats import ttest_ind

    g = stream(5, "welch")
    flag = g.random(300) < 0.3
    loss = g.exponential(size=300) + 0.3 * flag
    found = next(s for s in worst_slices({"flag": flag.astype(float)}, loss, level=1.0).slices if s.name == "flag = 1")
    assert found.p == pytest.approx(
        ttest_ind(loss[flag], loss[~flag], equal_var=False, alternative="greater").pvalue, rel=1e-3
    )


def test_small_groups_are_not_looked_at() -> None:
    g = stream(6, "few")
    loss = g.exponential(size=200)
    rare = np.array(["x"] * 10 + ["y"] * 190)
    loss[:10] += 100
    assert worst_slices({"rare": rare}, loss).looked_at == 0
