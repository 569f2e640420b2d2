"""The measures beside an explanation: what they are on programs where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.explain import Explanation, attribute
from pellucid.explain.checks import checked
from pellucid.explain.game import Game
from pellucid.testing.games import ToyProgram, network, toy_rows

G = np.random.default_rng(0)
X, B = G.normal(size=(10, 6)), G.normal(size=(50, 6))


def _checks(function, x=X, background=B, program=None, **options):
    program = program or ToyProgram(function, x.shape[1], 1)
    return attribute(program, toy_rows(x), "toy", background=toy_rows(background), checks=True, **options).checks


def test_an_additive_program_fits_and_an_exclusive_or_does_not():
    linear = _checks(lambda z: z @ torch.arange(1.0, 7.0, dtype=torch.float64)[:, None])
    assert linear["additive_fit"] == pytest.approx(1.0, abs=1e-4)
    odd = _checks(lambda z: ((z[:, :4] > 0).sum(1, keepdim=True) % 2).double())
    assert odd["additive_fit"] < 0.4
    assert linear["insertion"] > 0.1
    assert linear["deletion"] > 0.1


def test_a_wrong_order_is_no_better_than_chance():
    program = ToyProgram(lambda z: z @ torch.arange(1.0, 7.0, dtype=torch.float64)[:, None], 6)
    game = Game(
        program,
        "toy",
        program.encode(toy_rows(X)),
        program.encode(toy_rows(B)),
        program.schema.players(program.tasks["toy"].inputs),
    )
    from pellucid.explain.exact import exact_values

    right = exact_values(game, [f"r{i}" for i in range(10)])
    good, bad = (checked(game, right._replace(values=sign * right.values), 0) for sign in (1.0, -1.0))
    assert good["insertion"] > 0.1 > 0 > bad["insertion"]
    assert good["deletion"] > 0.1 > 0 > bad["deletion"]
    assert bad["additive_fit"] < 0 < good["additive_fit"]


def test_mixed_rows_leave_the_manifold_where_columns_go_together():
    column = G.normal(size=(60, 1))
    together = np.hstack([column + 0.01 * G.normal(size=(60, 1)) for _ in range(6)])
    apart = _checks(lambda z: z.sum(1, keepdim=True), together[:8], together[8:])["off_manifold"]
    free = _checks(lambda z: z.sum(1, keepdim=True))["off_manifold"]
    assert apart > 0.7
    assert free < 0.3
    near = _checks(lambda z: z.sum(1, keepdim=True), together[:8], together[8:], value="conditional")["off_manifold"]
    assert near < apart - 0.2


def test_random_weights_give_other_values_and_a_program_that_learned_nothing_is_told():
    class Learned(ToyProgram):
        def randomised(self, seed):
            return ToyProgram(network(np.random.default_rng(seed + 7), 6, 1), 6)

    class Deaf(ToyProgram):
        """Its weights do not matter."""

        def randomised(self, seed):
            return self

    function = network(np.random.default_rng(1), 6, 1)
    assert abs(_checks(function, program=Learned(function, 6))["randomised"]) < 0.6
    assert _checks(function, program=Deaf(function, 6))["randomised"] > 0.9
    assert "randomised" not in _checks(function)


def test_one_player_and_json():
    found = attribute(ToyProgram(lambda z: z, 1), toy_rows(X[:, :1]), "toy", background=toy_rows(B[:, :1]), checks=True)
    assert found.checks["additive_fit"] == pytest.approx(1.0)
    again = Explanation.from_json(found.to_json())
    assert again.checks == found.checks
    plain = attribute(ToyProgram(lambda z: z, 1), toy_rows(X[:, :1]), "toy", background=toy_rows(B[:, :1]))
    assert not {"checks", "warnings", "value"} & plain.to_json().keys()
