"""Notices that an environment in this process does not return, and interrupts it where Python can.

A thread looks on. When a call takes longer than it may, the main thread gets SIGALRM, whose handler raises `Hung`
inside the environment: that ends Python code, sleeping, and waiting for locks, files and sockets. Code in another
language that never comes back cannot be ended so, nor can anything outside the main thread, nor on Windows: then the
thread says on stderr what hangs and what to do (worker processes can always be ended).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from types import FrameType

import numpy as np
import numpy.typing as npt

GRACE_S = 2.0  # between the interruption and saying that it did not help
OURS_S = 10.0  # an alarm that comes so soon after one of ours is ours; they are repeated every second


class Hung(BaseException):
    """Raised inside an environment that takes too long; no `except Exception` of its own catches it."""


class Watch:
    """Over one batch of environments: set `since` before a call and clear it after.

    Args:
        name: of the environment, for the report.
        timeout_s: seconds that one call may take.
        beat: its first number grows with every call of a single environment, where there are such: then each has
            the time to itself.
    """

    def __init__(self, name: str, timeout_s: float, beat: npt.NDArray[np.int64] | None = None) -> None:
        self.name, self.timeout_s, self.beat = name, timeout_s, beat
        self._calls, self._moved = -1, 0.0  # calls of single environments, and when a new one was first seen
        self.since: float | None = None  # time.monotonic() at the start of the call that is running
        self.thread = 0  # that makes the call
        self.told: float | None = None  # `since` of the call that was reported
        _watches.add(self)
        _begin()

    @property
    def overdue_s(self) -> float:
        """How much longer the running call takes than it may; negative when it does not."""
        since, now = self.since, time.monotonic()
        if since is None:
            return -1.0
        if self.beat is not None and int(self.beat[0]) != self._calls:
            self._calls, self._moved = int(self.beat[0]), now
        return now - max(since, self._moved) - self.timeout_s


_watches: weakref.WeakSet[Watch] = weakref.WeakSet()
_lock = threading.Lock()
_sent = float("-inf")  # when the last alarm of ours was sent
_looking: threading.Thread | None = None


def _begin() -> None:
    """Look on from now, and be ready to interrupt the main thread."""
    global _looking
    with _lock:
        if _looking is None or not _looking.is_alive():  # a forked process has none
            _looking = threading.Thread(target=_look, name="pellucid-watchdog", daemon=True)
            _looking.start()
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL:
        signal.signal(signal.SIGALRM, _interrupt)


def _look() -> None:
    while True:
        watches = list(_watches)
        time.sleep(min([1.0, *(watch.timeout_s / 4 for watch in watches)]))
        for watch in watches:
            late = watch.overdue_s
            if late > 0:
                _end(watch, late)


def _end(watch: Watch, late_s: float) -> None:
    global _sent
    main = threading.main_thread().ident
    if watch.thread == main and _ready():
        _sent = time.monotonic()
        signal.pthread_kill(main, signal.SIGALRM)
        if late_s < GRACE_S:
            return
    if watch.told != watch.since:
        watch.told = watch.since
        print(
            f"environment '{watch.name}' has not returned for {watch.timeout_s + late_s:.0f} s, "
            "and cannot be interrupted from within this process.\n"
            f"  where: process {os.getpid()}\n"
            "  mend:  end this process; with `workers: 1` the environment has a process of its own, which can be ended",
            file=sys.stderr,
            flush=True,
        )


def _ready() -> bool:
    return hasattr(signal, "pthread_kill") and signal.getsignal(signal.SIGALRM) is _interrupt


def _interrupt(number: int, _: FrameType | None) -> None:
    """In the main thread: end the call that is overdue. Any other alarm does what it did before."""
    if time.monotonic() - _sent > OURS_S:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    me = threading.get_ident()
    if any(watch.overdue_s > 0 for watch in list(_watches) if watch.thread == me):  # it may have returned just now
        raise Hung
