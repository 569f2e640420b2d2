"""What `tree` does around shap's tree explainer: order of columns, both classes, and a check of the sums.

A stand-in computes the same values by enumeration; `test_peers.py` asks shap itself.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from explained_programs import Mixed, rows
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor

from pellucid.core.errors import DataError, MissingExtra
from pellucid.explain import attribute, tree
from pellucid.nn.foreign import wrap

G = np.random.default_rng(0)
TABLE = pd.DataFrame(G.normal(size=(80, 4)), columns=["d", "a", "c", "b"])
Y = TABLE["a"] * TABLE["b"] + TABLE["c"]


@pytest.fixture
def shap(monkeypatch):
    """Enumerates the model in its own columns' order, and gives the second of two classes alone, as shap does."""
    scale = SimpleNamespace(by=1.0)

    class Explainer:
        def __init__(self, model, masker, *, feature_perturbation, model_output):
            assert feature_perturbation == "interventional"
            self.model, self.background = model, masker
            self.classes = model_output == "probability"

        def shap_values(self, x, check_additivity):
            names = [str(name) for name in self.model.feature_names_in_]

            def answer(z):
                table = pd.DataFrame(z, columns=names)
                return self.model.predict_proba(table)[:, 1] if self.classes else self.model.predict(table)

            program = wrap(answer, inputs=names)
            found = attribute(
                program,
                program.rows(pd.DataFrame(x, columns=names)),
                "predict",
                background=program.rows(pd.DataFrame(self.background, columns=names)),
                method="exact",
            )
            return found.values[:, :, 0] * scale.by

    module = ModuleType("shap")
    module.TreeExplainer = Explainer
    module.maskers = SimpleNamespace(Independent=lambda data, max_samples: data)
    monkeypatch.setitem(sys.modules, "shap", module)
    monkeypatch.setattr(tree, "require", lambda *_, **__: None)
    return scale


@pytest.mark.parametrize("classify", [True, False])
def test_values_come_back_in_the_programs_order(shap, classify):
    kind, label = (GradientBoostingClassifier, (Y > 0).astype(int)) if classify else (RandomForestRegressor, Y)
    model = kind(n_estimators=8, random_state=0).fit(TABLE, label)
    program = wrap(model, inputs=["a", "b", "c", "d"])
    x, background = program.rows(TABLE[:3]), program.rows(TABLE[10:30])
    found = attribute(program, x, "predict", background=background, method="tree")
    exact = attribute(program, x, "predict", background=background, method="exact")
    assert found.players == ("a", "b", "c", "d")
    assert found.values == pytest.approx(exact.values, abs=1e-9)
    assert found.values.shape[2] == (2 if classify else 1)
    assert found.evaluations < 60
    shap.by = 1.1
    with pytest.raises(DataError, match="sums miss"):
        attribute(program, x, "predict", background=background, method="tree")


def test_what_is_no_tree_of_numbers_is_refused(shap):
    with pytest.raises(DataError, match="no wrapped model"):
        attribute(Mixed(), rows(2), "risk", background=rows(5, seed=1), method="tree")
    mixed = TABLE.assign(a=pd.Categorical(G.choice(["x", "y"], 80)))
    program = wrap(lambda z: z[:, 0].astype(float), inputs=mixed)
    with pytest.raises(DataError, match="not one number each"):
        attribute(program, program.rows(mixed[:2]), "predict", background=program.rows(mixed), method="tree")
    bare = wrap(lambda z: z[:, 0], inputs=list(TABLE.columns))
    with pytest.raises(DataError, match="shap says AttributeError"):
        attribute(bare, bare.rows(TABLE[:2]), "predict", background=bare.rows(TABLE), method="tree")


def test_without_shap_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    with pytest.raises(MissingExtra, match="'shap'"):
        attribute(Mixed(), rows(2), "risk", background=rows(5, seed=1), method="tree")
