"""Wrapped models answer exactly what they answer unwrapped, keep the contract of a program, and fail by name."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.explain import attribute, attribute_text, effect_of_do
from pellucid.nn.foreign import ForeignProgram, wrap
from pellucid.testing.program import check_program


@pytest.fixture(scope="module")
def cancer():
    data = load_breast_cancer(as_frame=True)
    frame = data.data.iloc[:120, :6]
    return frame, np.where(data.target[:120] == 1, "benign", "malignant")


@pytest.fixture(scope="module")
def forest(cancer):
    frame, y = cancer
    return RandomForestClassifier(8, random_state=0).fit(frame, y)


def test_classifier_fitted_on_a_table(cancer, forest):
    frame, _ = cancer
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program = wrap(forest, inputs=frame)
        found = program.predict(frame)
    assert list(found.columns) == ["benign", "malignant"]
    assert np.array_equal(found.to_numpy(), forest.predict_proba(frame))
    task = program.tasks["predict"]
    assert (task.kind, task.unit, task.metric) == ("classify", "probability", "log_loss")
    assert task.options == {"classes": ["benign", "malignant"]}
    check_program(program, program.rows(frame))


def test_fitted_names_decide_the_order(cancer, forest):
    frame, _ = cancer
    program = wrap(forest, inputs=list(frame.columns[::-1]), outputs=["good", "bad"])
    assert np.array_equal(program.predict(frame[frame.columns[::-1]]).to_numpy(), forest.predict_proba(frame))
    assert program.tasks["predict"].options["classes"] == ["benign", "malignant"]  # labels of y stay the model's
    with pytest.raises(SchemaError, match="lack mean texture") as caught:
        wrap(forest, inputs=["mean radius", "mean textur", *frame.columns[2:]])
    assert "did you mean 'mean textur'" in str(caught.value)


def test_regressors_one_and_many_outputs(cancer):
    frame, _ = cancer
    x = frame.to_numpy()
    one = wrap(LinearRegression().fit(x[:, :5], x[:, 5]), inputs=list("abcde"), unit="mm")
    rows = Rows(np.array(["p", "q"]), {name: x[:2, i] for i, name in enumerate("abcde")})
    found = one.predict(rows)
    assert found.index.tolist() == ["p", "q"]
    assert found["prediction"].to_numpy() == pytest.approx(LinearRegression().fit(x[:, :5], x[:, 5]).predict(x[:2, :5]))
    assert one.tasks["predict"].unit == "mm"
    many = wrap(RandomForestRegressor(3, random_state=0).fit(x[:, :4], x[:, 4:]), inputs=list("abcd"))
    assert many.tasks["predict"].outputs == ("prediction_0", "prediction_1")
    with pytest.raises(SchemaError, match="3 columns, the model was fitted on 4"):
        wrap(RandomForestRegressor(3).fit(x[:, :4], x[:, 5]), inputs=list("abc"))
    with pytest.raises(DataError, match="no probabilities"):
        wrap(LinearSVC().fit(x, x[:, 0] > 14), inputs=list("abcdef"))


def test_categories_booleans_and_missing_values_pass_unchanged():
    g = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "city": g.choice(["Graz", "Linz", "Wien"], 80),
            "age": g.normal(40, 9, 80).round(),
            "member": g.random(80) > 0.5,
            "grade": pd.Categorical(g.choice(["b", "a"], 80), categories=["b", "a"]),
        }
    )
    y = (frame.age > 40) ^ (frame.city == "Wien")
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city", "grade"]), remainder="passthrough"
    )
    model = make_pipeline(encode, StandardScaler(with_mean=False), LogisticRegression()).fit(frame, y)
    program = wrap(model, inputs=frame)
    assert [f.kind for f in program.schema.inputs] == ["category", "numeric", "boolean", "category"]
    assert program.schema["grade"].categories == ("b", "a")
    assert np.array_equal(program.predict(frame).to_numpy(), model.predict_proba(frame))
    check_program(program, program.rows(frame))
    explanation = attribute(program, program.rows(frame[:3]), "predict", background=program.rows(frame[10:30]))
    assert explanation.players == ("city", "age", "member", "grade")
    assert explanation.inputs[0].tolist()[0] == frame.city[0]
    assert np.abs(explanation.residual).max() < 1e-12
    unknown = frame[:2].assign(city=["Rom", "Graz"])
    with pytest.raises(DataError, match="'Rom'; known are Graz, Linz, Wien"):
        program.predict(unknown)
    gone = frame[:2].assign(city=[None, "Graz"])
    assert np.array_equal(program.predict(gone).to_numpy(), model.predict_proba(gone.assign(city=[np.nan, "Graz"])))


def test_bare_callables():
    def score(x):
        return x[:, 0] - 2.0 * x[:, 1]

    program = wrap(score, inputs=["a", "b"], unit="EUR")
    rows = program.rows(pd.DataFrame({"b": [1.0, 2.0, 3.0], "a": [5.0, 6.0, 7.0]}))
    assert program(program.encode(rows), "predict").tolist() == [[3.0], [2.0], [1.0]]
    check_program(program, rows)
    explanation = attribute(program, rows, "predict", background=rows)
    assert explanation.values[:, 1, 0] == pytest.approx([2.0, 0.0, -2.0])
    effect = effect_of_do(program, rows, "predict", "a", donors=rows)
    assert effect.raw[0] > 0
    two = wrap(lambda x: np.stack([1 - x[:, 0], x[:, 0]], 1), inputs=["p"], kind="classify", outputs=["no", "yes"])
    assert two.tasks["predict"].options == {"classes": ["no", "yes"]}
    assert two.tasks["predict"].unit == "probability"


def test_schemas_with_series():
    schema = Schema((Field("return", "series", 3), Field("level")), {})
    program = wrap(lambda x: x @ np.array([1.0, 10.0, 100.0, 1000.0]), inputs=schema)
    rows = Rows(np.array(["k"]), {"return": np.array([[1.0, 2.0, 3.0]]), "level": np.array([4.0])})
    assert program(program.encode(rows), "predict").item() == 4321.0
    with pytest.raises(SchemaError, match="2 values a row, the schema says 3"):
        program.encode(Rows(np.array(["k"]), {"return": np.array([[1.0, 2.0]]), "level": np.array([4.0])}))


@pytest.mark.parametrize(
    ("model", "error", "complaint"),
    [
        (lambda x: np.where(x[:, 0] > 1, np.nan, 0.0), DataError, "NaN or infinite values in 1 of 3 rows"),
        (lambda x: x[:1, 0], DataError, r"shape \(1, 1\) for 3 rows"),
        (lambda x: 1.0, DataError, r"shape \(\)"),
        (lambda x: x, SchemaError, "2 outputs, 1 are declared"),
        (lambda x: np.array(["up"] * len(x)), DataError, "not an array of numbers"),
        (lambda x: 1 / 0, DataError, "ZeroDivisionError"),
    ],
)
def test_bad_answers_are_named(model, error, complaint):
    program = wrap(model, inputs=["a", "b"], name="broken")
    rows = program.rows(pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": 1.0}))
    with pytest.raises(error, match=complaint) as caught:
        program(program.encode(rows), "predict")
    assert "broken" in str(caught.value)
    assert caught.value.mend


def test_bad_inputs_are_named(cancer, forest):
    with pytest.raises(DataError, match="cannot be wrapped"):
        wrap(3.0, inputs=["a"])
    with pytest.raises(SchemaError, match="not unique"):
        wrap(len, inputs=["a", "a"])
    with pytest.raises(SchemaError, match="no names"):
        wrap(len, inputs=[])
    with pytest.raises(DataError, match="datetime64"):
        wrap(len, inputs=pd.DataFrame({"day": pd.to_datetime(["2018-02-05"])}))
    with pytest.raises(SchemaError, match="kind='regress' was given"):
        wrap(forest, inputs=cancer[0], kind="regress")
    with pytest.raises(SchemaError, match="3 outputs are named, the model returns 2"):
        wrap(forest, inputs=cancer[0], outputs=["a", "b", "c"])
    program = wrap(forest, inputs=cancer[0])
    with pytest.raises(SchemaError, match="lacks 1 of 6 inputs: mean area"):
        program.predict(cancer[0].drop(columns="mean area"))
    with pytest.raises(DataError, match="not numbers"):
        program.predict(cancer[0].assign(**{"mean area": "large"}))


def _ppo(env: str):
    from stable_baselines3 import PPO

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PPO("MlpPolicy", env, n_steps=8, batch_size=8, seed=0, device="cpu")


def test_discrete_policy():
    model = _ppo("CartPole-v1")
    names = ["position", "velocity", "angle", "spin"]
    program = wrap(model, inputs=names, task="balance", outputs=["left", "right"])
    task = program.tasks["balance"]
    assert task.outputs == ("left", "right", "value")
    assert (task.kind, task.metric, task.options) == ("control", "negative_reward", {"actions": 2, "space": "discrete"})
    obs = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    rows = Rows(np.array([f"s{i}" for i in range(40)]), {name: obs[:, i] for i, name in enumerate(names)})
    check_program(program, rows)
    out = program(program.encode(rows), "balance")
    action, _ = model.predict(obs, deterministic=True)
    assert np.array_equal(out[:, :2].argmax(1).numpy(), action)
    assert out[:, 2].numpy() == pytest.approx(model.policy.predict_values(torch.from_numpy(obs)).detach().numpy()[:, 0])
    assert out[:, :2].sum(1).abs().max() < 1e-6  # centred logits
    explanation = attribute(program, rows.take(slice(0, 3)), "balance", background=rows)
    assert explanation.players == tuple(names)
    assert np.abs(explanation.residual).max() < 1e-7  # the rows are in the background; float32 rounds them apart
    assert isinstance(wrap(model.policy, inputs=names), ForeignProgram)


def test_continuous_policy():
    model = _ppo("Pendulum-v1")
    program = wrap(model, inputs=["cos", "sin", "spin"])
    obs = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    rows = Rows(np.arange(7).astype(np.str_), {name: obs[:, i] for i, name in enumerate(["cos", "sin", "spin"])})
    out = program(program.encode(rows), "predict")
    assert program.tasks["predict"].outputs == ("action_0", "value")
    mean = model.policy.get_distribution(torch.from_numpy(obs)).distribution.mean.detach().numpy()
    assert out[:, :1].numpy() == pytest.approx(mean)


def test_a_callable_of_raw_texts_hears_them_as_they_were_written():
    heard = []

    def model(table):
        heard.extend(table[:, 0])
        return [len(text) + 10 * float(number) for text, number in table]

    program = wrap(model, inputs=Schema((Field("said", "text"), Field("age")), {}), outputs=["size"])
    texts = ["", "good film", "\u732b \U0001f642 e\u0301", None, " spaces stay "]
    table = pd.DataFrame({"said": texts, "age": [0.0, 1.0, 2.0, 3.0, 4.0]})
    rows = program.rows(table)
    assert program(program.encode(rows), "predict")[:, 0].tolist() == [0.0, 19.0, 26.0, 30.0, 53.0]
    assert heard == ["" if text is None else text for text in texts]
    assert program.encode(rows.take(slice(0, 0)))["said"].shape[0] == 0
    found = attribute(program, rows.take(slice(1, 2)), "predict", background=rows.take(np.array([0, 4])))
    assert np.allclose(found.values[0, :, 0], [9.0 - 6.5, -10.0])  # blocks of other widths are one game
    (words,) = attribute_text(program, rows.take(slice(1, 2)), "predict", mask="replace", replacement="x")
    assert words.values.players == ("good", "film")
    assert np.allclose(words.values.values[0, :, 0], [3.0, 3.0])
