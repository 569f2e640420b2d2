"""The estimators of scikit-learn: its own checks, its tools, every kind of table, and the program behind them."""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    estimator_checks_generator,
)

import pellucid
from pellucid import PellucidClassifier, PellucidRegressor
from pellucid.core.errors import CorruptBlob, DataError, SpecError, StoreError
from pellucid.spec.presets import TABLE, table_spec

BOTH = pytest.mark.parametrize("estimator", [PellucidClassifier, PellucidRegressor])
TINY: dict[str, Any] = {
    "kind": "mlp",
    "width": 16,
    "depth": 1,
    "updates": 120,
    "lr": 1e-2,
    "weight_decay": 0.01,
    "held_out": None,
}
QUICK = {**TINY, "updates": 30}
SKIPPED = {
    "check_array_api_input",  # where SCIPY_ARRAY_API is not set: see the test below
    "check_classifiers_multilabel_output_format_decision_function",  # there is none: `predict_proba` says it all
}
FAILING: dict[str, str] = {}  # declared failures, with the reason: none
FAST = {
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_param",
    "check_estimator_sparse_tag",
    "check_n_features_in_after_fitting",
    "check_estimators_dtypes",
    "check_estimators_pickle",
    "check_estimators_nan_inf",
    "check_fit2d_1sample",
    "check_fit2d_1feature",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_classifiers_one_label",
    "check_supervised_y_2d",
}


def people(n: int = 120, seed: int = 0) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """A table of every kind of column, with empty cells, and an answer that lies in two of them."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "income": draw.normal(size=n),
            "city": draw.choice(["rome", "oslo", "bern"], n),
            "vip": draw.random(n) < 0.3,
            "code": pd.Categorical(draw.integers(1, 5, n)),
            "visits": draw.integers(0, 50, n),
        }
    )
    score = table["income"] + 2.0 * (table["city"] == "rome") + 0.3 * draw.normal(size=n)
    table.loc[::17, "income"] = np.nan
    table.loc[::19, "city"] = None
    return table, pd.Series(np.where(score > 0.5, "yes", "no"), name="paid")


# scikit-learn's checks


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [TINY, {**TINY, "kind": "ensemble", "members": 4, "pieces": 4, "held_out": 0.2}],
    ids=["mlp", "ensemble"],
)
@BOTH
def test_every_check_of_scikit_learn_passes(estimator: Any, settings: dict[str, Any]) -> None:
    results = checked(estimator(**settings))
    counts = Counter(r["status"] for r in results)
    print(f"{estimator.__name__} ({settings.get('kind', 'mlp')}): {len(results)} checks, {dict(counts)}")
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"] == []
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= SKIPPED
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == {*FAILING}
    assert len(results) > 45


ARRAYS = """
import warnings; warnings.simplefilter("ignore")
import pellucid
from sklearn.utils.estimator_checks import estimator_checks_generator
for kind in (pellucid.PellucidClassifier, pellucid.PellucidRegressor):
    for instance, check in estimator_checks_generator(kind(width=8, depth=1, updates=5)):
        if getattr(check, "func", check).__name__ == "check_array_api_input":
            check(instance)
            print("passed")
"""


@pytest.mark.slow
def test_the_check_that_needs_an_environment_variable_passes() -> None:
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": str(Path(pellucid.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", ARRAYS], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["passed", "passed"]


@BOTH
def test_the_defaults_are_those_of_a_fit(estimator: Any) -> None:
    params, (network, train) = estimator().get_params(), (TABLE["network"], dict(TABLE["train"]))
    told = {**network, **{n: v for n, v in train.items() if n != "early_stop"}, **train["early_stop"]}
    assert {name: value for name, value in told.items() if name in params and params[name] != value} == {}
    X, y = load_iris(return_X_y=True)
    spec = estimator(review=0.2, updates=20).fit(X, y)._shelved.plain.spec
    usual = table_spec("t.csv", "y", overrides=("train.updates=20",))
    assert (spec.network, spec.train) == (usual.network, usual.train)


@BOTH
def test_the_checks_that_are_fast_pass(estimator: Any) -> None:
    run = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for instance, check in estimator_checks_generator(estimator(**{**TINY, "updates": 10})):
            name = getattr(check, "func", check).__name__
            if name in FAST:
                check(instance)
                run.append(name)
    assert len(run) >= 15


def checked(estimator: Any) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: list[dict[str, Any]] = check_estimator(
            estimator, on_fail=None, on_skip=None, expected_failed_checks=FAILING
        )
    return found


class Unnamed(PellucidRegressor):
    """Broken: forgets the names of the columns."""

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        return super()._frame(X.to_numpy() if hasattr(X, "to_numpy") else X, reset=reset)


class Single(PellucidRegressor):
    """Broken: computes in single precision, so that a row's answer depends on the rows beside it."""

    def _outputs(self, X: Any) -> Any:
        return super()._outputs(X).astype(np.float32) + 1e-3 * len(X)


class Drawn(PellucidRegressor):
    """Broken: another seed every time."""

    def _spec(self, target: str, fields: Any) -> Any:
        return super()._spec(target, fields).replace({"seed": int(np.random.default_rng().integers(2**31))})


class Bent(PellucidRegressor):
    """Broken: takes a single row for a table."""

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        return super()._frame(np.atleast_2d(X), reset=reset)


class Touched(PellucidRegressor):
    """Broken: changes what it was given."""

    def fit(self, X: Any, y: Any) -> Any:
        self.width = 8
        return super().fit(X, y)


class Counting(PellucidRegressor):
    """Broken: another estimator after every answer."""

    def predict(self, X: Any) -> Any:
        self.answers_ = getattr(self, "answers_", 0) + 1
        return super().predict(X)


BROKEN = [
    (Single, "check_methods_subset_invariance"),
    (Drawn, "check_fit_idempotent"),
    (Bent, "check_fit2d_predict1d"),
    (Counting, "check_dict_unchanged"),
    (Touched, "check_estimators_overwrite_params"),
]


@pytest.mark.parametrize(("broken", "check"), BROKEN)
def test_a_broken_copy_fails(broken: Any, check: str) -> None:
    """A blind run of the checks would pass whatever it is given."""
    found = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for instance, run in estimator_checks_generator(broken(**QUICK)):
            if getattr(run, "func", run).__name__ == check:
                found += 1
                with pytest.raises(AssertionError):
                    run(instance)
    assert found


@BOTH
def test_names_of_columns_are_kept_as_scikit_learn_keeps_its_own(estimator: Any) -> None:
    """A check that `check_estimator` leaves out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        check_dataframe_column_names_consistency(estimator.__name__, estimator(**QUICK))
        with pytest.raises(ValueError, match="feature_names_in_"):
            check_dataframe_column_names_consistency("Unnamed", Unnamed(**QUICK))


def test_tags_say_what_they_are() -> None:
    assert is_classifier(PellucidClassifier())
    assert is_regressor(PellucidRegressor())
    tags = PellucidClassifier().__sklearn_tags__()
    assert tags.input_tags.allow_nan
    assert not tags.input_tags.sparse


# scikit-learn's tools


def test_pipeline_search_and_cross_validation() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), PellucidClassifier(**TINY)).set_output(transform="pandas")
    scores = cross_val_score(pipeline, X, y, cv=3)
    assert scores.min() > 0.85
    search = GridSearchCV(PellucidClassifier(**TINY), {"width": [1, 16], "updates": [1, 120]}, cv=2).fit(X, y)
    assert search.best_params_["updates"] == 120
    assert search.best_estimator_.get_params()["width"] == search.best_params_["width"]
    assert list(search.predict(X[:2])) == [0, 0]
    assert pipeline.fit(X, y)[-1].feature_names_in_.tolist() == list(X.columns)


def test_columns_are_transformed_before_it() -> None:
    X, y = people()
    words = ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = make_pipeline(words, PellucidClassifier(**TINY)).fit(X, y)
    assert model.score(X, y) > 0.8
    assert {"city_oslo", "income"} <= {*model[-1].feature_names_in_}


def test_a_clone_is_new_and_learns_the_same() -> None:
    X, y = people()
    model = PellucidClassifier(**QUICK).fit(X, y)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(X)
    np.testing.assert_array_equal(twin.fit(X, y).predict_proba(X), model.predict_proba(X))
    other = clone(model).set_params(random_state=1).fit(X, y)
    assert np.abs(other.predict_proba(X) - model.predict_proba(X)).max() > 1e-3


def test_a_seed_may_be_drawn() -> None:
    X, y = people()
    drawn = [PellucidClassifier(**QUICK, random_state=np.random.RandomState(3)).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(drawn[0].predict_proba(X), drawn[1].predict_proba(X))
    free = [PellucidClassifier(**QUICK, random_state=None).fit(X, y).predict_proba(X) for _ in range(2)]
    assert np.abs(free[0] - free[1]).max() > 1e-4


# Tables


def test_a_frame_of_every_kind() -> None:
    X, y = people()
    model = PellucidClassifier(**TINY).fit(X, y)
    assert model.score(X, y) > 0.85
    assert model.feature_names_in_.tolist() == list(X.columns)
    kinds = {f.name: f.kind for f in model.program_.program.schema.inputs}
    assert kinds == {"income": "numeric", "city": "category", "vip": "boolean", "code": "category", "visits": "numeric"}
    strange = X.assign(city="atlantis", income=np.nan)
    assert np.isfinite(model.predict_proba(strange)).all()
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1.0)
    index = X.set_axis(X.index[::-1])
    np.testing.assert_array_equal(model.predict(index), model.predict(X))


def test_the_types_of_the_columns_say_what_they_are() -> None:
    draw = np.random.default_rng(0)
    sizes = pd.CategoricalDtype(["small", "middle", "large"], ordered=True)
    X = pd.DataFrame(
        {
            "size": pd.Series(draw.choice(list(sizes.categories), 120)).astype(sizes),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 700, 120), unit="D"),
        }
    )
    y = X["size"].cat.codes + 0.1 * draw.normal(size=120)
    model = PellucidRegressor(**TINY).fit(X, y)
    assert model.score(X, y) > 0.8
    inputs = {f.name: (f.kind, f.categories) for f in model.program_.program.schema.inputs}
    assert inputs["size"] == ("numeric", ("small", "middle", "large"))
    assert {f.column for f in model.program_.program.schema.inputs} >= {"day"}
    assert model.predict(X.assign(size="large")).mean() > model.predict(X.assign(size="small")).mean() + 1
    assert model.program_.explain(X.head(1)) is not None


def test_any_frame_and_text_arrays_give_the_same() -> None:
    X, y = people()
    X = X.astype({"code": str})
    model = PellucidClassifier(**QUICK).fit(X, y)
    arrow = pa.Table.from_pandas(X)
    np.testing.assert_array_equal(model.predict_proba(arrow), model.predict_proba(X))
    assert PellucidClassifier(**QUICK).fit(arrow, y).feature_names_in_.tolist() == list(X.columns)
    cells = X[["city", "income"]].astype(object).to_numpy()
    plain = PellucidClassifier(**QUICK).fit(cells, y)
    assert [f.kind for f in plain.program_.program.schema.inputs] == ["category", "numeric"]
    assert plain.predict(cells[:1].tolist())[0] in ("yes", "no")


def test_polars_frames() -> None:
    import polars

    X, y = people()
    X = X.astype({"code": str})
    frame = polars.from_pandas(X)
    model = PellucidClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(frame), model.predict_proba(X))


def test_columns_that_differ_are_refused_by_name() -> None:
    X, y = people()
    model = PellucidClassifier(**QUICK).fit(X, y)
    with pytest.raises(ValueError, match="same order"):
        model.predict(X[X.columns[::-1]])
    with pytest.raises(ValueError, match="city"):
        model.predict(X.drop(columns="city"))
    with pytest.raises(ValueError, match="extra"):
        model.predict(X.assign(extra=1))
    with pytest.raises(DataError, match=r"'income'.*row 3"):
        model.predict(X.astype({"income": object}).assign(income=["1", "2", "three", *["4"] * (len(X) - 3)]))
    with pytest.raises(ValueError, match="features"):
        PellucidClassifier(**QUICK).fit(X[["income"]].fillna(0).to_numpy(), y).predict(np.zeros((2, 3)))


def test_bad_inputs_are_value_errors() -> None:
    X, y = people()
    model = PellucidClassifier(**QUICK)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        model.fit(sparse.csr_array(np.eye(4)), [0, 1, 0, 1])
    with pytest.raises(DataError, match=r"'income' is infinite in row 2"):
        model.fit(X.assign(income=[1.0, np.inf, *np.arange(len(X) - 2)]), y)
    with pytest.raises(ValueError, match="infinity"):
        model.fit(np.array([[1.0], [np.inf]]), [0, 1])
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit(X, np.linspace(0, 1, len(X)))
    with pytest.raises(ValueError, match="NaN"):
        PellucidRegressor(**QUICK).fit(X, [np.nan] * len(X))
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(X, y[:-1])
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(X[:0], y[:0])
    with pytest.raises(ValueError, match="0 feature"):
        model.fit(X[[]], y)
    with pytest.raises(ValueError, match="y is None"):
        model.fit(X, None)
    with pytest.raises(DataError, match="repeat: income"):
        model.fit(X.set_axis(["income"] * 5, axis=1), y)
    with pytest.raises(DataError, match="one class, 'no'"):
        model.fit(X, ["no"] * len(X))
    with pytest.warns(DataConversionWarning):
        model.fit(X, y.to_numpy()[:, None])
    for wrong in ({"width": 0}, {"kind": "forest"}, {"held_out": 2.0}, {"lr": "fast"}):
        with pytest.raises(SpecError):
            PellucidClassifier(**{**QUICK, **wrong}).fit(X, y)
    with pytest.raises(DataError, match="review is 1"):
        PellucidClassifier(**QUICK, review=1.0).fit(X, y)


def test_a_column_that_is_left_out_is_told() -> None:
    X, y = people()
    with pytest.warns(UserWarning, match="'note' was left out"):
        model = PellucidClassifier(**QUICK).fit(X.assign(note=[f"case {i}" for i in range(len(X))]), y)
    assert any("'note'" in note for note in model.notes_)
    assert PellucidClassifier(**QUICK).fit(X.assign(same=1.0), y).notes_ == [
        "'same' was left out: it is '1' in every row"
    ]


@pytest.mark.parametrize(
    "labels",
    [("no", "yes"), (0, 1), (-1, 7), (False, True), ("01", "1"), (0.0, 1.0), ("a", "b", "c")],
    ids=str,
)
def test_labels_come_back_as_they_were(labels: tuple[Any, ...]) -> None:
    draw = np.random.default_rng(0)
    codes = draw.integers(len(labels), size=90)
    X = np.c_[codes + 0.1 * draw.normal(size=90), draw.normal(size=90)]
    y = np.asarray(labels)[codes]
    for given in (y, y.tolist(), pd.Series(y), pd.Series(y, dtype="category")):
        model = PellucidClassifier(**TINY).fit(X, given)
        assert model.classes_.tolist() == sorted(labels)
        assert (model.predict(X) == y).mean() > 0.95
        assert type(model.predict(X).tolist()[0]) is type(labels[0])


def test_the_smallest_tables() -> None:
    one = PellucidRegressor(**QUICK).fit([[1.0]], [3.0])
    assert one.predict([[1.0], [5.0]]) == pytest.approx([3.0, 3.0], abs=0.2)
    same = PellucidRegressor(**QUICK).fit(np.ones((20, 2)), np.full(20, 4.0))
    assert same.predict(np.ones((1, 2))) == pytest.approx([4.0], abs=1e-6)
    two = PellucidClassifier(**QUICK).fit(np.full((2, 1), np.nan), ["a", "b"])
    np.testing.assert_allclose(two.predict_proba([[np.nan]]).sum(), 1.0)
    words = PellucidClassifier(**QUICK).fit(pd.DataFrame({"w": ["x"] * 6}), [0, 1] * 3)
    np.testing.assert_allclose(words.predict_proba(pd.DataFrame({"w": ["x"]})), 0.5, atol=0.1)


def test_held_out_rows_choose_the_weights() -> None:
    X, y = people()
    settings = {**QUICK, "updates": 200, "batch": 32}
    plain = PellucidClassifier(**settings).fit(X, y)
    early = PellucidClassifier(**{**settings, "held_out": 0.2, "patience": 2}).fit(X, y)
    assert np.abs(plain.predict_proba(X) - early.predict_proba(X)).max() > 0.01


def test_rare_classes_may_count_as_much() -> None:
    draw = np.random.default_rng(0)
    y = (draw.random(400) < 0.05).astype(int)
    X = draw.normal(size=(400, 1)) + 0.5 * y[:, None]
    models = [PellucidClassifier(**TINY, class_weights=weights) for weights in ("equal", "balanced")]
    shares = [model.fit(X, y).predict_proba(X)[:, 1].mean() for model in models]
    assert shares[0] == pytest.approx(0.05, abs=0.03)
    assert shares[1] == pytest.approx(0.5, abs=0.15)
    smooth = PellucidClassifier(**TINY, label_smoothing=0.5).fit(X, y).predict_proba(X)[:, 1].mean()
    assert smooth == pytest.approx(0.25 + 0.5 * 0.05, abs=0.05)


def ranked(n: int, seed: int) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """A class of an order, which one number decides."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(draw.normal(size=(n, 2)), columns=["skill", "age"])
    return table, pd.Series(np.array(["poor", "fair", "good"])[np.digitize(table["skill"], [-0.4, 0.4])], name="grade")


def test_a_class_of_an_order() -> None:
    X, y = ranked(150, 0)
    order = ["poor", "fair", "good"]
    model = PellucidClassifier(**TINY, order=order).fit(X, y)
    assert model.classes_.tolist() == order  # not the alphabet's
    Z, z = ranked(60, 1)
    shares = model.predict_proba(Z)
    assert np.allclose(shares.sum(1), 1)
    assert model.score(Z, z) > 0.85
    middle = (np.cumsum(shares, axis=1) < 0.5).sum(1)  # the median
    assert model.predict(Z).tolist() == [order[i] for i in middle]
    assert model.program_.program.tasks["grade"].kind == "ordinal"
    with pytest.raises(DataError, match="'fair'"):
        PellucidClassifier(**TINY, order=["poor", "good"]).fit(X, y)
    numbered = PellucidClassifier(**QUICK, order=(2, 0, 1)).fit(X, y.map({"poor": 2, "fair": 0, "good": 1}))
    assert numbered.classes_.tolist() == [2, 0, 1]


def test_any_number_of_labels(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    X = pd.DataFrame(draw.normal(size=(200, 3)), columns=["a", "b", "c"])
    Y = pd.DataFrame({"high": X["a"] > 0, "b": X["b"] > 0.5}).astype(int)  # a label bears the name of an input
    model = PellucidClassifier(**TINY).fit(X[:150], Y[:150])
    assert model.classes_.tolist() == ["high", "b"]
    said, shares = model.predict(X[150:]), model.predict_proba(X[150:])
    assert said.shape == shares.shape == (50, 2)
    assert (said == (shares > 0.5)).all()
    assert (said == Y[150:]).to_numpy().mean() > 0.9
    assert model.score(X[150:], Y[150:]) > 0.8
    model.save(tmp_path / "saved")
    again = PellucidClassifier.load(tmp_path / "saved").predict(X[150:])
    assert again.dtype == said.dtype
    assert (again == said).all()
    assert (PellucidClassifier(**TINY).fit(X[:150], sparse.csr_array(Y[:150])).predict(X[150:]) == said).all()
    with pytest.raises(DataError, match="class_weights"):
        PellucidClassifier(**TINY, class_weights="balanced").fit(X, Y)


def test_quantiles_and_a_distribution() -> None:
    draw = np.random.default_rng(0)
    X = draw.uniform(size=(600, 2))
    y = X[:, 0] + (0.1 + X[:, 1]) * draw.normal(size=600)
    levels = (0.1, 0.5, 0.9)
    settings = {**TINY, "updates": 400}
    quantile = PellucidRegressor(**settings, quantiles=levels).fit(X[:400], y[:400])
    found = quantile.predict_quantiles(X[400:])
    assert (np.diff(found, axis=1) > 0).all()
    assert (quantile.predict(X[400:]) == found[:, 1]).all()
    assert (quantile.predict_quantiles(X[400:], [0.9]) == found[:, 2:]).all()
    density = PellucidRegressor(**settings, distribution="normal").fit(X[:400], y[:400])
    spread = density.predict_quantiles(X[400:], levels)
    assert np.allclose(spread[:, 1], density.predict(X[400:]))
    for said in (found, spread):
        assert np.abs((y[400:, None] < said).mean(0) - levels).max() < 0.1
    with pytest.raises(DataError, match=r"0\.1, 0\.5, 0\.9"):
        quantile.predict_quantiles(X[:1], [0.3])
    with pytest.raises(DataError, match="a regress"):
        PellucidRegressor(**QUICK).fit(X, y).predict_quantiles(X[:1], [0.3])


def test_progress_is_shown_when_asked_for(capsys: Any) -> None:
    PellucidRegressor(**QUICK, verbose=1).fit(np.eye(4), np.arange(4))
    assert "fit" in "".join(capsys.readouterr())


def test_any_name_of_a_target_will_do() -> None:
    X, y = people(40)
    for name in ("income", "x" * 200, "Ziel (€)", "", 3):
        model = PellucidClassifier(**QUICK).fit(X, y.rename(name))
        assert model.predict(X).shape == (40,)


def test_an_answer_does_not_depend_on_its_neighbours() -> None:
    X, y = people()
    model = PellucidClassifier(**QUICK).fit(X, y)
    alone = np.concatenate([model.predict_proba(X[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, model.predict_proba(X)[:20], rtol=0, atol=1e-12)


# The program


@pytest.mark.slow
def test_the_program_is_explained_corrected_and_used(tmp_path: Path) -> None:
    X, y = people(300)
    model = PellucidClassifier(**{**TINY, "width": 64, "depth": 2}, review=0.2).fit(X, y)
    program = model.program_
    assert program.explain(X.head(1)).players == tuple(X.columns)
    assert program.evidence["review"]["n"] == 60
    assert program.evidence["tasks"][0]["n"] == 60
    logits = program.predict(X)["yes"].to_numpy()
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-logits)), atol=1e-6)

    program.feedback.forbid("code", because="no grounds")
    program.feedback.forbid("city", because="not allowed")
    revision = program.revise(source=X.assign(paid=y), updates=150, share=0.3)
    assert revision.diff["tasks"][0]["n"] == 60
    assert revision.diff["contaminated"] == 0
    accepted = revision.accept(because="asked for", override_gates=True)
    before = moved(model, X)
    model.use(accepted)
    assert moved(model, X) < 0.35 * before
    assert accepted.program.network.bias.dtype.is_floating_point
    assert accepted.explain(X.head(1)) is not None  # its own weights stay in single precision

    loaded = PellucidClassifier.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert [loaded.program_.ref, len(loaded.program_.log())] == [accepted.ref, len(accepted.log())]
    with pytest.warns(UserWarning, match="save"):
        data = pickle.dumps(loaded)
    assert unpickled(data).program_.ref == accepted.ref
    other = PellucidClassifier(**QUICK).fit(X, y)
    with pytest.raises(DataError, match="no version of this"):
        other.use(accepted)


def moved(model: Any, X: pd.DataFrame) -> float:
    """Mean change of the answer when only the city changes."""
    a, b = (model.predict_proba(X.assign(city=city))[:, 1] for city in ("rome", "oslo"))
    return float(np.abs(a - b).mean())


def test_without_review_rows_a_correction_is_refused_with_the_mend() -> None:
    X, y = people(60)
    model = PellucidClassifier(**QUICK).fit(X, y)
    program = model.program_
    assert program.ref == "table@1"
    assert "scores on other rows" in program.evidence["notes"][-1]
    program.feedback.forbid("city", because="not allowed")
    with pytest.raises(DataError, match="no review rows") as caught:
        program.revise(source=X.assign(paid=y), updates=5)
    assert "review=0.2" in caught.value.mend
    # Rows that the fit has seen do not count, and others do.
    fresh, truth = people(50, seed=9)
    other = PellucidClassifier(**{**QUICK, "updates": 3}).fit(X, y)
    diff = pellucid.diff(program, other.program_, pd.concat([X, fresh]).assign(paid=[*y, *truth]), "paid")
    assert [diff["tasks"][0]["n"], diff["contaminated"]] == [50, 60]


def test_the_store_lasts_as_long_as_somebody_holds_it() -> None:
    X, y = people(40)
    model = PellucidClassifier(**QUICK).fit(X, y)
    program = model.program_
    root = program.store.root
    del model
    gc.collect()
    assert program.log()
    del program
    gc.collect()
    assert not root.exists()


# Saving


@BOTH
def test_saved_and_loaded_it_is_the_same(estimator: Any, tmp_path: Path) -> None:
    X, y = people(60)
    target = y if estimator is PellucidClassifier else X["visits"] / 7.0
    model = estimator(**QUICK, random_state=np.int64(5)).fit(X, target)
    assert model.save(tmp_path / "m") == tmp_path / "m"
    loaded = estimator.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.get_params() == model.get_params()
    assert loaded.feature_names_in_.tolist() == list(X.columns)
    assert clone(loaded).fit(X, target).score(X, target) == model.score(X, target)
    assert pellucid.load("table", store=tmp_path / "m").predict(X).shape == (60, 1)
    with pytest.raises(StoreError, match="not empty"):
        model.save(tmp_path / "m")
    other = PellucidRegressor if estimator is PellucidClassifier else PellucidClassifier
    with pytest.raises(StoreError, match=estimator.__name__):
        other.load(tmp_path / "m")


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no estimator is saved"):
        PellucidClassifier.load(tmp_path)
    (tmp_path / "estimator.json").write_text("{")
    with pytest.raises(CorruptBlob, match="damaged"):
        PellucidClassifier.load(tmp_path)
    with pytest.raises(NotFittedError):
        PellucidClassifier().save(tmp_path / "new")


def unpickled(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301  # written by this very test


def test_a_pickle_holds_no_code_and_says_so() -> None:
    X, y = people(60)
    model = PellucidClassifier(**QUICK).fit(X, y)
    with pytest.warns(UserWarning, match=r"save\(folder\)"):
        state = model.__getstate__()
    json.loads(state["_shelved"]["program"])
    assert isinstance(state["_shelved"]["weights"], bytes)
    with pytest.warns(UserWarning, match=r"save\(folder\)"):
        again = unpickled(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.program_.explain(X.head(1)).players == tuple(X.columns)
    twin = copy.deepcopy(model)  # no pickle, no warning
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    pickle.dumps(PellucidClassifier())  # nothing was learned: nothing to say
