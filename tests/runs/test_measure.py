"""What a correction is measured by, on programs whose effects are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.assemble import problem
from pellucid.explain import effect_of_do
from pellucid.runs.artefact import load_program
from pellucid.runs.measure import FieldEffect, TrainingSpace, compare_fixed, field_effect, held_fixed, typical_block
from tiny_programs import bank_spec, leaky, market_spec


@pytest.fixture(scope="module")
def market_program(fitted_market):
    rows = problem(market_spec().within(fitted_market.folder)).rows
    return load_program(fitted_market.store, fitted_market.store.resolve("market")), rows


@pytest.fixture(scope="module")
def bank_program(fitted_bank):
    return load_program(fitted_bank.store, fitted_bank.store.resolve("bank")), problem(bank_spec(), leaky()).rows


def test_the_training_space_takes_the_volatility_out(market_program):
    program, rows = market_program
    space, blocks = TrainingSpace(program), program.encode(rows)
    for name, back in (("forecast", lambda z: z * rows.extra["sigma"][:, None]),
                       ("risk", lambda z: z + 2 * np.log(rows.extra["sigma"])[:, None])):  # fmt: skip
        z = space(blocks, name).double().numpy()
        assert back(z) == pytest.approx(program(blocks, name).double().numpy(), rel=1e-4, abs=1e-6)
    assert space.tasks is program.tasks
    assert space.schema is program.schema


def test_the_effect_is_the_mean_over_rows_in_sds_of_the_output(bank_program):
    program, rows = bank_program
    found = field_effect(program, rows, rows, "y", "leak", block=1, seed=3)
    raw = effect_of_do(TrainingSpace(program), rows, "y", "leak", donors=rows, draws=16, seed=3)
    assert found.value == pytest.approx((raw.raw / raw.sd)[0])
    assert found.low < found.value < found.high
    assert found.present
    again = field_effect(program, rows, rows, "y", "leak", block=1, seed=3)
    assert again == found


def test_no_effect_of_a_field_that_is_not_read(bank_program, market_program):
    program, rows = bank_program
    encoder = program.network.encoders["_city"].project
    kept = encoder.weight.detach().clone()
    with torch.no_grad():
        encoder.weight.zero_()
    found = field_effect(program, rows, rows, "y", "city", block=1, seed=0)
    with torch.no_grad():
        encoder.weight.copy_(kept)
    assert (found.value, found.low, found.high, found.present) == (0.0, 0.0, 0.0, False)
    assert not FieldEffect(0.05, 0.009, 0.1).present
    assert FieldEffect(0.05, 0.011, 0.1).present


def test_a_typical_block_really_occurred(market_program):
    program, rows = market_program
    block = typical_block(program, rows, "volume")
    all_blocks = program.encode(rows)["volume"]
    assert block.shape == (1, 5)
    assert (all_blocks == block).all(1).any()
    distance = (all_blocks - all_blocks.mean(0)).square().sum(1)
    assert distance.min() == (block - all_blocks.mean(0)).square().sum()


def test_held_fixed_is_the_program_on_rows_with_that_value(bank_program):
    program, rows = bank_program
    block = typical_block(program, rows, "leak")
    raw = program.encoding.decode("leak", block).item()
    frame = leaky().assign(leak=raw)
    expected = program(program.encode(problem(bank_spec(), frame.assign(leak=np.r_[raw + 1, [raw] * 299])).rows), "y")
    expected = expected * program.tasks["y"].options.get("temperature", 1.0)  # measured where the task is learned
    found = held_fixed(program, rows, "y", "leak", block)
    assert found[1:] == pytest.approx(expected.double().numpy()[1:], abs=1e-4)


def test_correlation_and_spread_per_output():
    g = np.random.default_rng(0)
    a = np.stack([g.normal(size=50), g.normal(size=50), np.full(50, 0.3)], 1)
    b = np.stack([3.0 - 2.0 * a[:, 0], np.full(50, 1.0), g.normal(size=50)], 1)
    first, second, third = compare_fixed(("x", "y", "z"), a, b)
    assert (first["correlation"], first["spread"]) == (pytest.approx(-1.0), pytest.approx(2.0))
    assert (second["correlation"], second["spread"]) == (None, 0.0)
    assert (third["correlation"], third["spread"]) == (None, None)  # a constant base has nothing to keep
    rounding = np.full(50, 0.3) + 1e-8 * g.normal(size=50)
    assert compare_fixed(("x",), rounding[:, None], a[:, :1])[0]["spread"] is None
