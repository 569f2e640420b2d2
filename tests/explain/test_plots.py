"""Pictures for notebooks show the numbers of the explanation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pellucid.core.errors import DataError
from pellucid.explain import Explanation, attribute
from pellucid.explain.plots import ALL, BINS, SINGLE
from pellucid.nn.foreign import wrap


def explained(n: int) -> Explanation:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(n, 4)), columns=list("abcd"))
    program = wrap(lambda x: 2 * x[:, 0] - x[:, 1] * x[:, 2], inputs=table, outputs=["score"], unit="points")
    return attribute(program, program.rows(table), "predict", background=program.rows(table.head(8)))


@pytest.fixture(scope="module")
def some() -> Explanation:
    return explained(30)


def axes_of(figure: Any) -> Any:
    return figure.axes[0]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != "parts"])  # see test_parts
def test_every_kind_is_drawn_and_names_task_output_and_unit(kind: str, some: Explanation) -> None:
    figure = some.plot(kind, k=2)
    figure.canvas.draw()
    texts = [axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes]
    assert any("predict: score (points)" in text for text in texts)


def test_bars_are_of_the_row_that_is_named(some: Explanation) -> None:
    one, every = (axes_of(some.plot("bar", k=4, row=row)).patches for row in (3, None))
    assert np.allclose(sorted(bar.get_width() for bar in one), sorted(some.values[3, :, 0]))
    assert np.allclose(sorted(bar.get_width() for bar in every), sorted(np.abs(some.values[:, :, 0]).mean(0)))


def test_a_waterfall_leads_from_the_base_to_the_prediction(some: Explanation) -> None:
    axes = axes_of(some.plot("waterfall", k=2, row=3))
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert len(bars) == 3  # two players and the rest
    assert bars[0][0] == pytest.approx(some.base[0])
    for (x, width), (following, _) in itertools.pairwise(bars):
        assert following == pytest.approx(x + width)
    assert sum(bars[-1]) == pytest.approx(some.prediction[3, 0])
    assert np.allclose([abs(width) for _, width in bars[:2]], sorted(abs(some.values[3, :, 0]))[:1:-1])


def test_a_swarm_has_every_row_at_its_value_and_the_largest_player_first(some: Explanation) -> None:
    figure = some.plot("swarm", k=4)
    axes = axes_of(figure)
    assert axes.get_yticklabels()[0].get_text() == "a"
    drawn = axes.collections[0].get_offsets()
    assert np.allclose(np.sort(drawn[:, 0]), np.sort(some.values[:, 0, 0]))
    assert np.abs(drawn[:, 1]).max() < 0.5  # strips do not meet


def test_a_swarm_of_very_many_rows_is_binned(some: Explanation) -> None:
    many = SINGLE + 100
    copies = np.arange(many) % len(some)
    fields = {"values": some.values[copies], "error": some.error[copies], "prediction": some.prediction[copies]}
    names = tuple(f"row {i}" for i in range(many))
    wide = Explanation(**{**vars(some), **fields, "inputs": some.inputs[copies], "keys": names})
    drawn = axes_of(wide.plot("swarm", k=1)).collections[0].get_offsets()
    assert len(drawn) <= BINS


def test_what_cannot_be_drawn_is_told(some: Explanation) -> None:
    with pytest.raises(DataError, match="waterfall"):
        some.plot("waterfal")
    with pytest.raises(DataError, match="30 explained rows"):
        some.plot("waterfall", row=30)
    with pytest.raises(DataError, match="no player is a part"):
        some.plot("parts")
