"""Very many rows: answered in pieces, baselines within a bound of memory, intervals without a lookup a row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.assemble import assemble, problem
from pellucid.core.random import stream
from pellucid.evidence import intervals
from pellucid.evidence.intervals import iid_bootstrap
from pellucid.runs import encoded as module
from pellucid.runs import outputs
from pellucid.runs.encoded import columns_of, encoded, fewer, told_fewer
from pellucid.runs.outputs import outputs_table
from pellucid.spec.loader import build_spec


def fitted(n: int = 200):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.choice(list("uvw"), n), "y": rng.choice(["no", "yes"], n)})
    spec = build_spec(name="t", data={"kind": "table", "source": "dataframe", "target": "y"})
    prob = problem(spec, frame)
    program = assemble(prob, np.arange(n), seed=0).finish()
    return program, next(iter(program.tasks.values())), prob.rows


def test_pieces_give_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    program, task, rows = fitted()
    whole = outputs_table(program, task, rows)
    monkeypatch.setattr(outputs, "PIECE", 17)
    sizes, features = [], program.network.features
    monkeypatch.setattr(
        program.network, "features", lambda blocks, name: sizes.append(len(blocks["a"])) or features(blocks, name)
    )
    pieces = outputs_table(program, task, rows)
    pd.testing.assert_frame_equal(pieces, whole)
    assert max(sizes) == 17, "activations of more rows are never in memory"


def test_a_matrix_of_many_numbers_is_of_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    program, task, rows = fitted()
    index = np.arange(3, 190, 2)
    whole = encoded(program, task, rows, index)
    assert whole.shape == (len(index), columns_of(program, task, rows))
    blocks = program.encode(rows.take(index))
    np.testing.assert_array_equal(whole, np.concatenate([blocks[name].numpy() for name in task.inputs], axis=1))
    monkeypatch.setattr(module, "PIECE", 7)
    np.testing.assert_array_equal(encoded(program, task, rows, index), whole)
    monkeypatch.setattr(module, "SINGLE", 100)
    single = encoded(program, task, rows, index)
    assert (whole.dtype, single.dtype) == (np.float64, np.float32)
    np.testing.assert_array_equal(single, whole.astype(np.float32))


def test_fewer_rows_for_baselines_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    program, _, rows = fitted()
    train = np.arange(10, 110)
    assert fewer(train, 5, 0) is train
    assert told_fewer(rows, [(program, train)]) == []
    monkeypatch.setattr(module, "MANY", 5 * 30)
    drawn = fewer(train, 5, 0)
    assert len(np.unique(drawn)) == 30
    assert (np.diff(drawn) > 0).all()
    assert np.isin(drawn, train).all()
    assert told_fewer(rows, [(program, train)])[0].startswith("baselines were fitted on 30 of 100 training rows")


@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy", "two values"])
def test_bootstrap_by_buckets_has_the_spread_of_the_bootstrap(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    values = {
        "normal": rng.normal(size=5000),
        "skewed": rng.exponential(size=5000),
        "heavy": rng.standard_t(2.2, size=5000),
        "two values": (rng.random(5000) < 0.03).astype(float),
    }[kind]
    exact = iid_bootstrap(values, draws=8000, generator=stream(0, "exact"))
    monkeypatch.setattr(intervals, "MANY", 1000)
    buckets = iid_bootstrap(values, draws=8000, generator=stream(0, "buckets"))
    assert buckets.shape == exact.shape
    error = exact.std() / np.sqrt(len(exact))
    assert abs(buckets.mean() - exact.mean()) < 6 * error
    assert buckets.std() / exact.std() == pytest.approx(1, abs=0.05)
    for level in (0.025, 0.975):
        assert np.quantile(buckets, level) == pytest.approx(np.quantile(exact, level), abs=0.15 * exact.std())
