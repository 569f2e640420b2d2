"""The behaviour diff: paired on keys, the same bytes for the same input, honest about rows that do not count."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sides_by_hand import side, table, task

from pellucid.core.errors import DataError
from pellucid.evidence.paired import compare
from pellucid.review.diff import EXIT_CODES, DiffConfig, conclude, correlation, diff


def as_bytes(found) -> bytes:
    return json.dumps(found, sort_keys=True, allow_nan=False).encode()


def test_a_version_against_itself_is_empty():
    a = side("p@1", table(), parameters={"touched": 5, "total": 9, "share": 0.5, "bytes": 20})
    found = diff(a, a)
    assert found["empty"]
    assert found["tasks"] == found["gates"] == found["notes"] == []
    assert found["parameters"] == {"touched": 0, "total": 0, "share": 0.0, "bytes": 0}
    assert EXIT_CODES[found["verdict"]] == 0


def test_equal_answers_under_another_hash_change_nothing():
    found = diff(side("a", table()), side("b", table()))
    entry = found["tasks"][0]
    assert not found["empty"]
    assert found["verdict"] == entry["verdict"] == "equivalent"
    assert entry["change"] == entry["low"] == entry["high"] == 0.0
    assert entry["flips"]["changed"] == 0
    assert entry["flips"]["examples"] == []
    assert entry["outputs"] == [{"name": "yes", "correlation": pytest.approx(1.0), "mean_abs_change": 0.0}]


def test_numbers_are_those_of_the_paired_rows():
    a, b = table(seed=1), table(seed=2, shift=0.4)
    entry = diff(side("a", a), side("b", b), DiffConfig(seed=3))["tasks"][0]
    expected = compare(a["loss"], b["loss"], margin=0.01 * a["loss"].mean(), seed=3, name="diff/paid")
    assert entry["change"] == pytest.approx((b["loss"] - a["loss"]).mean())
    assert (entry["low"], entry["high"], entry["verdict"]) == (expected.low, expected.high, expected.verdict)
    assert (entry["base"], entry["candidate"]) == pytest.approx((a["loss"].mean(), b["loss"].mean()))
    changed = a["decision"] != b["decision"]
    flips = entry["flips"]
    assert flips["changed"] == changed.sum() > 5
    assert flips["to_better"] == (changed & (b["decision"] == b["y"])).sum()
    assert flips["to_worse"] == (changed & (a["decision"] == a["y"])).sum()
    size = (b["loss"] - a["loss"]).abs()[changed]
    assert flips["examples"][0]["key"] == a["key"][size.idxmax()]
    assert entry["outputs"][0]["correlation"] == pytest.approx(np.corrcoef(a["out:yes"], b["out:yes"])[0, 1])


def test_mcnemar_is_the_exact_test():
    a, b = table(200, seed=1), table(200, seed=2, shift=0.5)
    flips = diff(side("a", a), side("b", b))["tasks"][0]["flips"]
    assert flips["to_better"] > flips["to_worse"] > 0
    expected = binomtest(flips["to_worse"], flips["to_worse"] + flips["to_better"]).pvalue
    assert flips["mcnemar_p"] == pytest.approx(expected)
    assert flips["mcnemar_p"] < 0.05


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([False, True]))
def test_shuffled_rows_give_the_same_bytes(random, timed):
    a, b = table(40, seed=1), table(40, seed=2)
    if timed:
        days = pd.date_range("2020-01-01", periods=40)
        a, b = a.assign(time=days), b.assign(time=days)
    order = list(range(40))
    random.shuffle(order)
    plain = diff(side("a", a), side("b", b), DiffConfig(block=5))
    assert as_bytes(diff(side("a", a), side("b", b.iloc[order]), DiffConfig(block=5))) == as_bytes(plain)
    random.shuffle(order)
    assert as_bytes(diff(side("a", a.iloc[order]), side("b", b), DiffConfig(block=5))) == as_bytes(plain)


def test_time_order_makes_blocks():
    """Losses that come in runs: blocks of 20 days give a wider interval than days one by one."""
    a = table(400)
    wave = np.sign(np.sin(np.arange(400) / 15.0)) * 0.3 + 0.02
    b = a.assign(loss=a["loss"] + wave)
    days = pd.date_range("2020-01-01", periods=400)
    loose = diff(side("a", a), side("b", b), DiffConfig(block=20))["tasks"][0]
    wide = diff(side("a", a.assign(time=days)), side("b", b.assign(time=days)), DiffConfig(block=20))["tasks"][0]
    assert "independent" in loose["method"]
    assert "block 20" in wide["method"]
    assert wide["high"] - wide["low"] > 2 * (loose["high"] - loose["low"])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.5, 0.5))
def test_the_other_way_round_everything_changes_sign(seed, shift):
    a, b = side("a", table(50, seed=seed)), side("b", table(50, seed=seed + 1, shift=shift))
    there, back = diff(a, b)["tasks"][0], diff(b, a)["tasks"][0]
    assert there["change"] == pytest.approx(-back["change"])
    assert there["flips"]["to_better"] == back["flips"]["to_worse"]
    assert there["flips"]["changed"] == back["flips"]["changed"]
    assert there["flips"]["mcnemar_p"] == pytest.approx(back["flips"]["mcnemar_p"])


def test_appended_rows_do_not_count_and_are_told():
    a, b = table(60, seed=1), table(60, seed=2)
    fewer = diff(side("a", a.iloc[:50]), side("b", b.iloc[:50]))
    found = diff(side("a", a.iloc[:50]), side("b", b))
    assert found["notes"] == ["task 'paid': 10 rows stand on one side only and are left out"]
    assert as_bytes(found["tasks"]) == as_bytes(fewer["tasks"])


def test_content_keys_of_equal_rows_pair_up_and_repeated_keys_are_refused():
    a, b = table(60, seed=1), table(60, seed=2)
    keys = [key if i else "row001#1" for i, key in enumerate(a["key"])]
    assert diff(side("a", a.assign(key=keys)), side("b", b.assign(key=keys)))["tasks"][0]["n"] == 60
    keys[0] = "row001"
    with pytest.raises(DataError, match="candidate's outputs of 'paid' hold the key 'row001' more than once"):
        diff(side("a", a), side("b", b.assign(key=keys)))
    with pytest.raises(DataError, match="base's outputs of 'paid' hold the key 'row001'"):
        diff(side("a", a.assign(key=keys)), side("b", b))


def test_no_row_in_common():
    b = table()
    with pytest.raises(DataError, match="share no row of task 'paid'"):
        diff(side("a", table()), side("b", b.assign(key="x" + b["key"])))


def test_another_target_under_the_same_key_is_refused():
    a, b = table(seed=1), table(seed=2)
    b.loc[7, "y"] = "yes" if b.loc[7, "y"] == "no" else "no"
    with pytest.raises(DataError, match="1 rows of 'paid' have another target on the other side, first 'row007'"):
        diff(side("a", a), side("b", b))


def test_a_label_that_came_later_is_no_other_label():
    """Data cut after the last review day lack its label: the row does not count, and the rest is compared."""
    a, b = table(seed=1), table(seed=2)
    y = np.linspace(0.0, 1.0, 60)
    a, b = a.assign(y=y), b.assign(y=y)
    a.loc[59, ["y", "loss"]] = np.nan
    risk = task()
    risk = type(risk)("risk", "volatility", risk.inputs, ("yes",), "log variance", "qlike")
    found = diff(side("a", {"risk": a}, tasks={"risk": risk}), side("b", {"risk": b}, tasks={"risk": risk}))
    assert found["tasks"][0]["n"] == 59
    b.loc[3, "y"] = 5.0
    with pytest.raises(DataError, match="first 'row003'"):
        diff(side("a", {"risk": a}, tasks={"risk": risk}), side("b", {"risk": b}, tasks={"risk": risk}))


def test_a_new_class_and_a_renamed_input_are_told():
    a, b = table(seed=1), table(seed=2)
    other = task(classes=("maybe", "no", "yes"))
    other = type(other)(other.name, other.kind, ("age", "town"), ("maybe", "no", "yes"), "logit", "log_loss", (),
                        other.options)  # fmt: skip
    found = diff(side("p@1", a), side("p@2", b, tasks={"paid": other}))
    assert found["notes"] == [
        "task 'paid': input 'city' in p@1 only",
        "task 'paid': input 'town' in p@2 only",
        "task 'paid': class 'maybe' in p@2 only",
    ]
    assert found["tasks"][0]["n"] == 60


def test_a_renamed_task():
    with pytest.raises(DataError, match="no task in common \\(paid against settled\\)"):
        diff(side("a", table()), side("b", {"settled": table(seed=1)}))
    both = {"paid": table(seed=1), "extra": table(seed=2)}
    found = diff(side("a", {"paid": table(), "old": table()}), side("b", both))
    assert [entry["task"] for entry in found["tasks"]] == ["paid"]
    assert found["notes"] == [f"task '{name}' exists on one side only and is not compared" for name in ("extra", "old")]


def test_other_metrics_and_units_are_not_compared():
    plain = task()
    chance = type(plain)("paid", "classify", plain.inputs, ("yes",), "probability", "zero_one", (), plain.options)
    found = diff(side("a", table(seed=1)), side("b", table(seed=2), tasks={"paid": chance}))
    entry = found["tasks"][0]
    assert entry["change"] is None
    assert entry["outputs"] == []
    assert entry["flips"]["changed"] > 0
    assert found["notes"] == [
        "task 'paid': metric 'log_loss' and 'zero_one', so the losses are not compared",
        "task 'paid': unit 'logit' and 'probability', so the outputs are not compared",
    ]
    assert found["verdict"] == "undecided"


@pytest.mark.parametrize("who", ["a", "b"])
def test_rows_that_a_training_touched_do_not_count(who):
    a, b = table(60, seed=1), table(60, seed=2)
    seen = frozenset(a["key"][:25])
    sides = {"a": side("a", a, touched=seen if who == "a" else frozenset())}
    sides["b"] = side("b", b, touched=seen if who == "b" else frozenset())
    found = diff(sides["a"], sides["b"])
    clean = diff(side("a", a.iloc[25:]), side("b", b.iloc[25:]))
    assert found["contaminated"] == 25
    assert "contaminated: 25 review rows" in found["notes"][0]
    assert as_bytes(found["tasks"]) == as_bytes(clean["tasks"])


def test_without_a_clean_row_nothing_is_decided():
    a, b = table(60, seed=1), table(60, seed=2, shift=2.0)
    assert diff(side("a", a), side("b", b))["verdict"] == "better"
    found = diff(side("a", a, touched=frozenset(a["key"])), side("b", b))
    assert (found["contaminated"], found["tasks"], found["verdict"]) == (60, [], "undecided")
    assert EXIT_CODES[found["verdict"]] == 3
    clean = {"paid": b, "other": table(60, seed=3, shift=2.0).assign(key=[f"clean{i}" for i in range(60)])}
    old = {"paid": a, "other": table(60, seed=4).assign(key=[f"clean{i}" for i in range(60)])}
    found = diff(side("a", old, touched=frozenset(a["key"])), side("b", clean))
    assert [entry["task"] for entry in found["tasks"]] == ["other"]
    assert found["tasks"][0]["verdict"] == "better"
    assert found["verdict"] == "undecided"


def test_a_failed_gate_fails_contaminated_or_not():
    effect = {"task": "paid", "field": "age", "present": True, "base": 0.5, "candidate": 0.4, "reduction": 0.2}
    claim = {"changes": [{"task": "paid", "field": "age", "reduce": 0.8}]}
    a = side("a", table(seed=1), touched=frozenset(table()["key"]))
    b = side("b", table(seed=2), measured={"effects": {"paid/age": effect}})
    assert diff(a, b, DiffConfig(claim=claim))["verdict"] == "worse"


def test_a_policy_without_rewards_is_compared_by_decisions():
    a, b = table(seed=1).drop(columns="y"), table(seed=2).drop(columns="y")
    entry = diff(side("a", a.assign(loss=np.nan)), side("b", b.assign(loss=np.nan)))["tasks"][0]
    assert (entry["n"], entry["change"], entry["verdict"]) == (0, None, "undecided")
    assert entry["flips"]["mcnemar_p"] is None
    assert entry["flips"]["changed"] == (a["decision"] != b["decision"]).sum()


def test_constant_outputs_have_no_correlation():
    assert correlation(np.ones(5), np.arange(5.0)) is None
    assert correlation(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1.0)
    found = diff(side("a", table()), side("b", table().assign(**{"out:yes": 0.0})))
    assert found["tasks"][0]["outputs"][0]["correlation"] is None


def attribution(first, second):
    """Two runs (n, d) of an explainer with one output."""
    values = [np.asarray(run, dtype=float)[:, :, None].tolist() for run in (first, second)]
    return {"paid": {"players": ["age", "city"], "outputs": ["yes"], "keys": ["r0", "r1"], "values": values}}


def test_attributions_shift_against_the_explainers_noise():
    """By hand: shares of the base's total |attribution| (mean over rows 1.0), noise the difference of the two runs."""
    base = attribution([[0.6, 0.4], [0.6, 0.4]], [[0.58, 0.42], [0.62, 0.38]])
    candidate = attribution([[0.6, 0.0], [0.6, 0.0]], [[0.62, 0.0], [0.58, 0.0]])
    sides = [side(n, table(seed=i), attribution=x) for i, (n, x) in enumerate([("a", base), ("b", candidate)])]
    age, city = diff(*sides)["tasks"][0]["attribution"]
    assert (age["base"], age["candidate"], age["shift"]) == pytest.approx((0.6, 0.6, 0.02))
    assert age["noise"] == pytest.approx(0.02)
    assert not age["shown"]
    assert (city["base"], city["candidate"], city["shift"], city["noise"]) == pytest.approx((0.4, 0.0, 0.4, 0.02))
    assert city["shown"]
    same = diff(sides[0], side("b", table(seed=3), attribution=base))["tasks"][0]["attribution"]
    assert not any(player["shown"] or player["shift"] for player in same)
    others = {"paid": {**base["paid"], "keys": ["r0", "r2"]}}
    assert diff(sides[0], side("b", table(seed=3), attribution=others))["tasks"][0]["attribution"] == []


@pytest.mark.parametrize(
    ("tasks", "gates", "verdict", "code"),
    [
        (["equivalent", "equivalent"], [], "equivalent", 0),
        (["equivalent", "better"], [], "better", 0),
        (["undecided", "better"], [], "undecided", 3),
        (["undecided", "equivalent"], [], "undecided", 3),
        (["better", "worse"], [], "worse", 1),
        (["worse"], [True, True], "better", 0),  # a claim decides: what may be lost stands in its budget
        (["better"], [True, False], "worse", 1),
        (["better"], [None, False], "worse", 1),
        (["better"], [True, None], "undecided", 3),
    ],
)
def test_verdicts_and_exit_codes(tasks, gates, verdict, code):
    found = conclude([{"verdict": v} for v in tasks], [{"passed": p} for p in gates])
    assert (found, EXIT_CODES[found]) == (verdict, code)
