"""Every question, asked of a table's program, of a market's and its policy, and of a wrapped model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import pellucid
from pellucid.core.errors import DataError, PellucidError
from pellucid.explain import Limits
from tiny_programs import Home, leaky


def opened(home: Home, ref: str) -> pellucid.LearnedProgram:
    return pellucid.load(ref, store=home.store)


def test_a_table_answers_every_question(bank: Home) -> None:
    bank = opened(bank, "bank@1")
    ask = bank.inspect()
    rows = bank.rows().take(slice(0, 3))
    other = ask.counterfactuals(rows, limits=Limits(keep=("leak",)))
    assert all(one.answers for one in other)
    decided = bank.predict(rows).to_numpy()[:, 0] > 0
    for one, now in zip(other, decided, strict=True):
        assert ((bank.predict(one.rows).to_numpy()[:, 0] > 0) != now).all()
    fit = ask.lime(rows)
    assert fit.weights.shape == (3, 4, 1)
    assert ask.rules(at="0")[0].precision > 0.5
    for ale in (False, True):
        assert np.isfinite(ask.dependence("leak", ale=ale).values).all()
    assert ask.dependence("city").words
    pairs = ask.interactions(rows)
    assert np.allclose(pairs.values, pairs.values.transpose(0, 2, 1, 3))
    found = ask.importance()
    assert found.values[0] > 2 * found.error[0]
    assert found.players[0] in ("leak", "a")  # it gives y away
    assert ask.surrogate().agreement > 0.7


def test_questions_keep_off_the_review_rows(bank: Home) -> None:
    ask, reviewed = opened(bank, "bank@1").inspect(), set(bank.store.review_keys("bank") or ())
    known = {str(key) for key in ask._reference(next(iter(ask.program.tasks))).keys}
    assert reviewed
    assert not known & reviewed


def test_a_market_and_its_policy_answer(market: Home) -> None:
    market = opened(market, "market@1")
    ask = market.inspect()
    one = ask.counterfactuals(task="forecast", to=(None, -0.001))[0]
    assert one.goal.endswith("<= -0.001")
    trade = ask.counterfactuals(task="trade", n=2)[0]
    assert trade.goal.startswith("action ")
    for row in range(len(trade.rows)):
        out = market.program(market.program.encode(trade.rows.take(slice(row, row + 1))), "trade").numpy()[0, :3]
        assert f"action {market.program.tasks['trade'].options['action_names'][int(out.argmax())]}" == trade.goal
    assert "position" in ask.lime(task="trade").players
    assert ask.dependence("level", task="risk").values.shape[1] == 1
    assert np.isfinite(ask.surrogate(task="trade").r2).all()
    with pytest.raises(DataError, match="no truth"):
        ask.importance(task="trade")
    with pytest.raises(PellucidError, match="no task"):
        ask.lime(task="frecast")


def test_a_wrapped_model_answers() -> None:
    frame = leaky(200)
    x = frame[["a", "b", "leak"]]
    model = LogisticRegression().fit(x, frame["y"])
    ask = pellucid.wrap(model, inputs=x).inspect(frame, target="y")
    found = ask.importance()
    assert found.players[0] in ("leak", "a")
    assert ask.counterfactuals(x.iloc[:2])[0].answers
    truth = np.sign(model.coef_[0])
    assert (np.sign(ask.lime(x.iloc[:1]).weights[0, :, 1]) == truth).all()
    assert isinstance(ask.dependence("a").to_frame(), pd.DataFrame)
