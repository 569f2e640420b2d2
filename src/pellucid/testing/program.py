"""`check_program`: what every program must keep, learned here or wrapped, before anything else relies on it."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from pellucid.core.program import Differentiable, Joined, Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.schema import Schema
from pellucid.core.task import Task

Blocks = dict[str, Tensor]


def check_program(program: Program, rows: Rows, *, tolerance: float = 1e-5) -> None:
    """Check the contract of `core.program.Program` on at least two rows, and of the optional protocols beside it.

    Args:
        program: what is checked.
        rows: rows that it can be called on, with every field that its tasks read.
        tolerance: largest difference allowed between the same row in different company, relative to the outputs' size
            (matrix products of different shapes round differently).
    Raises:
        AssertionError: says which promise is broken, and how.
    """
    assert isinstance(program, Program), "a program needs `schema`, `tasks`, `encode` and `__call__`."
    assert len(rows) >= 2, f"check_program needs at least 2 rows, not {len(rows)}."
    _check_declarations(program)
    blocks = program.encode(rows)
    _check_encoding(program, rows, blocks)
    for name, task in program.tasks.items():
        _check_outputs(program, blocks, task)
        _check_company(program, rows, blocks, name, tolerance)
        _check_only_inputs_are_read(program, blocks, task)
        _check_other_ways(program, blocks, task, tolerance)


def _check_declarations(program: Program) -> None:
    schema = program.schema
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema, "the schema does not survive JSON."
    assert len(set(schema.names)) == len(schema.names), f"input names repeat: {schema.names}."
    for name, task in program.tasks.items():
        assert task.name == name, f"tasks['{name}'] calls itself '{task.name}'."
        unknown = [field for field in task.inputs if field not in schema.names]
        assert not unknown, f"task '{name}' reads fields that the schema lacks: {unknown}."
        assert len(set(task.outputs)) == len(task.outputs) > 0, f"task '{name}' has outputs {task.outputs}."
        declared = tuple(field.name for field in schema.outputs.get(name, ()))
        assert declared == task.outputs, f"task '{name}': outputs {task.outputs}, in the schema {declared}."
        again_task = Task.from_json(json.loads(json.dumps(task.to_json())))
        assert again_task == task, f"task '{name}' does not survive JSON."


def _check_encoding(program: Program, rows: Rows, blocks: Blocks) -> None:
    needed = {field for task in program.tasks.values() for field in task.inputs}
    missing = sorted(needed - blocks.keys())
    assert not missing, f"encode gives no block for {missing}."
    for name, block in blocks.items():
        assert block.shape[:-1] == (len(rows),), f"block '{name}' has shape {tuple(block.shape)}."
        assert block.is_floating_point(), f"block '{name}' is {block.dtype}, not floating point."
        assert not block.requires_grad, f"block '{name}' requires a gradient."
    again = program.encode(rows)
    changed = [name for name in blocks if not torch.equal(_bits(blocks[name]), _bits(again[name]))]
    assert not changed, f"encode is not deterministic: {changed}."
    for n in (0, 1):
        few = program.encode(rows.take(slice(0, n)))
        for name, block in few.items():
            assert block.shape == (n, blocks[name].shape[1]), f"{n} rows: block '{name}' is {tuple(block.shape)}."


def _check_outputs(program: Program, blocks: Blocks, task: Task) -> None:
    before = {name: block.clone() for name, block in blocks.items()}
    out = program(blocks, task.name)
    n = len(next(iter(blocks.values())))
    assert out.shape == (n, len(task.outputs)), (
        f"task '{task.name}': shape {tuple(out.shape)}, not {n, len(task.outputs)}."
    )
    assert out.is_floating_point(), f"task '{task.name}': {out.dtype} is not floating point."
    assert bool(torch.isfinite(out).all()), f"task '{task.name}': outputs are not finite."
    assert not out.requires_grad, f"task '{task.name}': the outputs keep a gradient."
    touched = [name for name in blocks if not torch.equal(_bits(before[name]), _bits(blocks[name]))]
    assert not touched, f"task '{task.name}': the call changed its blocks {touched}."
    assert torch.equal(out, program(blocks, task.name)), f"task '{task.name}': two calls differ."


def _check_company(program: Program, rows: Rows, blocks: Blocks, task: str, tolerance: float) -> None:
    """A row's outputs depend on that row alone: not on its place, nor on how many others are asked about."""
    out = program(blocks, task)
    scale = float(out.abs().max()) or 1.0
    order = torch.from_numpy(stream(0, "check_program/order").permutation(len(out)))
    for what, found in (
        ("blocks reordered", program({name: block[order] for name, block in blocks.items()}, task)),
        ("rows reordered", program(program.encode(rows.take(order.numpy())), task)),
    ):
        worst = float((found - out[order]).abs().max()) / scale
        assert worst <= tolerance, f"task '{task}': {what}, outputs move by {worst:.2g} of their size."
    for i in np.linspace(0, len(out) - 1, min(len(out), 8)).astype(int).tolist():
        alone = program({name: block[i : i + 1] for name, block in blocks.items()}, task)
        assert alone.shape == (1, out.shape[1]), f"task '{task}': one row gives shape {tuple(alone.shape)}."
        worst = float((alone[0] - out[i]).abs().max()) / scale
        assert worst <= tolerance, f"task '{task}': row {i} alone, outputs move by {worst:.2g} of their size."
    none = program({name: block[:0] for name, block in blocks.items()}, task)
    assert none.shape == (0, out.shape[1]), f"task '{task}': no rows give shape {tuple(none.shape)}."


def _check_only_inputs_are_read(program: Program, blocks: Blocks, task: Task) -> None:
    """Explanations pass a task only the blocks that it declares."""
    declared = {name: blocks[name] for name in task.inputs}
    try:
        out = program(declared, task.name)
    except Exception as error:
        raise AssertionError(f"task '{task.name}' reads more than its declared inputs: {error!r}.") from error
    assert torch.equal(out, program(blocks, task.name)), f"task '{task.name}' reads more than its declared inputs."


def _check_other_ways(program: Program, blocks: Blocks, task: Task, tolerance: float) -> None:
    """What a program offers besides (`Joined`, `Differentiable`) answers as the call does."""
    given = {name: blocks[name] for name in task.inputs}
    out = program(given, task.name)
    scale = float(out.abs().max()) or 1.0
    if isinstance(program, Joined) and len({block.dtype for block in given.values()}) == 1:
        answer = program.joined(task.name, {name: block.shape[1] for name, block in given.items()})
        together = torch.cat(list(given.values()), dim=1)
        for n in (0, 1, len(together)):
            found = answer(together[:n])
            assert found.shape == out[:n].shape, f"task '{task.name}': joined, {n} rows give {tuple(found.shape)}."
            worst = float((found - out[:n]).abs().max()) / scale if n else 0.0
            assert worst <= tolerance, f"task '{task.name}': joined, outputs differ by {worst:.2g} of their size."
    if isinstance(program, Differentiable):
        kept = {name: block.clone().requires_grad_() for name, block in given.items()}
        found = program.differentiable(kept, task.name)
        worst = float((found.detach() - out).abs().max()) / scale
        assert worst <= tolerance, f"task '{task.name}': differentiable, outputs differ by {worst:.2g} of their size."
        assert found.requires_grad, f"task '{task.name}': differentiable, but no gradient reaches the blocks."


def _bits(block: Tensor) -> Tensor:
    """Compares missing values (NaN) as equal."""
    return torch.nan_to_num(block, nan=1.2345e30)
