"""Rows side by side: bars for a few, a heat map for some, a swarm for many."""

from __future__ import annotations

from types import ModuleType

import pytest

from pellucid.report.parts.explanations import explanations_section


@pytest.mark.parametrize(
    ("rows", "told"), [(3, "one bar per row"), (30, "Stronger colour"), (60, "Every row is a mark")]
)
def test_the_picture_suits_the_number_of_rows(rows: int, told: str, samples: ModuleType) -> None:
    one = samples.explanation("risk", ["log variance"], "log variance", 0.6, [f"row {i}" for i in range(rows)])
    page = explanations_section([{**one, "inputs": [[0.1 * i for _ in one["players"]] for i in range(rows)]}])
    said = [line for line in ("one bar per row", "Stronger colour", "Every row is a mark") if line in page]
    assert said == [told]
