"""Identity, immutability and the exported schema of the model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from pellucid.core.task import TaskKind
from pellucid.spec import model
from pellucid.spec.loader import build_spec, load_spec, spec_from
from pellucid.spec.model import Spec

ROOT = Path(__file__).parents[2]
SECTIONS = [s for s in vars(model).values() if isinstance(s, type) and issubclass(s, model.Section)]


def stocks() -> Spec:
    return load_spec(ROOT / "examples/stocks.yaml")


def test_canonical_text_restores_the_spec() -> None:
    spec = stocks()
    again = spec_from(json.loads(spec.canonical()), where="stored")
    assert again.to_json() == spec.to_json()
    assert again.sha() == spec.sha()
    assert re.fullmatch(r"[0-9a-f]{64}", spec.sha())


def test_sha_does_not_depend_on_order_or_on_written_defaults() -> None:
    a = build_spec(name="a", seed=0, tasks={"t": {"env": "E-v0", "kind": "control"}})
    b = build_spec(tasks={"t": {"kind": "control", "env": "E-v0", "algorithm": "ppo"}}, name="a")
    assert a.sha() == b.sha()


def test_sha_depends_on_every_leaf() -> None:
    spec = stocks()
    changed = {"seed": 1, "train.lr": 0.5, "data.window": 5, "tasks.trade.ppo.steps": 8, "explain.grain": "field"}
    hashes = {spec.replace({key: value}).sha() for key, value in changed.items()}
    assert len(hashes | {spec.sha()}) == len(changed) + 1


def test_replace_takes_values_and_overrides() -> None:
    spec = stocks().replace({"train.lr": 0.5}, ["train.updates=7", "network.activation=tanh"])
    assert (spec.train.lr, spec.train.updates, spec.network.activation) == (0.5, 7, "tanh")


def test_nothing_changes_later() -> None:
    with pytest.raises(ValidationError):
        stocks().train.lr = 1.0  # type: ignore[misc]


def test_the_model_alone_runs_the_cross_checks_too() -> None:
    with pytest.raises(ValidationError, match="neither data nor tasks"):
        Spec(name="a")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_sections_are_documented_and_small(section: type[BaseModel]) -> None:
    assert section.__doc__
    kinds = [field.annotation for field in section.model_fields.values()]
    # Sections within a section are counted there: a control task has one for each algorithm.
    assert len([kind for kind in kinds if not (isinstance(kind, type) and issubclass(kind, BaseModel))]) <= 12


def test_task_kinds_are_those_of_core() -> None:
    mapping = Spec.model_json_schema()["properties"]["tasks"]["patternProperties"]
    (choice,) = mapping.values()
    assert set(choice["discriminator"]["mapping"]) == set(get_args(TaskKind))


def test_optimisers_are_those_of_optim() -> None:
    from pellucid.optim import ALL

    names = get_args(model.TrainSpec.model_fields["optimiser"].annotation)
    assert set(names) == set(ALL)
