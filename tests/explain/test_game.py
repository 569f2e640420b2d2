"""What a coalition mixes, and that the program is called in small batches on rows encoded once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from explained_programs import GROUPS, SCHEMA, Mixed, rows

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.schema import Field, Schema
from pellucid.explain import Game, attribute
from pellucid.testing.games import ToyProgram, brute_force, network, toy_rows


def _game(task="forecast", grain="group"):
    program = Mixed()
    x, background = program.encode(rows(5)), program.encode(rows(7, seed=1))
    return program, x, background, Game(program, task, x, background, SCHEMA.players(program.tasks[task].inputs, grain))


def test_a_coalition_keeps_exactly_its_players_columns():
    program, x, background, game = _game()
    names = [player.name for player in game.players]
    assert names == ["return[t]", "return[t-1..]", "volume[t]", "volume[t-1..]", "level", "sector"]
    masks = torch.tensor([[True, False, False, True, False, True]])
    mixed = {name: background[name][2:3].clone() for name in SCHEMA.names}
    mixed["return"][:, :1] = x["return"][3:4, :1]
    mixed["volume"][:, 1:] = x["volume"][3:4, 1:]
    mixed["sector"] = x["sector"][3:4]  # a category moves as a whole
    found = game(masks, torch.tensor([2]), torch.tensor([3]))
    assert torch.equal(found, program(mixed, "forecast").double())


def test_mixing_chooses_bit_by_bit():
    """Whatever the numbers are: NaN, infinity and minus zero are neither changed nor spread."""
    odd = torch.tensor([[float("nan"), 1.5], [float("inf"), -0.0], [0.0, 3e-42]])
    for dtype in (torch.float32, torch.float64):
        x, background = odd.to(dtype), odd.flip(0).to(dtype)
        program = ToyProgram(lambda z: torch.zeros(len(z), 1), 2)
        blocks = [{"x0": a[:, :1], "x1": a[:, 1:]} for a in (x, background)]
        game = Game(program, "toy", *blocks, program.schema.players(("x0", "x1")))
        masks = torch.tensor([[True, False], [False, True], [True, True], [False, False]])
        which, of = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 0, 1, 1])
        expected = torch.where(masks, x[of], background[which])
        found = game.mixed(masks, which, of)
        assert found.dtype == dtype
        assert found.numpy().tobytes() == expected.numpy().tobytes()


@pytest.mark.parametrize("d", [3, 127, 128, 200])
def test_steps_of_walks_are_their_coalitions(d):
    """As if each had been masked by itself, in grouped columns and more players than a byte can number."""
    g = np.random.default_rng(d)
    program = ToyProgram(network(g, 2 * d, 2), 2 * d, 2)
    names = program.tasks["toy"].inputs
    x, background = (torch.from_numpy(g.normal(size=(n, 2 * d))) for n in (2, 3))
    blocks = [{name: a[:, i : i + 1] for i, name in enumerate(names)} for a in (x, background)]
    pairs = program.schema.players(names)
    players = [pairs[2 * i]._replace(others=(pairs[2 * i + 1],)) for i in range(d)]
    game = Game(program, "toy", *blocks, players)
    places = torch.from_numpy(np.argsort(g.random((4, d)), axis=-1))
    which, rows = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 0, 1, 0])
    walk = torch.arange(4).repeat_interleave(d - 1)
    size = torch.arange(1, d).repeat(4)
    masks = places[walk] < size[:, None]
    assert masks.sum(1).tolist() == size.tolist()
    assert torch.equal(game.stepped(places, walk, size, which, rows), game(masks, which[walk], rows[walk]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_found_and_large_ones_are_not_taken_for_them(bad):
    def game_of(function):
        program = ToyProgram(function, 2)
        blocks = [program.encode(toy_rows(a)) for a in (np.ones((1, 2)), np.zeros((3, 2)))]
        return Game(program, "toy", *blocks, program.schema.players(("x0", "x1")))

    game = game_of(lambda z: torch.full((len(z), 1), 1.5e308, dtype=torch.float64))
    assert float(game.ends.min()) == 1.5e308  # though their sum is infinite
    with pytest.raises(DataError, match="NaN or infinite"):
        assert game_of(lambda z: torch.where(z[:, :1] > 0, bad, 1.0)).outputs(torch.ones(3, 2).double()) is None


def test_players_that_do_not_differ_are_not_walked_and_gain_nothing():
    g = np.random.default_rng(0)
    x, background = g.integers(0, 2, size=(4, 6)).astype(float), g.integers(0, 2, size=(25, 6)).astype(float)
    x[0] = background[:] = background[0]  # a row and a background that are all the same
    x[1], background[:, 3] = background[5], 7.0
    function = network(np.random.default_rng(1), 6, 2)
    truth = brute_force(function, x, background)
    full = 4 * 25 * (2**6 - 2) + 25 + 4
    exact = attribute(ToyProgram(function, 6, 2), toy_rows(x), "toy", background=toy_rows(background), method="exact")
    assert np.abs(exact.values - truth).max() < 1e-12
    assert exact.evaluations < full / 4
    found = attribute(
        ToyProgram(function, 6, 2),
        toy_rows(x),
        "toy",
        background=toy_rows(background),
        evaluations=9000,
        method="permutation",
    )
    assert (np.abs(found.values - truth) <= 6 * found.error + 1e-9).all()
    assert np.abs(found.residual).max() < 1e-12


def test_full_and_empty_coalitions():
    program, x, background, game = _game()
    which = torch.arange(7)
    none = game(torch.zeros(7, game.d, dtype=torch.bool), which)
    every = game(torch.ones(7, game.d, dtype=torch.bool), which, torch.full((7,), 4))
    assert torch.equal(none, program(background, "forecast").double())
    assert torch.allclose(every, program(x, "forecast").double()[4].expand(7, -1), atol=1e-6)
    assert game.evaluations == 14


def test_encoded_once_and_called_in_small_batches():
    program = Mixed()
    found = attribute(program, rows(4), "forecast", background=rows(50, seed=1), method="exact")
    assert program.encoded == 2
    assert program.largest <= 2048
    sectors = rows(50, seed=1).fields["sector"]
    equal = sum(int((sectors == own).sum()) for own in rows(4).fields["sector"])
    # where row and background row have the same sector, half of the coalitions are the same as the other half
    assert found.evaluations == 4 * 50 * (2**6 - 2) - equal * 2**5 + 50 + 4 + 16
    assert program.calls < 20


def test_groups_must_cover_the_block_once():
    program = Mixed()
    x = program.encode(rows(3))
    for groups, complaint in (
        ((("a", 0, 2),), "belongs to no player"),
        ((("a", 0, 3), ("b", 2, 4)), "belongs to 2 players"),
    ):
        fields = tuple(dataclasses.replace(f, groups=groups) if f.name == "volume" else f for f in SCHEMA.inputs)
        players = Schema(fields, SCHEMA.outputs).players(SCHEMA.names)
        with pytest.raises(SchemaError, match=complaint) as caught:
            Game(program, "forecast", x, x, players)
        assert "volume" in str(caught.value)
    assert Field("v", "series", 4, groups=GROUPS).players("field")[0].columns == slice(None)


def test_bad_input_is_named():
    program = Mixed()
    x = program.encode(rows(3))
    players = SCHEMA.players(SCHEMA.names)
    with pytest.raises(SchemaError, match="'level'"):
        Game(program, "forecast", x, {k: v for k, v in x.items() if k != "level"}, players)
    with pytest.raises(SchemaError, match="4 wide in the rows, 3"):
        Game(program, "forecast", x, {**x, "return": x["return"][:, :3]}, players)
    with pytest.raises(DataError, match="no rows"):
        Game(program, "forecast", x, {k: v[:0] for k, v in x.items()}, players)
    with pytest.raises(DataError, match="NaN"):
        attribute(program, rows(2), "risk", background={**x, "level": x["level"] * float("nan")})
