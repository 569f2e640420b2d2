"""Baselines for trading: the position decided after each close, shape (n, 1). `finance.replay` does the accounting."""

from __future__ import annotations

import numpy as np

from pellucid.core.task import Task
from pellucid.evidence.baselines.context import Baseline, PriceContext
from pellucid.evidence.intervals import Floats

__all__ = ["ALL"]

LOOKBACK = 20  # days


def cash(task: Task, context: PriceContext) -> Floats:
    """Never a position."""
    return np.zeros((len(context.test), 1))


def buy_and_hold(task: Task, context: PriceContext) -> Floats:
    """Always long one unit."""
    return np.ones((len(context.test), 1))


def momentum(task: Task, context: PriceContext) -> Floats:
    """Long after a rise over the last 20 days, short after a fall."""
    total = np.concatenate([[0.0], np.cumsum(context.log_returns)])
    end = context.test + 1
    rise: Floats = np.sign(total[end] - total[np.maximum(end - LOOKBACK, 0)])
    return rise[:, None]


ALL: dict[str, Baseline] = {
    "cash": Baseline("cash", "naive", "no position", cash),
    "buy_and_hold": Baseline("buy_and_hold", "naive", "always long", buy_and_hold),
    "momentum": Baseline("momentum", "model", "the sign of the last 20 days", momentum),
}
