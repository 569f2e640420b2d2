"""Public conformance suites, for authors of programs, learners, explainers, deltas and environments.

Each raises AssertionError with the promise that is broken, but `check_env`, which returns a list of problems. Imported
when first used (PEP 562): a suite loads only what it checks.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.envs.check import check_env as check_env
    from pellucid.testing.delta import check_delta as check_delta
    from pellucid.testing.explainer import check_explainer as check_explainer
    from pellucid.testing.learner import check_learner as check_learner
    from pellucid.testing.program import check_program as check_program

_HOME = {
    "check_delta": "pellucid.testing.delta",
    "check_env": "pellucid.envs.check",
    "check_explainer": "pellucid.testing.explainer",
    "check_learner": "pellucid.testing.learner",
    "check_program": "pellucid.testing.program",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pellucid.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
