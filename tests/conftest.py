"""What the tests of several floors share: `tiny_programs.py`, and two fitted programs that each test gets a copy of."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def fitted_bank(tmp_path_factory):
    from pellucid.runs.fit import fit
    from tiny_programs import Home, bank_spec, leaky

    home = Home(tmp_path_factory.mktemp("bank"))
    leaky().to_csv(home.folder / "bank.csv", index=False)
    fit(bank_spec().within(home.folder), home.store)
    return home


@pytest.fixture(scope="session")
def fitted_market(tmp_path_factory):
    from pellucid.runs.fit import fit
    from tiny_programs import Home, market_spec, prices

    home = Home(tmp_path_factory.mktemp("market"))
    prices().to_csv(home.folder / "prices.csv", index=False)
    fit(market_spec().within(home.folder), home.store)
    return home


@pytest.fixture
def bank(fitted_bank, tmp_path):
    """bank@1: a classifier of a table; the column `leak` gives its target away."""
    return fitted_bank.copy(tmp_path / "bank")


@pytest.fixture
def market(fitted_market, tmp_path):
    """market@1: forecast, risk and trade on 600 days of a planted market."""
    return fitted_market.copy(tmp_path / "market")
