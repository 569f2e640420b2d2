"""How the gradients of several tasks on a shared trunk become one."""

from __future__ import annotations

from pellucid.multitask.upgrad import UPGrad
from pellucid.train.learner import Combine

__all__ = ["ALL", "UPGrad"]

ALL: dict[str, Combine | None] = {
    "sum": None,  # the loop adds them up itself, without forming J
    "upgrad": UPGrad(),
}
