"""NetworkProgram: what check_program does not ask for."""

import numpy as np
import pytest
import torch

from pellucid import adapt
from pellucid.core.errors import SchemaError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.data.encoding import Encoding
from pellucid.nn.network import Network
from pellucid.nn.outputs import ALL
from pellucid.nn.program import NetworkProgram

FIELDS = (Field("x"), Field("position"))
TASKS = {
    "price": Task("price", "regress", ("x",), ("y",), "EUR", "squared_error", options={"mean": 1.0, "sd": 2.0}),
    "act": Task(
        "act", "control", ("x", "position"), ("a", "b", "value"), "logit", "negative_reward",
        options={"space": "discrete", "actions": 2, "value_scale": 3.0},
    ),
}  # fmt: skip


def _program(seed: int = 0) -> tuple[NetworkProgram, Rows]:
    g = np.random.default_rng(0)
    rows = Rows(np.asarray(list("abcde")), {"x": g.normal(size=5), "position": g.normal(size=5)})
    encoding = Encoding.fit(FIELDS, rows)
    network = Network(
        {name: s.columns for name, s in encoding.scales.items()},
        {name: t.inputs for name, t in TASKS.items()},
        {name: ALL[t.kind].head_widths(t) for name, t in TASKS.items()},
        width=8,
        seed=seed,
    )
    schema = Schema(FIELDS, {n: tuple(Field(o, unit=t.unit) for o in t.outputs) for n, t in TASKS.items()})
    return NetworkProgram(network, schema, TASKS, encoding), rows


def test_outputs_are_those_of_the_network_in_units():
    program, rows = _program()
    blocks = program.encode(rows)
    raw = program.network(blocks, "price")["out"]
    torch.testing.assert_close(program(blocks, "price"), raw.detach() * 2.0 + 1.0)
    torch.testing.assert_close(
        program(blocks, "act")[:, 2], 3.0 * program.network(blocks, "act")["value"][:, 0].detach()
    )


def test_missing_inputs_and_unknown_tasks_are_named():
    program, rows = _program()
    blocks = program.encode(rows)
    del blocks["position"]
    program(blocks, "price")
    with pytest.raises(SchemaError, match="lack 1 of 2 inputs of 'act': position"):
        program(blocks, "act")
    with pytest.raises(SchemaError, match="no task 'prize'") as caught:
        program(blocks, "prize")
    assert "did you mean 'price'?" in str(caught.value)


def test_a_delta_changes_the_outputs_and_not_the_count():
    program, rows = _program()
    blocks, count = program.encode(rows), program.parameter_count()
    before = program(blocks, "price")
    delta = adapt.build("lora", {"rank": 1, "seed": 1, "targets": ()})
    delta.attach(program.network)
    changed = NetworkProgram(program.network, program.schema, TASKS, program.encoding, (delta,))
    with torch.no_grad():
        for p in delta.parameters().values():
            p.add_(0.3)
    assert not torch.equal(changed(blocks, "price"), before)
    assert changed.parameter_count() == count
    delta.detach()
    assert torch.equal(program(blocks, "price"), before)


def test_the_program_keeps_its_own_list_of_tasks():
    program, _ = _program()
    given = dict(TASKS)
    again = NetworkProgram(program.network, program.schema, given, program.encoding)
    given.clear()
    assert set(again.tasks) == {"price", "act"}
