"""Estimators of scikit-learn that learn a program: in pipelines, searches and cross-validation, as any other.

    model = PellucidClassifier().fit(X, y)
    model.predict_proba(X)
    model.program_.explain(X.head(1))

A fit trains on the rows that it is given and judges nothing: whoever calls it splits them. `program_` is the first
version of a store of its own, made when it is first asked for.
"""

from pellucid.estimators.classifier import PellucidClassifier
from pellucid.estimators.regressor import PellucidRegressor

__all__ = ["PellucidClassifier", "PellucidRegressor"]
