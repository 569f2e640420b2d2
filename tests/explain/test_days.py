"""Days since 1970 are read as dates wherever an explanation shows a value, and still shade by their order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.explain import attribute, counterfactuals, find_rules, fit_lime, fit_surrogate
from pellucid.nn.foreign import wrap

DAYS = Field("opened.days", unit="days since 1970-01-01", column="opened", part="days")
FIRST, LAST = (int(np.datetime64(day, "D").astype(int)) for day in ("2020-01-01", "2021-12-31"))


@pytest.mark.parametrize(
    ("value", "read"),
    [(18434.0, "2020-06-21"), (18434.7, "2020-06-21"), (0.0, "1970-01-01"), (-1.0, "1969-12-31"), (1e9, 1e9)],
)
def test_a_day_is_read_as_numpy_reads_it(value: float, read: float | str) -> None:
    assert DAYS.as_read(value) == read
    assert Field("age").as_read(value) == value
    if isinstance(read, str):
        assert read == str(np.datetime64(int(np.floor(value)), "D"))


def test_what_is_missing_stays_so() -> None:
    assert np.isnan(DAYS.as_read(float("nan")))  # type: ignore[arg-type]


def test_every_explanation_says_the_date() -> None:
    g = np.random.default_rng(0)
    table = pd.DataFrame({"opened.days": np.floor(g.uniform(FIRST, LAST, 200)), "age": g.uniform(20, 80, 200)})
    program = wrap(
        lambda x: np.stack([x[:, 0] > 18500, x[:, 0] <= 18500], 1) * 0.8 + 0.1,
        inputs=Schema((DAYS, Field("age")), {}),
        outputs=["late", "early"],
        kind="classify",
    )
    rows = Rows(np.arange(200).astype(str), {name: table[name].to_numpy() for name in table})
    one = rows.take(np.flatnonzero(table["opened.days"] < 18400)[:1])
    day = str(np.datetime64(int(one.fields["opened.days"][0]), "D"))
    found = attribute(program, rows, "predict", background=rows)
    assert found.inputs[int(one.keys[0]), 0] == day
    assert day in found.text(row=int(one.keys[0]))
    assert fit_lime(program, one, "predict", reference=rows).inputs[0, 0] == day
    (other,) = counterfactuals(program, one, "predict", reference=rows, n=1)
    assert f"opened.days: {day} -> 2020-" in other.text()
    (rule,) = find_rules(program, one, "predict", reference=rows)
    assert rule.conditions[0].startswith("opened.days <= 2020-")
    assert "opened.days <= 2020-08-2" in fit_surrogate(program, rows, "predict", leaves=2).text()
    pytest.importorskip("matplotlib")
    from pellucid.explain.plots import _ranks

    ranks = _ranks(found.inputs[:, 0])
    assert (np.argsort(ranks, kind="stable") == np.argsort(table["opened.days"], kind="stable")).all()
    from pellucid.report.charts import swarm_chart

    values = [[float(v)] for v in found.values[:, 0, 0]]
    dates = swarm_chart("t", ["opened.days"], values, [[v] for v in found.inputs[:, 0]])
    assert str(dates) == str(swarm_chart("t", ["opened.days"], values, [[v] for v in table["opened.days"]]))


def test_dependence_on_a_day_has_an_axis_of_dates() -> None:
    from pellucid.explain import partial_dependence
    from pellucid.report.html import inspection_page

    table = pd.DataFrame({"opened.days": np.linspace(FIRST, LAST, 50)})
    program = wrap(lambda x: x[:, 0] - FIRST, inputs=Schema((DAYS, Field("age")), {}), outputs=["late"])
    rows = Rows(np.arange(50).astype(str), {"opened.days": table["opened.days"].to_numpy(), "age": np.zeros(50)})
    found = partial_dependence(program, rows, "predict", "opened.days", points=5)
    assert "2020-02-06  +36.5 ±" in found.text()
    page = inspection_page([found.to_json()], program="accounts@1")
    assert "late: from 36.5 at 2020-02-06 to 694 at 2021-11-24" in page
    assert ">2020-10<" in page
    assert "18,262" not in page
