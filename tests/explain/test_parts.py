"""Patches of pictures and segments of series: closed forms, brute force, what is drawn and kept."""

from __future__ import annotations

import json
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.explain import Explanation, attribute

SHAPE = (6, 8, 1)
LAGS = (("t-1", 0, 1), ("t-2..", 1, 12))


class Wide:
    """A function of a picture of 6 by 8 pixels, or of a series of 12 lags, beside a number. float64."""

    def __init__(self, kind: str, function: Any) -> None:
        field = Field("x", "image", 48, shape=SHAPE) if kind == "image" else Field("x", "series", 12, groups=LAGS)
        self.schema = Schema((field, Field("age")), {"y": (Field("y"),)})
        self.tasks = {"y": Task("y", "regress", ("x", "age"), ("y",), "points", "squared_error")}
        self.function = function

    def encode(self, rows: Rows) -> dict[str, torch.Tensor]:
        return {n: torch.from_numpy(np.asarray(v, dtype=float)).reshape(len(rows), -1) for n, v in rows.fields.items()}

    def __call__(self, blocks: Any, task: str) -> torch.Tensor:
        return self.function(blocks["x"], blocks["age"])


def rows(kind: str, n: int, seed: int) -> Rows:
    g = np.random.default_rng(seed)
    x = g.uniform(0, 1, (n, 48)) if kind == "image" else g.normal(size=(n, 12))
    return Rows(np.asarray([str(i) for i in range(n)], dtype=np.str_), {"x": x, "age": g.normal(size=n)})


def explained(program: Wide, kind: str, **options: Any) -> tuple[Explanation, Rows, Rows]:
    x, background = rows(kind, 3, 1), rows(kind, 20, 2)
    return attribute(program, x, "y", background=background, grain="part", **options), x, background


@pytest.mark.parametrize("kind", ["image", "series"])
@pytest.mark.parametrize("method", ["exact", "permutation", "regression"])
def test_of_a_linear_function_each_part_gets_its_share(kind: str, method: str) -> None:
    """phi of a part = sum over its values of w (x - mean of the background)."""
    w = torch.from_numpy(np.random.default_rng(0).normal(size=48 if kind == "image" else 12))
    program = Wide(kind, lambda x, age: (x @ w + 3 * age[:, 0])[:, None])
    found, x, background = explained(program, kind, method=method, parts=6, evaluations=2**8 * 20)
    share = (x.fields["x"] - background.fields["x"].mean(0)) * w.numpy()
    parts = program.schema["x"].players("part", 6)
    expected = np.stack([share[:, p.within(len(w))].sum(1) for p in parts], 1)
    assert len(parts) == 6
    assert found.values[:, :6, 0] == pytest.approx(expected, abs=1e-9)
    assert found.values[:, 6, 0] == pytest.approx(3 * (x.fields["age"] - background.fields["age"].mean()), abs=1e-9)


@pytest.mark.parametrize("kind", ["image", "series"])
def test_equal_to_brute_force_for_a_network(kind: str) -> None:
    """Nine players of a picture, twelve of a series, every subset written out in numpy."""
    g = torch.Generator().manual_seed(0)
    first = torch.randn(49 if kind == "image" else 13, 8, generator=g, dtype=torch.float64)
    second = torch.randn(8, 1, generator=g, dtype=torch.float64)
    program = Wide(kind, lambda x, age: torch.tanh(torch.cat([x, age], 1) @ first) @ second)
    x, background = rows(kind, 1, 1), rows(kind, 5, 2)
    parts = 8 if kind == "image" else 11
    found = attribute(program, x, "y", background=background, grain="part", parts=parts, method="exact")
    players = program.schema.players(("x", "age"), "part", parts)
    d = len(players)
    assert d == parts + 1
    values = {}
    for size in range(d + 1):
        for chosen in combinations(range(d), size):
            mixed = {n: np.array(v) for n, v in background.fields.items()}
            for i in chosen:
                if players[i].field == "age":
                    mixed["age"][:] = x.fields["age"][0]
                else:
                    own = players[i].within(mixed["x"].shape[1])
                    mixed["x"][:, own] = x.fields["x"][0, own]
            blocks = program.encode(Rows(background.keys, mixed))
            values[frozenset(chosen)] = float(program(blocks, "y").mean())
    for i in range(d):
        phi = sum(
            factorial(len(s)) * factorial(d - len(s) - 1) / factorial(d) * (values[s | {i}] - v)
            for s, v in values.items()
            if i not in s
        )
        assert found.values[0, i, 0] == pytest.approx(phi, abs=1e-6)


@pytest.mark.parametrize("method", ["exact", "permutation"])
def test_a_patch_that_is_never_read_gets_nothing(method: str) -> None:
    """Only the upper left pixel counts: in a product with the number."""
    program = Wide("image", lambda x, age: x[:, :1] * age)
    found, _, _ = explained(program, "image", method=method, parts=6)
    assert np.abs(found.values[:, 0, 0]).min() > 0
    assert np.abs(found.values[:, 1:6, 0]).max() == 0


def test_what_is_drawn_is_kept() -> None:
    program = Wide("image", lambda x, age: x[:, :1] * age)
    found, x, _ = explained(program, "image", parts=6)
    (laid,) = found.laid
    assert (laid.field, laid.players, laid.shape) == ("x", tuple(range(6)), SHAPE)
    assert laid.pixels(1)[..., 0].ravel().tolist() == np.rint(255 * x.fields["x"][1]).astype(int).tolist()
    again = Explanation.from_json(json.loads(json.dumps(found.to_json()))).laid[0]
    assert again.places == laid.places
    assert (again.raw == laid.raw).all()
    assert found.inputs[0, 0] == f"mean pixel {x.fields['x'][0].reshape(6, 8)[:3, :3].mean():.2f}"
    series, y, _ = explained(Wide("series", lambda x, age: x[:, :1]), "series", parts=4)
    (laid,) = Explanation.from_json(series.to_json()).laid
    assert laid.moments().tolist() == list(range(-1, -13, -1))
    assert laid.raw == pytest.approx(y.fields["x"])
    plain = attribute(program, x, "y", background=x)
    assert "laid" not in plain.to_json()


@pytest.mark.parametrize("kind", ["image", "series"])
def test_a_row_is_plotted_where_its_parts_lie(kind: str) -> None:
    pytest.importorskip("matplotlib")
    found, _, _ = explained(Wide(kind, lambda x, age: x[:, :1] * age), kind, parts=6)
    figure = found.plot("parts", row=1)
    figure.canvas.draw()
    assert figure.get_suptitle() == "y: y (points), 1"
    assert figure.axes[0].get_title() == "x"
    marks = figure.axes[0].patches
    assert len(marks) == 6
    strongest = int(np.argmax(np.abs(found.values[1, :6, 0])))
    assert max(range(6), key=lambda i: marks[i].get_alpha()) == strongest
