"""Pellucid: learned programs, reviewed like written ones.

Names are imported when they are first used (PEP 562), so that `import pellucid` loads neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.core.errors import DataError as DataError
    from pellucid.core.errors import DeltaError as DeltaError
    from pellucid.core.errors import EnvironmentFault as EnvironmentFault
    from pellucid.core.errors import Interrupted as Interrupted
    from pellucid.core.errors import MissingExtra as MissingExtra
    from pellucid.core.errors import PellucidError as PellucidError
    from pellucid.core.errors import ReviewError as ReviewError
    from pellucid.core.errors import SchemaError as SchemaError
    from pellucid.core.errors import SpecError as SpecError
    from pellucid.core.errors import StaleRevision as StaleRevision
    from pellucid.core.errors import StoreError as StoreError
    from pellucid.core.errors import TrainingFault as TrainingFault
    from pellucid.core.errors import UnknownVersion as UnknownVersion
    from pellucid.entrance import diff as diff
    from pellucid.entrance import fit as fit
    from pellucid.entrance import from_sb3 as from_sb3
    from pellucid.entrance import load as load
    from pellucid.entrance import tune as tune
    from pellucid.entrance import wrap as wrap
    from pellucid.estimators import PellucidClassifier as PellucidClassifier
    from pellucid.estimators import PellucidRegressor as PellucidRegressor
    from pellucid.handle import LearnedProgram as LearnedProgram
    from pellucid.runs.callbacks import Callback as Callback
    from pellucid.runs.callbacks import EvaluateEvery as EvaluateEvery
    from pellucid.runs.callbacks import StopOnReturn as StopOnReturn
    from pellucid.spec.model import Spec as Spec
    from pellucid.store.store import Store as Store

from pellucid.core.version import __version__

_ERRORS = (
    "DataError",
    "DeltaError",
    "EnvironmentFault",
    "Interrupted",
    "MissingExtra",
    "PellucidError",
    "ReviewError",
    "SchemaError",
    "SpecError",
    "StaleRevision",
    "StoreError",
    "TrainingFault",
    "UnknownVersion",
)

_HOME = {
    "fit": "pellucid.entrance",
    "from_sb3": "pellucid.entrance",
    "load": "pellucid.entrance",
    "tune": "pellucid.entrance",
    "diff": "pellucid.entrance",
    "LearnedProgram": "pellucid.handle",
    "wrap": "pellucid.entrance",
    "PellucidClassifier": "pellucid.estimators",
    "PellucidRegressor": "pellucid.estimators",
    "Callback": "pellucid.runs.callbacks",
    "EvaluateEvery": "pellucid.runs.callbacks",
    "StopOnReturn": "pellucid.runs.callbacks",
    "Spec": "pellucid.spec.model",
    "Store": "pellucid.store.store",
    **dict.fromkeys(_ERRORS, "pellucid.core.errors"),
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pellucid' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
