"""Trials of a search are counted in the store as they come, where no restart forgets them, and shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pellucid.runs.progress import Reporter
from pellucid.search import Journal, Trial, best_of
from pellucid.store.store import Store


def journal_file(store: Store, name: str) -> Path:
    """Where the trials of a search under way lie."""
    return store.root / "searches" / f"{name}.jsonl"


def state_file(store: Store, name: str) -> Path:
    """Where a population under way lies."""
    return store.root / "searches" / f"{name}.state"


class Counter:
    """Counts every setting of a search once."""

    def __init__(self, store: Store, name: str, journal: Journal, reporter: Reporter) -> None:
        self.store, self.name, self.reporter = store, name, reporter
        known = store.log(name, trials=True) if name in store.names() else []
        self.counted = [event.info for event in known if event.kind == "trial"]
        self.identity = journal.identity

    def __call__(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            info = {**self.identity, "search": trial.number, "params": trial.params}
            if info not in self.counted:
                self.store.add_trial(self.name, "search", info)
                self.counted.append(info)

    def show(self, done: int, trials: Sequence[Trial]) -> None:
        """Progress, with the best so far."""
        best = best_of(list(trials))
        self.reporter.advance(done, f"best {best.loss:.4g} (trial {best.number})" if best else "")
