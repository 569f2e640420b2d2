"""How many rows an update takes when nobody says: by the rows there are, and by the rows a second that a batch allows.

Both are counted, nothing is timed: the same data and spec give the same batch everywhere.
"""

from __future__ import annotations

FIXED = 1e7  # multiply-adds that cost about as much as what an update does whatever its rows are (2 ms of one core)
NEAR = 4.0  # so many times as much must the rows cost: then rows a second are at least 80 % of what they can be
UPDATES = 16  # of a pass, at least: fewer large updates learn less from the same rows
LEAST, MOST = 32, 4096


def auto_batch(rows: int, cost: float) -> int:
    """Rows per update, a power of two from 32 to 4096.

    Args:
        rows: that are trained on.
        cost: multiply-adds of one row through the network.
    """
    quick = NEAR * FIXED / max(cost, 1.0)
    wanted = min(quick, rows / UPDATES)
    found = LEAST
    while 2 * found <= min(wanted, MOST):
        found *= 2
    return found
