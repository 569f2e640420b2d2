"""A right program passes `check_program`; each broken promise is named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pellucid.core.schema import Field, Schema
from pellucid.testing.games import ToyProgram, network, toy_rows
from pellucid.testing.program import check_program

ROWS = toy_rows(np.random.default_rng(0).normal(size=(9, 3)))


def _program(function=None) -> ToyProgram:
    return ToyProgram(function or network(np.random.default_rng(1), 3, 2), 3, 2)


def test_a_right_program_passes():
    check_program(_program(), ROWS)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda x: x[:, 0], "shape"),
        (lambda x: torch.cat([x[:, :1], x[:, 1:2] / 0.0], 1), "finite"),
        (lambda x: x[:, :2].round().long(), "floating"),
        (lambda x: x[:, :2].clone().requires_grad_() * 2, "gradient"),
        (lambda x: x[:, :2] + torch.rand(len(x), 2), "two calls differ"),
        (lambda x: x[:, :2] - x[:, :2].mean(0), "alone"),
        (lambda x: x[:, :2] + torch.linspace(0, 1, len(x))[:, None], "reordered"),
    ],
)
def test_broken_outputs_are_named(function, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_program(_program(function), ROWS)


def test_a_call_that_changes_its_blocks_is_named():
    class Writes(ToyProgram):
        def __call__(self, blocks, task):
            blocks["x0"].mul_(2.0)
            return super().__call__(blocks, task)

    with pytest.raises(AssertionError, match="changed its blocks"):
        check_program(Writes(network(np.random.default_rng(1), 3, 2), 3, 2), ROWS)


def test_an_encoding_that_depends_on_the_batch_is_named():
    class Standardises(ToyProgram):
        def encode(self, rows):
            blocks = super().encode(rows)
            return {name: block - block.mean(0) if len(block) else block for name, block in blocks.items()}

    program = Standardises(network(np.random.default_rng(1), 3, 2), 3, 2)
    check_program(program, ROWS)  # a reordering does not show it ...
    few = program(program.encode(ROWS.take(slice(0, 1))), "toy")
    assert not torch.allclose(few, program(program.encode(ROWS), "toy")[:1])


def test_undeclared_reads_and_unknown_inputs_are_named():
    program = _program()
    task = program.tasks["toy"]
    program._tasks["toy"] = dataclasses.replace(task, inputs=("x0", "x1"))
    with pytest.raises(AssertionError, match="more than its declared inputs"):
        check_program(program, ROWS)
    program._tasks["toy"] = dataclasses.replace(task, inputs=("x0", "nonsense"))
    with pytest.raises(AssertionError, match="nonsense"):
        check_program(program, ROWS)
    program._tasks["toy"] = task
    program._schema = Schema(program.schema.inputs, {"toy": (Field("y0"), Field("other"))})
    with pytest.raises(AssertionError, match="outputs"):
        check_program(program, ROWS)
