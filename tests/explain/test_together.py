"""Groups of fields as one player: values of the smaller game, for every method, and errors by name."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import pellucid
from pellucid.cli.main import main
from pellucid.core.errors import SchemaError
from pellucid.core.rows import Rows
from pellucid.explain import attribute
from pellucid.nn.foreign import ForeignProgram, wrap

NAMES = list("abcde")
GROUPS = {"money": ["a", "d"], "rest": ["e", "b"]}


def formula(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return x[:, 0] * x[:, 3] + np.maximum(x[:, 1], x[:, 2]) + x[:, 0] * x[:, 4] * x[:, 2]


@pytest.fixture(scope="module")
def made() -> tuple[ForeignProgram, Rows]:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 5)), columns=NAMES)
    program = wrap(formula, inputs=table, outputs=["score"])
    return program, program.rows(table)


def brute(row: npt.NDArray[np.float64], background: npt.NDArray[np.float64], groups: list[list[int]]) -> list[float]:
    """Shapley values by the definition: over all orders of the groups."""
    worth = {}
    for size in range(len(groups) + 1):
        for some in itertools.combinations(range(len(groups)), size):
            mixed = background.copy()
            for player in some:
                mixed[:, groups[player]] = row[groups[player]]
            worth[some] = float(formula(mixed).mean())
    values = [0.0] * len(groups)
    for order in itertools.permutations(range(len(groups))):
        for i, player in enumerate(order):
            before, after = tuple(sorted(order[:i])), tuple(sorted(order[: i + 1]))
            values[player] += (worth[after] - worth[before]) / math.factorial(len(groups))
    return values


@pytest.mark.parametrize("method", ["exact", "permutation", "regression"])
def test_values_are_those_of_the_game_of_groups(method: str, made: tuple[ForeignProgram, Rows]) -> None:
    program, rows = made
    one = rows.take(slice(0, 1))
    found = attribute(program, one, "predict", background=rows, together=GROUPS, method=method, evaluations=20_000)
    assert found.players == ("money", "rest", "c")
    matrix = np.stack([rows.fields[name] for name in NAMES], axis=1).astype(float)
    right = brute(matrix[0], matrix, [[0, 3], [1, 4], [2]])
    allowed = 1e-6 if method == "exact" else 4 * found.error[0, :, 0].max() + 1e-6
    assert np.abs(found.values[0, :, 0] - right).max() <= allowed
    assert found.inputs[0, 0] == f"{matrix[0, 0]:.3g}, {matrix[0, 3]:.3g}"


def test_a_group_of_all_fields_takes_all_and_no_group_changes_nothing(made: tuple[ForeignProgram, Rows]) -> None:
    program, rows = made
    every = attribute(program, rows, "predict", background=rows, together={"all": NAMES})
    assert np.allclose(every.values[:, 0], every.prediction - every.base)
    plain, none = (attribute(program, rows, "predict", background=rows, together=g) for g in (None, {}))
    assert (plain.values == none.values).all()


@pytest.mark.parametrize(
    ("groups", "said", "mend"),
    [
        ({"money": ["a", "bb"]}, "'bb' is no field", "b"),
        ({"x": ["a", "b"], "y": ["b"]}, "'b' is in two groups", "one player"),
        ({"c": ["a", "b"]}, "'c' is the name of a field", "another name"),
        ({"x": []}, "'x' is no list", "names of the fields"),
        ({"x": "ab"}, "'x' is no list", "names of the fields"),
    ],
)
def test_groups_that_cannot_be(groups: Any, said: str, mend: str, made: tuple[ForeignProgram, Rows]) -> None:
    program, rows = made
    with pytest.raises(SchemaError, match=said) as error:
        attribute(program, rows, "predict", background=rows, together=groups)
    assert mend in error.value.mend


def test_of_a_learned_program_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(80, 3)), columns=["income", "debt", "age"])
    table["city"] = draw.choice(["rome", "oslo"], 80)
    table["paid"] = np.where(table["income"] - table["debt"] > 0, "yes", "no")
    file = tmp_path / "loans.csv"
    table.to_csv(file, index=False)
    pellucid.fit(
        data=str(file), target="paid", store=tmp_path / "s", overrides=["train.updates=20", "evidence.folds=2"]
    )
    asked = ["explain", "loans@1", "--at", "3", "--together", "money=income,debt", "--together", "who=age,city"]
    assert main([*asked, "--store", str(tmp_path / "s"), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "money" in out
    assert "who" in out
    assert "income" not in out.split("Next")[0].replace("money", "")
    assert main([*asked[:4], "--together", "money", "--store", str(tmp_path / "s")]) == 2
    assert "'money' is no NAME=FIELD,FIELD" in capsys.readouterr().err
