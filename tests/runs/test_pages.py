"""The report page: everything that is known of a version on one self-contained page."""

from __future__ import annotations

import re

import pytest

from pellucid.core.errors import DataError
from pellucid.runs.pages import history, report
from pellucid.runs.revise import ReviseConfig, revise
from tiny_programs import leaky


def test_a_first_version(market):
    page = report(market.store, "market", at=["2000-06-01"])
    assert page.startswith("<!doctype html>")
    assert "PRICES/2000-06-01" in page or "2000-06-01" in page
    for name in ("forecast", "risk", "trade"):
        assert name in page
    assert not re.search(r'(src|href)="https?://', page)
    assert "Traceback" not in page
    assert "An episode explained" in page
    assert "StockTrading-v0, seed 1000003: a return of" in page
    assert market.store.looks("market") == 0


def test_a_correction_shows_its_diff_and_its_reason(bank):
    store = bank.store
    store.add_feedback("bank", "bank@1", "ignore", {"field": "leak"}, because="filled in <afterwards>", author="Ada")
    done = revise(store, "bank@1", ReviseConfig(updates=40, budget=20.0))
    page = report(store, done.ref, at=["5"])
    assert "filled in &lt;afterwards&gt;" in page
    assert "<afterwards>" not in page
    assert "effect of do(leak)" in page
    assert "Ada" in page
    assert "An episode explained" not in page  # of a table
    assert store.resolve(done.ref).diff is None  # a report is no review ...
    assert store.looks("bank") == 1  # ... but it is a look


def test_the_history_is_plain_json(bank):
    found = history(bank.store, "bank")
    assert [event["what"] for event in found] == ["review frozen", "proposed", "accepted"]
    assert set(found[0]) == {"when", "who", "what", "ref", "because"}


def test_without_its_data_there_is_no_explanation(bank):
    (bank.folder / "bank.csv").unlink()
    with pytest.raises(DataError, match="no such file"):
        report(bank.store, "bank")
    assert "bank@1" in report(bank.store, "bank", source=leaky())
