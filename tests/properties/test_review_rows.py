"""Whatever becomes of the data: no review row, no copy of one and no label of one is trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.assemble import problem
from pellucid.core.errors import DataError
from pellucid.runs.splitting import split
from pellucid.store.store import Store
from tiny_programs import bank_spec, leaky, market_spec, prices

TABLE = leaky(60)
MORE = leaky(40, seed=5)
PRICES = prices(420)


def content(keys):
    return {str(key).partition("#")[0] for key in keys}


@pytest.fixture(scope="module")
def table_store(tmp_path_factory):
    """A store that froze the review rows of TABLE as the first fit would."""
    store = Store(tmp_path_factory.mktemp("table"))
    prob = problem(bank_spec(), TABLE)
    store.freeze_review("bank", [str(k) for k in prob.rows.keys[split(prob, store).review]], {})
    return store


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, 99), min_size=30, max_size=160), columns=st.permutations(list(TABLE.columns)))
def test_tables(table_store, rows, columns):
    """Any selection of old and new rows, in any order, any number of times, with the columns in any order."""
    frame = pd.concat([TABLE, MORE]).iloc[rows][columns]
    try:
        prob = problem(bank_spec(), frame)
        parts = split(prob, table_store)
    except DataError:
        return  # too few rows of one side, or one class only: refused, which trains on nothing
    frozen = content(table_store.review_keys("bank"))
    assert not content(prob.rows.keys[parts.train]) & frozen
    assert content(prob.rows.keys[parts.review]) <= frozen
    assert set(prob.rows.keys[parts.review]) <= set(table_store.review_keys("bank"))
    assert content(prob.rows.keys[np.setdiff1d(np.arange(len(prob.rows)), parts.train)]) <= frozen
    for fold in parts.folds:
        assert not set(fold.train) & set(fold.test)
        assert {*fold.train, *fold.test} == {*parts.train}


@settings(max_examples=8, deadline=None)
@given(
    review=st.integers(1, 80),
    horizon=st.integers(1, 12),
    folds=st.integers(1, 5),
    first=st.integers(0, 60),
    days=st.integers(0, 100),
)
def test_prices(tmp_path_factory, review, horizon, folds, first, days):
    """Label spans: what a row earns or is to tell ends before the first close of a tested day, now and later."""
    changes = {"review.rows": review, "tasks.risk.horizon": horizon, "evidence.folds": folds}
    spec, store = market_spec(**changes), Store(tmp_path_factory.mktemp("prices"))
    prob = problem(spec, PRICES[:320])
    parts = split(prob, store)
    last = parts.review[-1]
    assert np.isfinite(prob.rows.targets["risk"][last])
    store.freeze_review("market", [str(k) for k in prob.rows.keys[parts.review]], {})
    later = problem(spec, PRICES[first : 320 + days])
    for one, found in ((prob, parts), (later, split(later, store))):
        reach = max(horizon, 2)  # a position decided at t earns until t + 2
        for train, test in [*[(f.train, f.test) for f in found.folds], (found.train, found.review)]:
            assert train[-1] + reach < test[0]
            assert (np.diff(train) == 1).all()
            assert (np.diff(test) == 1).all()
        assert set(one.rows.keys[found.review]) == set(store.review_keys("market"))
        assert not set(one.rows.keys[found.train]) & set(store.review_keys("market"))
