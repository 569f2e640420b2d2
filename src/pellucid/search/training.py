"""The training of one trial: the loop as in a fit, looked at on held-out rows on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pellucid.assemble import Assembly
from pellucid.core.errors import Interrupted, SpecError, TrainingFault
from pellucid.nn.program import NetworkProgram
from pellucid.search.trial import RUNGS, State
from pellucid.train.loop import Hooks

Judge = Callable[[NetworkProgram], float]  # mean held-out loss
Prune = Callable[[int, float], bool]


@dataclass(frozen=True)
class Attempt:
    """How a trial ended."""

    state: State
    curve: tuple[float, ...]
    why: str = ""


def trained(
    build: Callable[[], Assembly],
    judge: Judge,
    prune: Prune,
    *,
    look: bool,
    stop: Callable[[], bool],
    seconds: float | None = None,
) -> Attempt:
    """Train one assembly, unless it falls behind.

    Args:
        look: whether to judge at every rung; otherwise at the end alone.
        stop: asked after every update; True gives this trial up.
        seconds: the time budget of a training, as in a fit; looks count.
    Raises:
        Interrupted: it was given up; the trials before it are kept.
    """
    try:
        assembly = build()
    except SpecError as error:  # settings that are allowed one by one and do not go together
        return Attempt("failed", (), error.what)
    curve: list[float] = []
    pruned = [False]
    updates, begun = assembly.config.updates, time.monotonic()
    at = [max(1, math.ceil(updates * k / RUNGS)) for k in range(1, RUNGS + 1)]

    def progress(update: int, _metrics: object) -> bool:
        if stop():
            return False
        reached = sum(place <= update for place in at) if look else 0
        if RUNGS > reached > len(curve):
            loss = judge(assembly.snapshot())
            while len(curve) < reached and not pruned[0]:
                curve.append(loss)
                pruned[0] = not math.isfinite(loss) or prune(len(curve), loss)
        late = seconds is not None and time.monotonic() - begun >= seconds
        return not pruned[0] and not late

    try:
        with np.errstate(over="ignore", invalid="ignore"):  # a trial that diverges has failed, and that is said
            assembly.trainer.run(assembly.config, Hooks(assembly.schedule, None, progress))
        if stop():
            raise Interrupted("the trial under way was given up.", where="search", mend="go on with --resume")
        if not pruned[0]:
            loss = judge(assembly.finish())
            missing = RUNGS - len(curve) if look else 1
            for _ in range(missing if math.isfinite(loss) else 0):
                curve.append(loss)
                prune(len(curve), loss)
    except TrainingFault as error:
        return Attempt("failed", tuple(v for v in curve if math.isfinite(v)), error.what)
    finally:
        assembly.close()
    kept = tuple(v for v in curve if math.isfinite(v))
    if len(kept) < len(curve) or not kept:
        return Attempt("failed", kept, "the held-out loss is not finite")
    return Attempt("pruned" if pruned[0] else "done", kept)
