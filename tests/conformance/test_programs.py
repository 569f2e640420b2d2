"""Learned programs keep the contract: every kind of field and of task, untrained."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.data.encoding import Encoding
from pellucid.nn.network import Network
from pellucid.nn.outputs import ALL
from pellucid.nn.program import NetworkProgram
from pellucid.testing.program import check_program

FIELDS = (
    Field("return", "series", 6),
    Field("level"),
    Field("gap"),  # has missing values
    Field("sector", "category", categories=("bank", "oil")),
    Field("member", "boolean"),
)
NAMES = tuple(field.name for field in FIELDS)
TASKS = {
    "classify": Task("classify", "classify", NAMES, ("a",), "logit", "log_loss", options={"classes": ["b", "a"]}),
    "regress": Task("regress", "regress", NAMES, ("y",), "EUR", "squared_error", options={"mean": 2.0, "sd": 3.0}),
    "multilabel": Task(
        "multilabel", "multilabel", NAMES, ("a", "b"), "logit", "label_loss", options={"classes": ["a", "b"]}
    ),
    "ordinal": Task(
        "ordinal", "ordinal", NAMES, (">low", ">mid"), "logit", "rank_loss", options={"classes": ["low", "mid", "high"]}
    ),
    "quantiles": Task(
        "quantiles", "regress", NAMES, ("q10", "q90"), "EUR", "pinball",
        options={"quantiles": [0.1, 0.9], "mean": 2.0, "sd": 3.0},
    ),
    "distribution": Task(
        "distribution", "regress", NAMES, ("mean", "sd"), "EUR", "nll",
        options={"distribution": "normal", "mean": 2.0, "sd": 3.0},
    ),
    "horizons": Task(
        "horizons", "horizons", ("return", "level"), tuple(f"h{h}_q{q}" for h in (1, 2) for q in (10, 50, 90)), "EUR",
        "mase",
        options={"quantiles": [0.1, 0.5, 0.9], "horizon": 2, "level": "level", "scale": "level", "transform": "none"},
    ),
    "forecast": Task(
        "forecast", "forecast", ("return", "level"), ("q10", "q50", "q90"), "log return", "pinball",
        options={"quantiles": [0.1, 0.5, 0.9]},
    ),
    "volatility": Task("volatility", "volatility", ("return", "level"), ("v",), "log variance", "qlike"),
    "control": Task(
        "control", "control", NAMES, ("down", "up", "value"), "logit", "negative_reward",
        options={"actions": 2, "space": "discrete"},
    ),
}  # fmt: skip


def _rows(n: int) -> Rows:
    g = np.random.default_rng(0)
    gap = g.normal(size=n)
    gap[::3] = np.nan
    fields = {
        "return": g.normal(size=(n, 6)),
        "level": g.normal(-4.0, 0.3, n),
        "gap": gap,
        "sector": g.choice(["bank", "oil", "unseen"], n),
        "member": g.random(n) > 0.5,
    }
    return Rows(np.asarray([f"r{i}" for i in range(n)], dtype=np.str_), fields)


def test_every_kind_of_task_is_here():
    assert set(TASKS) == set(ALL)


@pytest.mark.parametrize("kind", TASKS)
def test_network_program(kind):
    rows, task = _rows(30), TASKS[kind]
    encoding = Encoding.fit(FIELDS, rows)
    network = Network(
        {name: scale.columns for name, scale in encoding.scales.items()},
        {kind: task.inputs},
        {kind: ALL[kind].head_widths(task)},
        width=16,
    )
    schema = Schema(FIELDS, {kind: tuple(Field(name) for name in task.outputs)})
    check_program(NetworkProgram(network, schema, {kind: task}, encoding), rows)
