"""What a long run tells whoever watches: stages, steps within a stage, notes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from threadpoolctl import threadpool_limits


class Reporter(Protocol):
    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins."""
        ...

    def advance(self, done: int, text: str = "") -> None:
        """`done` steps of the stage are done."""
        ...

    def note(self, text: str) -> None:
        """One line worth keeping."""
        ...


class Silent:
    """Says nothing; the default in Python."""

    def stage(self, name: str, total: int) -> None:
        return None

    def advance(self, done: int, text: str = "") -> None:
        return None

    def note(self, text: str) -> None:
        return None


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for a stop at the next update instead of breaking one in the middle; a second Ctrl-C breaks it."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def handler(_signal: int, _frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch and of numpy's BLAS: faster for networks of this size, and the same sums in the same order
    on every run, whatever OMP_NUM_THREADS says.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


class Shown:
    """Progress bars, or nothing: a reporter with a beginning and an end."""

    def __init__(self, shown: bool) -> None:
        self.bar: Any = None
        if shown:
            from pellucid.report.progress import Progress  # rich: not where nothing is shown

            self.bar = Progress()
        self.reporter: Reporter = self.bar or Silent()

    def __enter__(self) -> Shown:
        if self.bar:
            self.bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar:
            self.bar.__exit__(*error)
