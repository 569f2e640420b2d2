"""The effect of do(field): closed form, zero when ignored, joint over lags, bootstrapable."""

from __future__ import annotations

import numpy as np
import pytest
from explained_programs import Mixed, rows

from pellucid.core.errors import DataError, SchemaError
from pellucid.explain import effect_of_do, held_fixed
from pellucid.testing.games import ToyProgram, toy_rows


def test_linear_closed_form():
    """For w z with z normal, the mean absolute deviation is |w| sqrt(2 / pi)."""
    g = np.random.default_rng(0)
    x, donors = g.normal(size=(400, 3)), g.normal(size=(2000, 3))
    program = ToyProgram(lambda z: 5.0 * z[:, :1] - 3.0 * z[:, 1:2], 3)
    for draws in (2, 16):
        effect = effect_of_do(program, toy_rows(x), "toy", "x1", donors=toy_rows(donors), draws=draws)
        assert effect.raw[0] == pytest.approx(3.0 * np.sqrt(2 / np.pi), rel=0.08)
        assert effect.per_row.shape == (400, 1)
        assert effect.sd[0] == pytest.approx((5.0 * x[:, 0] - 3.0 * x[:, 1]).std(ddof=1))
        assert effect.relative[0] == pytest.approx(effect.raw[0] / effect.sd[0])


def test_zero_iff_the_outputs_ignore_the_field():
    ignored = effect_of_do(Mixed(volume=0.0), rows(50), "forecast", "volume", donors=rows(80, seed=1))
    assert ignored.raw.max() < 1e-6
    x = toy_rows(np.random.default_rng(3).normal(size=(60, 3)))
    bare = ToyProgram(lambda z: (2.0 * z[:, 0] - z[:, 0] * z[:, 2])[:, None], 3)
    assert effect_of_do(bare, x, "toy", "x1", donors=x).raw.tolist() == [0.0]  # exactly
    read = effect_of_do(Mixed(volume=1.0), rows(50), "forecast", "volume", donors=rows(80, seed=1))
    assert read.raw.min() > 0.05
    unread = effect_of_do(Mixed(), rows(50), "risk", "volume", donors=rows(80, seed=1))
    assert unread.raw.tolist() == [0.0]
    assert unread.relative.tolist() == [0.0]


def test_halving_the_influence_halves_a_linear_effect():
    x, donors = (
        toy_rows(np.random.default_rng(1).normal(size=(60, 2))),
        toy_rows(np.random.default_rng(2).normal(size=(90, 2))),
    )
    effects = [
        effect_of_do(ToyProgram(lambda z, w=w: z[:, :1] + w * z[:, 1:], 2), x, "toy", "x1", donors=donors, seed=4).raw[
            0
        ]
        for w in (1.0, 0.5)
    ]
    assert effects[1] == pytest.approx(effects[0] / 2)


def test_all_lags_are_replaced_together_by_values_that_occurred():
    seen = []

    class Watches(Mixed):
        def __call__(self, blocks, task):
            seen.append(blocks["volume"].clone())
            return super().__call__(blocks, task)

    donors = rows(6, seed=1)
    effect_of_do(Watches(), rows(3), "forecast", "volume", donors=donors, draws=5)
    occurred = {tuple(v) for v in donors.fields["volume"].astype(np.float32).tolist()}
    assert {tuple(v) for block in seen[1:] for v in block.numpy().tolist()} <= occurred
    assert len(seen) == 1 + 5


def test_same_seed_same_numbers_and_a_moved_constant():
    program = Mixed()
    one, two, other = (
        effect_of_do(program, rows(9), "forecast", "volume", donors=rows(20, seed=1), seed=s) for s in (0, 0, 1)
    )
    assert np.array_equal(one.per_row, two.per_row)
    assert not np.array_equal(one.per_row, other.per_row)
    constant = toy_rows(np.ones((4, 1)))
    moved = effect_of_do(ToyProgram(lambda z: z, 1), constant, "toy", "x0", donors=toy_rows(np.arange(8.0)[:, None]))
    assert np.isinf(moved.relative[0])


def test_held_fixed():
    program = Mixed()
    blocks = program.encode(rows(6))
    own = held_fixed(program, rows(6), "forecast", "volume", blocks["volume"])
    assert np.allclose(own, program(blocks, "forecast"), atol=1e-6)
    fixed = held_fixed(program, rows(6), "forecast", "volume", blocks["volume"][:1])
    swapped = {**rows(6).fields, "volume": rows(6).fields["volume"][:1].repeat(6, 0)}
    expected = program(program.encode(type(rows(6))(rows(6).keys, swapped)), "forecast")
    assert np.allclose(fixed, expected, atol=1e-6)
    with pytest.raises(SchemaError, match="shape"):
        held_fixed(program, rows(6), "forecast", "volume", blocks["volume"][:, :2])


def test_bad_input_is_named():
    with pytest.raises(SchemaError, match="did you mean 'volume'"):
        effect_of_do(Mixed(), rows(4), "forecast", "volme", donors=rows(4))
    with pytest.raises(SchemaError, match="no task"):
        effect_of_do(Mixed(), rows(4), "nothing", "volume", donors=rows(4))
    with pytest.raises(DataError, match="at least 2 donors"):
        effect_of_do(Mixed(), rows(4), "forecast", "volume", donors=rows(1))
