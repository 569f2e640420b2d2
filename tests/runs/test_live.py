"""Live programs on a table that a person gives: one identity per row, labels as each program spells them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from pellucid.assemble import problem
from pellucid.core.errors import DataError, SchemaError
from pellucid.data.tables import read_table
from pellucid.nn.foreign import wrap
from pellucid.review.sides import Side
from pellucid.runs.artefact import load_program
from pellucid.runs.live import fingerprint, live_rows, live_side, paired
from tiny_programs import bank_spec, leaky


@pytest.fixture(scope="module")
def learned(fitted_bank):
    return load_program(fitted_bank.store, fitted_bank.store.resolve("bank"))


def foreign(y, name="foreign"):
    frame = leaky()
    model = LogisticRegression().fit(frame[["a", "b"]], y(frame["y"]))
    return wrap(model, inputs=["a", "b"], name=name)


def test_keys_are_those_of_the_fit(learned):
    rows = live_rows(learned, leaky(), "y")
    assert rows.keys.tolist() == problem(bank_spec(), leaky()).rows.keys.tolist()
    assert rows.targets["target"].tolist() == leaky()["y"].tolist()
    theirs = live_rows(foreign(lambda y: y), leaky(), "y")
    assert theirs.keys.tolist() == rows.keys.tolist()
    assert set(theirs.fields) == {"a", "b"}
    frame = leaky(50).assign(no=[f"n{i}" for i in range(50)])
    assert live_rows(learned, frame, "y", "no").keys.tolist() == frame["no"].tolist()
    assert live_rows(learned, frame, "y", "no").keys.tolist() == read_table(frame, "y", "no").rows.keys.tolist()
    plain = live_rows(learned, leaky())
    assert plain.targets == {}
    assert live_rows(learned, plain) is plain


@pytest.mark.parametrize(("spelt", "given"), [
    (lambda y: y == "yes", lambda y: y == "yes"),
    (lambda y: y == "yes", lambda y: (y == "yes").astype(int)),
    (lambda y: (y == "yes").astype(int), lambda y: y == "yes"),
    (lambda y: (y == "yes").astype(float), lambda y: (y == "yes").astype(int)),
    (lambda y: (y == "yes").astype(int), lambda y: (y == "yes").astype(float)),
    (lambda y: y, lambda y: y),
])  # fmt: skip
def test_truth_values_and_numbers_are_one_class_however_spelt(spelt, given):
    program = foreign(spelt)
    rows = live_rows(program, leaky().assign(y=given(leaky()["y"])), "y")
    classes = program.tasks["predict"].options["classes"]
    assert rows.targets["predict"].tolist() == [classes[int(v == "yes")] for v in leaky()["y"]]


def test_what_cannot_be_read_is_named(learned):
    with pytest.raises(DataError, match="no column 'cit' \\(target\\)") as caught:
        live_rows(learned, leaky(), "cit")
    assert "did you mean 'city'" in str(caught.value)
    with pytest.raises(DataError, match="'y' holds 'maybe'; the program knows no, yes"):
        live_rows(learned, leaky().assign(y="maybe"), "y")
    with pytest.raises(SchemaError, match="'leak'"):
        live_rows(learned, leaky().drop(columns="leak"), "y")


def test_a_side_is_known_by_its_outputs(learned):
    rows = live_rows(learned, leaky(), "y")
    one, again = live_side("x", learned, rows), live_side("y", learned, rows)
    assert one.sha == again.sha
    fewer = live_side("x", learned, rows.take(slice(0, 299)))
    assert fewer.sha != one.sha
    table = one.outputs["y"]
    moved = table.assign(**{"out:yes": table["out:yes"] + 1e-12})
    assert fingerprint([moved]) != fingerprint([table])
    assert fingerprint([table.rename(columns={"out:yes": "out:no"})]) != fingerprint([table])


def test_two_only_tasks_are_a_pair():
    table, task = pd.DataFrame({"key": ["a"]}), foreign(lambda y: y).tasks["predict"]
    a = Side("a", "1", {"y": task}, {"y": table})
    b = Side("b", "2", {"predict": task}, {"predict": table})
    assert list(paired(a, b)[1].outputs) == ["y"]
    more = Side("b", "2", {"predict": task, "other": task}, {"predict": table, "other": table})
    assert paired(a, more) == (a, more)
    assert paired(more, a) == (more, a)
    assert np.array_equal(paired(a, b)[1].outputs["y"], table)
