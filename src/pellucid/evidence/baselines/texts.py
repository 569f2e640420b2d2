"""What an informed person would try first on texts: a linear model of TF-IDF (Salton & Buckley 1988)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.task import Task
from pellucid.evidence.baselines.context import TableContext
from pellucid.evidence.baselines.tables import as_outputs, classes_of
from pellucid.evidence.intervals import Floats
from pellucid.evidence.metrics import class_codes

SHORT = 32  # characters of a median text up to which its characters are counted, not its words
C = 10.0  # strength of the data against the penalty
ALPHA = 0.1  # of ridge regression, to the same purpose


def tfidf_classes(task: Task, context: TableContext) -> Floats:
    """Logistic regression on TF-IDF of the texts, beside the other columns, standardised."""
    from sklearn.linear_model import LogisticRegression

    codes = class_codes(context.y_train, task)
    chance = np.zeros((len(context.x_test), classes_of(task, context)))
    if len(np.unique(codes)) < 2:
        chance[:, codes[0]] = 1.0
        return as_outputs(chance, task)
    train, test = _columns(context)
    model = LogisticRegression(C=C, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unconverged one is still a baseline
        model.fit(train, codes)
    chance[:, model.classes_] = model.predict_proba(test)
    return as_outputs(chance, task)


def tfidf_values(task: Task, context: TableContext) -> Floats:
    """Ridge regression on the same columns."""
    from sklearn.linear_model import Ridge

    train, test = _columns(context)
    model = Ridge(alpha=ALPHA).fit(train, context.y_train)
    return np.asarray(model.predict(test), dtype=np.float64).reshape(-1, 1)


def _columns(context: TableContext) -> tuple[Any, Any]:
    """Sparse matrices of the training and the test rows."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.preprocessing import StandardScaler

    parts = [_tfidf(*pair) for pair in context.texts.values()]
    if context.plain:
        scaler = StandardScaler()
        columns = list(context.plain)
        train = scaler.fit_transform(context.x_train[:, columns])
        parts.append((csr_matrix(train), csr_matrix(scaler.transform(context.x_test[:, columns]))))
    return hstack([a for a, _ in parts]).tocsr(), hstack([b for _, b in parts]).tocsr()


def _tfidf(train: npt.NDArray[Any], test: npt.NDArray[Any]) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    lengths = sorted(len(str(text)) for text in train)
    short = lengths[len(lengths) // 2] <= SHORT
    how: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (1, 5), "lowercase": False}
    how = how if short else {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}
    made = TfidfVectorizer(sublinear_tf=True, max_features=200_000, **how)
    return made.fit_transform([str(text) for text in train]), made.transform([str(text) for text in test])
