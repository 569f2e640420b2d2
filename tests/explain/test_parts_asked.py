"""Parts of pictures and series as players of linear fits, interactions and importance; pictures of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.explain import fit_lime, pair_interactions, permutation_importance
from pellucid.explain.columns import Columns

SHAPE = (4, 6, 1)
LAGS = (("t", 0, 1), ("t-1..", 1, 8))


class Wide:
    """A function of a picture of 4 by 6 pixels in [0, 1] and of a series of 8 lags; bytes are scaled by `encode`."""

    def __init__(self, function: Any) -> None:
        inputs = (Field("x", "image", 24, shape=SHAPE), Field("s", "series", 8, groups=LAGS))
        self.schema = Schema(inputs, {"y": (Field("y"),)})
        self.tasks = {"y": Task("y", "regress", ("x", "s"), ("y",), "points", "squared_error")}
        self.function = function

    def encode(self, rows: Rows) -> dict[str, torch.Tensor]:
        x = np.asarray(rows.column("x"))
        x = x / 255.0 if x.dtype == np.uint8 else x
        return {"x": torch.from_numpy(x).double(), "s": torch.from_numpy(np.asarray(rows.column("s"))).double()}

    def __call__(self, blocks: Any, task: str) -> torch.Tensor:
        return self.function(blocks["x"], blocks["s"])[:, None]


def rows(n: int, seed: int) -> Rows:
    g = np.random.default_rng(seed)
    x = g.integers(0, 256, (n, 24)).astype(np.uint8)
    return Rows(np.asarray([str(i) for i in range(n)], dtype=np.str_), {"x": x, "s": g.normal(size=(n, 8))})


def test_pictures_of_bytes_reach_the_program_as_they_are() -> None:
    """A row that is taken apart and put together again is answered as before."""
    program, some = Wide(lambda x, s: x @ torch.arange(24.0).double() + s[:, 0]), rows(5, 0)
    columns = Columns(program, "y", where="here")
    asked = program(program.encode(some), "y").numpy()
    assert columns.outputs(columns.matrix(some)) == pytest.approx(asked, abs=1e-9)


def test_a_linear_fit_gives_each_part_its_share() -> None:
    """Of a linear function: the sum over its values of w (x - mean of the reference)."""
    w, v = (np.random.default_rng(i).normal(size=n) for i, n in ((1, 24), (2, 8)))
    program = Wide(lambda x, s: x @ torch.from_numpy(w) + s @ torch.from_numpy(v))
    one, known = rows(2, 1), rows(400, 2)
    found = fit_lime(program, one, "y", reference=known, grain="part", parts=4, samples=20_000)
    players = program.schema.players(("x", "s"), "part", 4)
    assert found.players == tuple(player.name for player in players)
    shares = {
        "x": (one.fields["x"] / 255 - known.fields["x"].mean(0) / 255) * w,
        "s": (one.fields["s"] - known.fields["s"].mean(0)) * v,
    }
    expected = np.stack([shares[p.field][:, p.within(shares[p.field].shape[1])].sum(1) for p in players], 1)
    off = (found.weights[:, :, 0] - expected) / found.error[:, :, 0]
    assert np.abs(off).max() < 4
    assert np.abs(expected).max() > 20 * found.error.max()
    plain = fit_lime(program, one, "y", reference=known)
    assert plain.players == ("s[t]", "s[t-1..]")  # the picture stays as it is


def test_parts_that_meet_in_a_product_interact_and_no_others() -> None:
    program = Wide(lambda x, s: 5 * x[:, 0] * x[:, 5] + s.sum(1))
    found = pair_interactions(program, rows(2, 1), "y", background=rows(20, 2), grain="part", parts=4)
    d = len(found.players)
    assert d == 8
    first, second = (found.players.index(name) for name in ("x[rows 0-1, columns 0-2]", "x[rows 0-1, columns 3-5]"))
    rest = np.ones((d, d), dtype=bool)
    rest[[first, second], [second, first]] = False
    assert np.abs(found.values[:, first, second, 0]).min() > 1e-3
    assert np.abs(found.values[:, rest, 0]).max() < 1e-9


def test_the_importance_of_a_part_that_is_never_read_is_zero() -> None:
    program, known = Wide(lambda x, s: 3 * x[:, 23] + s[:, 7]), rows(200, 3)
    truth = program(program.encode(known), "y").numpy()[:, 0]
    seen: list[tuple[int, int]] = []
    found = permutation_importance(
        program,
        known,
        "y",
        loss=lambda out: np.square(out[:, 0] - truth),
        grain="part",
        parts=4,
        progress=lambda *done: seen.append(done),
    )
    assert found.players[:2] == ("s[t-6..7]", "x[rows 2-3, columns 3-5]")
    assert (found.values[:2] > 10 * found.error[:2]).all()
    assert (found.values[2:] == 0).all()
    assert seen == [(i, 8) for i in range(1, 9)]
    # Shuffling doubles the variance: the rise is twice that of what was shuffled.
    assert found.values[1] == pytest.approx(2 * 9 * (known.fields["x"][:, 23] / 255).var(), rel=0.15)
