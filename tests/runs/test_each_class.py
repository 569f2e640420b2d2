"""Curves of several classes, each against all others: areas are scikit-learn's, the picture and the table are there."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from pellucid.core.random import stream
from pellucid.report.parts.tables import table_evidence
from pellucid.runs.table_evidence import SEVERAL, _each_class


def test_areas_pictures_and_the_hardest_class_first() -> None:
    g = stream(0, "tests/each_class")
    codes = g.integers(3, size=400)
    codes[codes == 3] = 0
    logits = g.normal(size=(400, 4))
    logits[np.arange(400), codes] += np.asarray([0.5, 1.5, 2.5])[codes]
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = _each_class(codes, chance, ["a", "b", "c", "nowhere"])
    assert [one["event"] for one in found] == ["a", "b", "c"]  # by area; a class without rows has no curve
    for i, one in enumerate(found):
        assert one["n"] == (codes == i).sum()
        assert one["roc"]["area"] == pytest.approx(roc_auc_score(codes == i, chance[:, i]))
        assert one["precision_recall"]["area"] == pytest.approx(
            average_precision_score(codes == i, chance[:, i]), abs=0.01
        )
        assert one["roc"]["low"] < one["roc"]["area"] < one["roc"]["high"]
        assert len(one["roc"]["x"]) <= SEVERAL
    extra = {"each_class": found, "slices": {"looked_at": 1, "found": []}}
    page = table_evidence({"extra": extra}, "kind")
    assert page is not None
    root = ElementTree.fromstring(f"<div>{page}</div>")
    told = "".join(root.itertext())
    assert "ROC curve of each class" in told
    assert "Precision and recall of each class" in told
    assert "Classes (3)" in told
