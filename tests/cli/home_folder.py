"""A folder as a user has it: two small programs in one store, their specs and their data."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pellucid.cli.main import main
from pellucid.data.planted import simulate

STOCKS = """\
name: stocks
data: {kind: prices, source: prices.csv, window: 5, scale_days: 40}
tasks:
  forecast: {kind: forecast}
  risk: {kind: volatility}
  trade:
    kind: control
    env: pellucid/StockTrading-v0
    episode_days: 30
    ppo: {num_envs: 8, steps: 16, minibatch: 64, epochs: 1}
network: {width: 64, depth: 2}
train: {updates: 40, lr: 1e-2}
review: {rows: 60}
evidence: {folds: 1}
explain: {background: 8, evaluations: 32}
"""
BANK = """\
name: bank
data: {kind: table, source: bank.csv, target: paid}
network: {width: 64, depth: 1}
train: {updates: 60, lr: 1e-2}
evidence: {folds: 2}
explain: {background: 8, evaluations: 32}
"""


@dataclass(frozen=True)
class Home:
    """The folder, and what its store holds.

    Args:
        open, rejected, stale: candidates of `bank`; the head is bank@2, and `stale` changes bank@1.
    """

    folder: Path
    open: str
    rejected: str
    stale: str

    @property
    def store(self) -> Path:
        return self.folder / ".pellucid"


def prices_csv(rows: int = 460) -> str:
    """Simulated prices with a signal and volume as a decoy, as a file of a user's."""
    frame = simulate("planted", seed=0)[0].frame.iloc[:rows]
    return str(frame.reset_index().to_csv(index=False, date_format="%Y-%m-%d", lineterminator="\n"))


def bank_csv(rows: int = 160) -> str:
    chance = np.random.default_rng(0)
    income, debt = chance.normal(50, 10, rows), chance.normal(10, 4, rows)
    city = np.array(["york", "bath", "wells"])[chance.integers(3, size=rows)]
    paid = np.where(income - 2 * debt + chance.normal(0, 8, rows) > 30, "yes", "no")
    lines = [f"{a:.2f},{b:.2f},{c},{p}" for a, b, c, p in zip(income, debt, city, paid, strict=True)]
    return "\n".join(["income,debt,city,paid", *lines]) + "\n"


def run(*words: str) -> None:
    assert main([*words]) == 0, words


def made(folder: Path) -> Home:
    """Fit both programs, and make candidates of every state."""
    (folder / "prices.csv").write_text(prices_csv())
    (folder / "bank.csv").write_text(bank_csv())
    (folder / "stocks.yaml").write_text(STOCKS)
    (folder / "bank.yaml").write_text(BANK)
    run("fit", "stocks.yaml", "--quiet")
    run("fit", "bank.yaml", "--quiet")
    found = {}
    for seed, state in enumerate(("rejected", "next", "stale"), start=1):
        run("fit", "bank.yaml", "--set", f"seed={seed}", "--quiet")
        found[state] = _candidate("bank", set(found.values()))
    run("reject", found["rejected"], "--because", "no better")
    run("accept", found["next"], "--because", "the newer one", "--override-gates")
    run("fit", "bank.yaml", "--set", "seed=4", "--quiet")
    return Home(folder, _candidate("bank", set(found.values())), found["rejected"], found["stale"])


def _candidate(name: str, known: set[str]) -> str:
    from pellucid.store.store import Store

    return next(c.ref for c in Store(".pellucid").candidates(name) if c.ref not in known)


_MADE: list[Home] = []


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The folder itself: not to be changed. Made once, although two folders of tests have this fixture."""
    if not _MADE:
        folder = tmp_path_factory.mktemp("home")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("PELLUCID_USER", "ada")
            _MADE.append(made(folder))
    return _MADE[0]


@pytest.fixture
def home(made_once: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy for one test, which is the working folder and which it may change."""
    folder = tmp_path / "home"
    shutil.copytree(made_once.folder, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PELLUCID_USER", "ada")
    return replace(made_once, folder=folder)


def fingerprint(store: Path) -> dict[str, str]:
    """Every file of a store by its hash."""
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def three_lines(text: str) -> None:
    """What, where, mend; between the first and the others, at most indented lines that a count announces."""
    assert "Traceback" not in text
    assert "this is a bug" not in text
    lines = text.splitlines()
    assert len(lines) >= 3, text
    assert re.match(r"[A-Z]\w+: \S", lines[0]), text
    assert lines[0].endswith((".", "?", ":")) or "allowed:" in lines[0], lines[0]
    assert re.match(r"  where: \S", lines[-2]), text
    assert re.match(r"  mend:  \S", lines[-1]), text
    if len(lines) > 3:
        assert re.search(r": \d+ problems( in the spec\.|:)$", lines[0]), text
        assert all(line.startswith("  ") for line in lines[1:-2]), text


def told(err: str) -> str:
    """What stands on stderr beside the progress."""
    return "\n".join(line for line in err.splitlines() if not re.fullmatch(r"  \S.* \.\.\.", line))
