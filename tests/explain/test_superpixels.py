"""Superpixels: found again where they were planted, exact values of each, what is drawn and kept."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.explain import Explanation, attribute, plan
from pellucid.explain.superpixels import _grid, superpixels

SHAPE = (12, 16, 1)


class Pictures:
    """A linear function of a picture of 12 by 16 pixels, and a number. float64."""

    def __init__(self) -> None:
        self.schema = Schema((Field("x", "image", 192, shape=SHAPE), Field("age")), {"y": (Field("y"),)})
        self.tasks = {"y": Task("y", "regress", ("x", "age"), ("y",), "points", "squared_error")}
        self.weights = torch.from_numpy(np.random.default_rng(0).normal(size=192))

    def encode(self, rows: Rows) -> dict[str, torch.Tensor]:
        return {n: torch.from_numpy(np.asarray(v, dtype=float)).reshape(len(rows), -1) for n, v in rows.fields.items()}

    def __call__(self, blocks: Any, task: str) -> torch.Tensor:
        return (blocks["x"] @ self.weights + 3 * blocks["age"][:, 0])[:, None]


def planted(seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """A bright block on dark ground beside a grey stripe, with little noise; and which pixel is of which."""
    g = np.random.default_rng(seed)
    truth = np.zeros(SHAPE[:2], dtype=np.int64)
    top, left = g.integers(1, 4, 2)
    truth[top : top + 6, left : left + 6] = 1
    truth[:, 13:] = 2
    picture = np.asarray([0.1, 0.9, 0.5])[truth] + 0.01 * g.normal(size=SHAPE[:2])
    return picture[:, :, None], truth


def rows(n: int, seed: int) -> Rows:
    g = np.random.default_rng(seed)
    x = np.stack([planted(seed * 100 + i)[0].ravel() for i in range(n)])
    return Rows(np.asarray([str(i) for i in range(n)], dtype=np.str_), {"x": x, "age": g.normal(size=n)})


@pytest.mark.parametrize("seed", range(10))
def test_outlines_are_found(seed: int) -> None:
    """Every superpixel lies within one of the planted regions; square patches of the same number do not."""
    picture, truth = planted(seed)
    found = superpixels(picture, 8)
    assert all(len(np.unique(truth[found == part])) == 1 for part in range(8))
    patches = _grid(*SHAPE[:2], 8)
    assert any(len(np.unique(truth[patches == part])) > 1 for part in range(8))


@pytest.mark.parametrize("kind", ["noise", "grey", "colour", "constant"])
@pytest.mark.parametrize("parts", [1, 2, 7, 40, 191, 192, 1000])
def test_there_are_as_many_as_were_asked_for(kind: str, parts: int) -> None:
    """Each in one piece, numbered by its first pixel."""
    g = np.random.default_rng(1)
    picture = {
        "noise": g.uniform(size=SHAPE),
        "grey": planted(3)[0],
        "colour": np.repeat(planted(3)[0], 3, 2) * g.uniform(0.5, 1, 3),
        "constant": np.zeros(SHAPE),
    }[kind]
    found = superpixels(picture, parts)
    numbers, first = np.unique(found, return_index=True)
    assert numbers.tolist() == list(range(min(parts, 192)))
    assert (np.diff(first) > 0).all()
    from scipy.ndimage import label

    assert all(label(found == part)[1] == 1 for part in numbers)


@pytest.mark.parametrize("method", ["exact", "permutation", "regression"])
def test_of_a_linear_function_each_superpixel_gets_its_share(method: str) -> None:
    """phi = sum over its pixels of w (x - mean of the background), though every row has its own."""
    program, x, background = Pictures(), rows(3, 1), rows(20, 2)
    found = attribute(program, x, "y", background=background, grain="superpixel", parts=6, method=method)
    assert found.players == (*(f"x[superpixel {i}]" for i in range(1, 7)), "age")
    share = (x.fields["x"] - background.fields["x"].mean(0)) * program.weights.numpy()
    of = [superpixels(one.reshape(SHAPE), 6).ravel() for one in x.fields["x"]]
    assert not (of[0] == of[1]).all()
    expected = np.stack([np.bincount(of[i], share[i], 6) for i in range(3)])
    assert found.values[:, :6, 0] == pytest.approx(expected, abs=1e-9)
    assert np.abs(found.residual).max() < 1e-9
    mean = [x.fields["x"][1][of[1] == part].mean() for part in range(6)]
    assert found.inputs[1, :6].tolist() == [f"mean pixel {v:.2f}" for v in mean]


def test_a_row_is_explained_as_if_it_were_alone() -> None:
    program, x, background = Pictures(), rows(3, 1), rows(20, 2)
    seen: list[tuple[int, int]] = []
    options: dict[str, Any] = {"background": background, "grain": "superpixel", "parts": 9, "checks": True}
    both = attribute(program, x, "y", progress=lambda *d: seen.append(d), **options)
    alone = attribute(program, x.take(slice(2, 3)), "y", **options)
    assert (both.values[2] == alone.values[0]).all()
    assert both.checks["additive_fit"] == pytest.approx(1.0)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_is_drawn_is_kept() -> None:
    program, x, background = Pictures(), rows(2, 1), rows(10, 2)
    found = attribute(program, x, "y", background=background, grain="superpixel", parts=6)
    (laid,) = found.laid
    again = Explanation.from_json(json.loads(json.dumps(found.to_json()))).laid[0]
    for row in range(2):
        expected = superpixels(x.fields["x"][row].reshape(SHAPE), 6)
        assert (laid.parts(row) == expected).all()
        assert (again.parts(row) == expected).all()
    pytest.importorskip("matplotlib")
    figure = found.plot("parts", row=1)
    figure.canvas.draw()
    tones = figure.axes[0].images[1].get_array()
    strongest = int(np.argmax(np.abs(found.values[1, :6, 0])))
    assert (laid.parts(1)[tones[:, :, 3] == tones[:, :, 3].max()] == strongest).all()


def test_the_page_draws_every_superpixel() -> None:
    from pellucid.report.html import explanation_page

    found = attribute(Pictures(), rows(1, 1), "y", background=rows(10, 2), grain="superpixel", parts=6)
    page = explanation_page([found.to_json()], program="pictures@1")
    assert page.count('fill-rule="evenodd"') == 12  # for a wide and for a narrow page
    assert "x in 6 superpixels" in page


def test_with_other_fields_they_are_one_player() -> None:
    options: dict[str, Any] = {"grain": "superpixel", "parts": 6, "together": {"all": ["x", "age"]}}
    found = attribute(Pictures(), rows(2, 1), "y", background=rows(10, 2), **options)
    assert found.players == ("all",)
    assert not found.laid


def test_what_has_no_superpixels_is_refused() -> None:
    program, x = Pictures(), rows(2, 1)
    program.tasks = {"y": Task("y", "regress", ("age",), ("y",), "points", "squared_error")}
    with pytest.raises(DataError, match="reads no picture"):
        attribute(program, x, "y", background=x, grain="superpixel")
    with pytest.raises(DataError, match="no row"):
        attribute(Pictures(), x.take(slice(0, 0)), "y", background=x, grain="superpixel")
    with pytest.raises(SchemaError, match="no grain 'superpixel' here"):
        program.schema.players(("x",), "superpixel")  # type: ignore[arg-type]


def test_what_is_done_is_kept_when_it_is_interrupted() -> None:
    program, x, background = Pictures(), rows(3, 1), rows(10, 2)

    def stop(done: int, every: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    whole = attribute(program, x, "y", background=background, grain="superpixel", parts=6)
    found = attribute(program, x, "y", background=background, grain="superpixel", parts=6, progress=stop)
    assert len(found) == 2
    assert found.warnings[0] == "interrupted: 2 of 3 rows are explained"
    assert (found.values == whole.values[:2]).all()
    assert len(found.laid[0].raw) == 2


def test_what_it_costs_is_told_before() -> None:
    found = plan(Pictures(), rows(3, 1), "y", background=rows(10, 2), grain="superpixel", parts=12)
    assert found.players == 13
