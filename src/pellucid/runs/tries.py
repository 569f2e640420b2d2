"""The tries of a program: what makes a fit a try of its own, and how many others there were."""

from __future__ import annotations

from typing import Any

from pellucid.assemble import Problem
from pellucid.store.records import Event
from pellucid.store.store import Store


def trial_of(prob: Problem) -> dict[str, Any]:
    """What makes a try of its own: the same spec on the same data is one, however often it is killed and resumed."""
    return {"spec": prob.spec.sha(), "seed": prob.spec.seed, "data": prob.data_sha}


def trials_of(prob: Problem, store: Store) -> list[Event]:
    name = prob.spec.name
    return [e for e in store.log(name, trials=True) if e.kind == "trial"] if name in store.names() else []


def other_trials(prob: Problem, store: Store) -> int:
    """Tries beside this one."""
    return sum(event.info != trial_of(prob) for event in trials_of(prob, store))
